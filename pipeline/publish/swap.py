"""The published path: a link to the newest version of the file, so that no connection sees two versions.

Belongs here: making a version, swapping it in, deleting old ones. Does not: what a version holds (`database.py`).

DuckDB opens a path three times while it connects: the header comes from the second opening, the rest from the third. If
a file is renamed over the path in between, the connection gets the header of one file and the blocks of another. But
DuckDB resolves a link before the first opening. So the path is a link, and a version is never renamed over another:
`analytics.duckdb` -> `.analytics.duckdb/<version>/analytics.duckdb`. Each version has the name of the path, since
DuckDB names the database after the file.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipeline.lake.atomic import remove_leftovers
from pipeline.lake.durable import sync_file, sync_folder
from pipeline.model.errors import SettingsError
from pipeline.model.trusted import check_owner

KEPT_SECONDS: Final = 60.0
"""How long a version stays after its successor was swapped in, for connections that have resolved the link."""
_UNFINISHED: Final = ".tmp"


@contextmanager
def swapped_in(path: Path, *, mode: int) -> Iterator[Path]:
    """Give a path to write the next version to; when the block ends without an error, `path` links to it.

    The caller holds a lock, so that no other version is being written. What dead writers left is removed, and so are
    versions that were replaced `KEPT_SECONDS` ago.

    Raises:
        OSError: the version can't be written or swapped in; the one before stays.
    """
    _check_folder(path)
    _remove_unfinished(path)
    name = uuid.uuid4().hex
    unfinished = _folder(path) / f"{name}{_UNFINISHED}"
    try:
        unfinished.mkdir(parents=True)
        yield unfinished / path.name
        (unfinished / path.name).chmod(mode)
        sync_file(unfinished / path.name)
        sync_folder(unfinished)
        unfinished.rename(_folder(path) / name)
        sync_folder(_folder(path))
        sync_folder(path.parent)  # after a power cut, too, the link leads somewhere
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    before = _current(path)
    if before is not None and before.is_dir():
        os.utime(before)  # says since when it is an old version
    _link(path, name)
    remove_old_versions(path)


def remove_old_versions(path: Path, *, at_once: bool = False) -> None:
    """Delete the versions that were replaced `KEPT_SECONDS` ago, or all but the present one at once.

    The caller holds the lock of writers. A connection that is open keeps its version until it is closed.

    Raises:
        OSError: one can't be deleted.
    """
    _check_folder(path)
    current, latest = _current(path), time.time() - KEPT_SECONDS
    for version in _folder(path).glob("*"):
        if version != current and (at_once or version.stat().st_mtime <= latest):
            shutil.rmtree(version)
    if at_once and _folder(path).is_dir():  # no power cut brings back what was erased
        sync_folder(_folder(path))


def _check_folder(path: Path) -> None:
    """Check that the folder of versions is no link, whose target would be emptied, and that its owner is trusted.

    Raises:
        SettingsError: it is another's.
    """
    folder = _folder(path)
    if folder.is_symlink():
        raise SettingsError(f"SMS_DUCKDB: {folder} is a link; remove it")
    check_owner(folder, "SMS_DUCKDB")


def _remove_unfinished(path: Path) -> None:
    remove_leftovers(path)
    for unfinished in _folder(path).glob(f"*{_UNFINISHED}"):
        shutil.rmtree(unfinished)


def _folder(path: Path) -> Path:
    return path.with_name(f".{path.name}")


def _current(path: Path) -> Path | None:
    """Return the folder of the version that the path links to; None if it is a file, or no link of ours."""
    if not path.is_symlink():
        return None
    version = path.parent / path.readlink().parent
    return version if version.parent == _folder(path) else None


def _link(path: Path, name: str) -> None:
    """Let the path link to a version; the link is relative, so that the folder can be moved or mounted elsewhere."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.symlink_to(Path(_folder(path).name, name, path.name))
    temporary.replace(path)
    sync_folder(path.parent)
