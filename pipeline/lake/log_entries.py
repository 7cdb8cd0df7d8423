"""Entries and checkpoints of a Delta log, put in place so that a power cut leaves each of them whole or absent.

Belongs here: how a file gets into `_delta_log`. Does not: what an entry says (`delta_log.py`), conflicts between
writers (`commits.py`).

Delta's own writer links an entry, or names a checkpoint in `_last_checkpoint`, before its content is on the disk. So
entries of commits are written here, and what Delta writes itself (a new table, new columns, properties, checkpoints)
it writes into a copy of the log in scratch space, from where it is synced and moved.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from deltalake import DeltaTable

from pipeline.lake.copies import copies_of
from pipeline.lake.durable import make_folder, sync_file, sync_folder

LOG: Final = "_delta_log"
LAST_CHECKPOINT: Final = "_last_checkpoint"
CHECKPOINT_VERSIONS: Final = 100
"""Versions between two checkpoints, as in Delta."""


def entry_path(log: Path, version: int) -> Path:
    """Return the path of a version's entry."""
    return log / f"{version:020}.json"


def write_entry(folder: Path, version: int, actions: Sequence[Mapping[str, Any]]) -> None:
    """Add an entry to the log of a table's folder.

    Raises:
        FileExistsError: another writer has committed this version.
        OSError: it can't be written; the log is as before.
        UncertainError: a store does not say whether it was written.
    """
    log = folder / LOG
    entry = entry_path(log, version)
    text = "\n".join(json.dumps(action, separators=(",", ":")) for action in actions)
    if copies := copies_of(folder.parent):
        copies.commit(entry, text)
        return
    staged = log / f"{entry.name}#{uuid.uuid4().hex}"
    try:
        staged.write_text(text, "utf-8")
        sync_file(staged)
        try:
            entry.hardlink_to(staged)
        except FileExistsError:
            if not entry.samefile(staged):  # NFS may repeat a link that it made
                raise
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def written_aside(folder: Path, scratch: Path) -> Iterator[Path]:
    """Give a copy of a table's folder without its data; after the block its new log files are moved into the log.

    `scratch` is a folder on the same disk.

    Raises:
        FileExistsError: another writer has committed the version of a new entry.
    """
    log, copied = folder / LOG, scratch / folder.name / LOG
    copied.mkdir(parents=True)
    for path in log.glob("*") if log.is_dir() else ():
        if path.name == LAST_CHECKPOINT:
            shutil.copyfile(path, copied / path.name)
        elif path.suffix in {".json", ".parquet"}:
            (copied / path.name).hardlink_to(path)
    before = {path.name for path in copied.iterdir()} - {LAST_CHECKPOINT}
    yield copied.parent
    make_folder(log)  # on the disk before a data file is: a table with files and no log counts as damaged
    new = [path for path in copied.iterdir() if path.name not in before]
    copies = copies_of(folder.parent)
    for path in sorted(new, key=_order):
        if copies:
            copies.place(path, log / path.name)
            continue
        sync_file(path)
        if path.suffix == ".json":
            (log / path.name).hardlink_to(path)
        else:
            path.replace(log / path.name)
        sync_folder(log)  # a later entry must not be on the disk before this one


def _order(path: Path) -> tuple[bool, bool]:
    """Checkpoints come before the file that names the last one."""
    return path.name == LAST_CHECKPOINT, path.suffix == ".json"


def write_checkpoint(folder: Path, scratch: Path) -> None:
    """Write a checkpoint of a table's newest version.

    Raises:
        DeltaError, OSError: it can't be written; the log is as before.
    """
    with written_aside(folder, scratch) as copy:
        DeltaTable(copy).create_checkpoint()
