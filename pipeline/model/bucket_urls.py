"""URLs of places in a bucket: `s3://bucket/path`, `gs://…`, `az://…`.

Belongs here: what such a URL may look like. Does not: reaching it (`lake/store.py`).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

STORE_VARIABLES: Final = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ALLOW_HTTP",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
        "AWS_SKIP_SIGNATURE",
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS"),
    "az": (
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_ENDPOINT",
        "AZURE_ALLOW_HTTP",
        "AZURE_STORAGE_USE_EMULATOR",
    ),
}
"""Scheme to the variables that say how to reach a bucket; the library knows further ones in the environment."""
_URL: Final = re.compile(r"(?P<scheme>s3|gs|az)://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<path>(?:/[^/\s?#]+)*)/*")
_PATTERN: Final = re.compile(r"(?:s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*/[^/\s].*")
_ANY_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_DATABASE: Final = re.compile(r"\w+://[^/]+/(?:[^/]+/)*[A-Za-z_][A-Za-z0-9_-]*\.duckdb")
_STRANGE: Final = frozenset({".", ".."})


def is_url(text: object) -> bool:
    """Say whether a setting's text is a URL and no path."""
    return isinstance(text, str) and _ANY_URL.match(text.strip()) is not None


def bucket_url(text: str) -> str:
    """Return a URL of a place in a bucket, without a slash at its end.

    Raises:
        ValueError: it is another URL.
    """
    found = _URL.fullmatch(text.strip())
    if found is None or _STRANGE & set(found["path"].split("/")):
        raise ValueError(
            "must be a local path, or a URL like s3://bucket/path, gs://bucket/path or az://container/path"
        )
    return f"{found['scheme']}://{found['bucket']}{found['path']}"


def file_url(text: str) -> str:
    """Return the URL of a DuckDB file in a bucket.

    Raises:
        ValueError: it is another URL, or a name that DuckDB would not take for a database's.
    """
    url = bucket_url(text)
    if not _DATABASE.fullmatch(url):
        raise ValueError("must name a file in a bucket, such as s3://bucket/path/analytics.duckdb")
    return url


def copies_name(url: str, endpoint: str) -> str:
    """Return the name of the folder for local copies of what is below a URL."""
    digest = hashlib.blake2b(f"{endpoint} {url}".encode(), digest_size=6).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9._-]', '-', url.partition('://')[2])[:40]}-{digest}"


def check_pattern(pattern: str) -> None:
    """Check that a pattern of logs is one of objects in a bucket.

    Raises:
        ValueError: it is a URL of something else.
    """
    if not _PATTERN.fullmatch(pattern):
        raise ValueError("must be local paths or globs, or URLs like s3://bucket/sent/{date}/*.jsonl")
