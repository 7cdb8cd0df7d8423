"""What doctor says of the machine around the project: which files are trusted, and who can read their secrets.

Belongs here: `.env`, accounts file, proxies. Does not: what they say (`doctor.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from pipeline.api.connections import proxy_of
from pipeline.model.env_file import NAME, find_env_files
from pipeline.model.settings import Settings, env_file
from pipeline.model.trusted import is_readable_by_all


class Remark(NamedTuple):
    """A subject, what is said of it, and whether something should be done."""

    subject: str
    text: str
    is_advice: bool = False


_READABLE: Final = "every user can read it and the secrets in it: chmod 600"


def remarks(settings: Settings) -> Iterator[Remark]:
    """Say what surrounds the project."""
    found = env_file()
    yield _of_secrets("env file", found) if found else Remark("env file", "none is read")
    for place in find_env_files(Path.cwd()):
        if place.barrier:
            text = f"{place.path} is not read, since others may write {place.barrier}: move it into {Path.cwd() / NAME}"
            yield Remark("env file", text, is_advice=True)
    if settings.accounts and settings.accounts.exists():
        yield _of_secrets("accounts", settings.accounts)
    url = httpx.URL(settings.api_base_url)
    if proxy_of(url):
        text = f"requests to {url.host} take the environment's proxy; NO_PROXY={url.host} avoids it"
        yield Remark("proxy", text, is_advice=True)


def _of_secrets(subject: str, path: Path) -> Remark:
    if is_readable_by_all(path):
        return Remark(subject, f"{path}: {_READABLE} {path}", is_advice=True)
    return Remark(subject, f"{path} is read")
