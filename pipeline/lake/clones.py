"""A clone of a lake, for work that must not touch the lake: links to its files, or what of a bucket is brought.

Belongs here: making a clone, and putting what changed in it into the bucket. Does not: what is changed
(`maintain/repair.py`).

Files are replaced and never written to, so that a change of the clone leaves the lake as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.lake.copies import LOG, Copies, copies_of
from pipeline.lake.damage import footer_damage
from pipeline.lake.lake import Lake
from pipeline.lake.store import side_by_side
from pipeline.model.errors import LakeError
from pipeline.model.tables import LAKE_TABLES

_OF_WORK: Final = ("_locks", "_rates", "_scratch")
"""How names begin that are no part of a lake."""
_OF_MACHINE: Final = (*_OF_WORK, "_versions")
"""How names begin that a bucket does not have."""
_UNDER_WAY: Final = "_damaged/under-way"


@dataclass(frozen=True)
class Clone:
    """A clone, the lake that it is of, and its files as they were: name to inode and time."""

    lake: Lake
    origin: Lake
    before: Mapping[str, tuple[int, int]]

    def put_back(self) -> None:
        """Put what changed into the bucket of the lake, data before logs. Nothing else is at work in it.

        While that lasts, a note is there, by which a repair that died is known.

        Raises:
            SettingsError, LakeError: the store refuses, or gives no usable answer.
        """
        copies = copies_of(self.origin.folder)
        if copies is None:
            return
        now = _files(self.lake.folder)
        changed = sorted(name for name, state in now.items() if self.before.get(name) != state)
        of_log = [name for name in changed if f"/{LOG}/" in name]
        store, folder = copies.store, self.lake.folder
        store.put(_UNDER_WAY, b"a repair has begun; run it again\n")
        side_by_side(lambda name: store.put(name, folder / name), set(changed) - set(of_log))
        for name in of_log:  # an entry must not be there before those that it builds on
            store.put(name, folder / name)
        store.delete(self.before.keys() - now.keys())
        for table in LAKE_TABLES:  # is brought anew
            shutil.rmtree(copies.folder / table.name / LOG, ignore_errors=True)
        copies.start_anew()
        store.delete([_UNDER_WAY])


def cloned(lake: Lake, folder: Path, *, whole: Collection[Path] = ()) -> Clone:
    """Make a clone of a lake in a folder on the same disk.

    Of a bucket, its data files are those of the store, but for the copies that are known as whole.

    Raises:
        SettingsError, LakeError: its bucket can't be reached.
    """
    copies = copies_of(lake.folder)
    if copies:
        _bring(copies, folder, whole)
    else:
        for path in lake.folder.rglob("*"):
            name = path.relative_to(lake.folder).as_posix()
            if path.is_file() and not name.startswith(_OF_WORK):
                _link(path, folder, name)
    return Clone(Lake(folder, lake.mode), lake, _files(folder))


def _bring(copies: Copies, folder: Path, whole: Collection[Path]) -> None:
    sizes = {stored.name: stored.size for stored in copies.store.listed("")}
    data = {copies.folder / name for name in sizes if name.endswith(".parquet") and f"/{LOG}/" not in name}
    wanted = {path: sizes[copies.name_of(path)] for path in data} | dict.fromkeys(whole, 0)
    copies.bring(wanted)  # those that are whole too: they count as used, so that no copy goes for another one
    for path in wanted:
        try:
            _link(path, folder, copies.name_of(path))
        except FileNotFoundError as error:
            raise LakeError(f"SMS_CACHE: {path} was removed meanwhile, as one used long ago; run again") from error

    def fetch(name: str) -> None:
        copies.store.fetch(name, folder / name, mode=copies.mode)

    side_by_side(fetch, sizes.keys() - set(map(copies.name_of, data)))


def _link(path: Path, folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    os.link(path, folder / name)


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    states = {name: path.stat() for name, path in names.items() if not name.startswith(_OF_MACHINE)}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def put_again(lake: Lake, *, dry_run: bool) -> dict[Path, str]:
    """Put data files that a bucket lost, or has cut, if this machine has a whole copy; return a line for each copy."""
    copies, put = copies_of(lake.folder), dict[Path, str]()
    if copies is None:
        return put
    sizes = {copies.folder / stored.name: stored.size for stored in copies.store.listed("")}
    for table in LAKE_TABLES:
        try:
            files = lake.snapshot(table).files
        except LakeError:
            continue  # its log comes first
        for file in files:
            if sizes.get(file.path) != file.size and footer_damage(file) is None:
                if not dry_run:
                    copies.put([file.path])
                place = f"{copies.store.url}/{copies.name_of(file.path)}"
                put[file.path] = f"{table.name}: {place} is missing or cut: put again from this machine's copy"
    return put
