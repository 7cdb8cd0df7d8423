"""What doctor says of the machine around the project: which files are trusted, and who can read what is in them.

Belongs here: owners and modes of `.env`, accounts file, lake, cache, published file and page; proxies. Does not: what
they say (`doctor.py`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_IMODE, S_IROTH
from typing import Final, NamedTuple

import httpx

from pipeline.api.connections import proxy_of
from pipeline.model.env_file import NAME, find_env_files
from pipeline.model.settings import Settings, env_file
from pipeline.model.trusted import is_readable_by_all, user_name, why_untrusted
from pipeline.publish.cache import cache_folder


class Remark(NamedTuple):
    """A subject, what is said of it, and whether something should be done, or must be, since others can change it."""

    subject: str
    text: str
    is_advice: bool = False
    is_wrong: bool = False


_OWN_FOLDER: Final = "whoever changed it can change the lake: see who can write there"
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
    yield from _of_places(settings)
    url = httpx.URL(settings.api_base_url)
    if proxy_of(url):
        text = f"requests to {url.host} take the environment's proxy; NO_PROXY={url.host} avoids it"
        yield Remark("proxy", text, is_advice=True)
    else:
        yield Remark("proxy", f"none is used for {url.host}")


def _of_places(settings: Settings) -> Iterator[Remark]:
    """Say who owns what runs write, and who else can change or read it."""
    versions, cache = settings.duckdb.resolve().parent, cache_folder(settings.lake)
    if settings.lake.is_dir():  # of what is in it the check of the lake speaks
        yield _of_place("lake files", [settings.lake], settings.file_mode)
    if cache.exists():
        is_private = not cache.lstat().st_mode & 0o077 and cache.owner() == user_name(os.geteuid())
        text = f"{cache} is not yours alone: it is not read, and the next publication builds it anew; {_OWN_FOLDER}"
        yield Remark("cache", f"{cache} is yours alone") if is_private else Remark("cache", text, is_advice=True)
    if settings.duckdb.exists():
        yield _of_place("published", [settings.duckdb, versions], settings.file_mode)
    if settings.report.exists():
        yield _of_place("page", [settings.report], settings.file_mode)


def _of_place(subject: str, paths: Sequence[Path], mode: int) -> Remark:
    """Speak of the first of some files and folders, which are checked from the last to the first."""
    for path in reversed(paths):
        for state in (path.lstat(), path.stat()):
            if why := why_untrusted(state, shared=mode):
                return Remark(subject, f"{path} {why}", is_wrong=True)
    path, state = paths[0], paths[0].stat()
    if state.st_mode & ~mode & S_IROTH:
        text = f"{path}: every user can read it and the phone numbers in it: chmod o-rwx it, or set SMS_FILE_MODE"
        return Remark(subject, text, is_advice=True)
    return Remark(subject, f"{path} belongs to {user_name(state.st_uid)}, mode {S_IMODE(state.st_mode):04o}")


def _of_secrets(subject: str, path: Path) -> Remark:
    if is_readable_by_all(path):
        return Remark(subject, f"{path}: {_READABLE} {path}", is_advice=True)
    return Remark(subject, f"{path} is read")
