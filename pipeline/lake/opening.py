"""Opening a lake: its folder, its empty tables, the settings recorded in it, leftovers of dead processes.

What belongs here: what happens once per process. What does not: reading and committing (`lake.py`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deltalake import DeltaTable, Field, Schema
from deltalake.exceptions import DeltaError

from pipeline.lake.copies import copies_of
from pipeline.lake.damage import LogFiles
from pipeline.lake.durable import make_folder
from pipeline.lake.locks import SharedFolder
from pipeline.lake.log_entries import written_aside
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.texts import change_text, read_text
from pipeline.lake.trust import check_lake
from pipeline.lake.versions import clear_notes, noted
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.settings import NUMBERS_KEY
from pipeline.model.tables import LAKE_TABLES, Table

RECORDED: Final = "settings.json"
"""File of the settings that may not change for the life of a lake."""
_IDENTITY: Final = "lake"
"""Key in it, of a lake in a bucket: a random name, by which copies of a former lake at that URL are known."""
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_STAGED_SECONDS: Final = 60.0
"""Age at which a log entry that Delta wrote and did not rename belongs to a dead process: Delta renames it at once."""


def use_mode(mode: int) -> None:
    """Let this process create files with a mode from now on, and folders that whoever may read may enter."""
    os.umask(0o777 & ~(mode | (mode & 0o444) >> 2))


def prepare(folder: Path, *, mode: int, recorded: Mapping[str, str]) -> None:
    """Create what is missing of a lake, check its recorded settings, delete what dead processes left: `Lake.open`."""
    use_mode(mode)
    shared = SharedFolder(folder, mode)
    try:
        make_folder(folder)
        check_lake(folder, mode=mode)
        with shared.lock("create"):
            _check_recorded(shared, recorded)
            if copies := copies_of(folder):
                copies.start_anew()
                copies.refresh_logs(folder / table.name for table in LAKE_TABLES)
            for table in LAKE_TABLES:
                _create(shared, table)
            _clear_staged(folder)  # Delta writes entries in `_create` alone, so none of a live process is met
        shared.clear_scratch()
        clear_notes(shared)
    except (DeltaError, OSError) as error:
        # Delta's own errors have no number: they come after the folder was found usable.
        number = getattr(error, "errno", None)
        kind = LakeError if number is None or number in _DISK_FULL else SettingsError
        raise kind(f"SMS_LAKE: {folder} can't be used: {getattr(error, 'strerror', None) or error}") from error


def _check_recorded(shared: SharedFolder, recorded: Mapping[str, str]) -> None:
    text, copies = read_text(shared, RECORDED), copies_of(shared.folder)
    if text is None and copies:
        copies.store.check_conditions()
    if text is None:
        text = _record(shared, recorded)
    place = copies.store.url if copies else str(shared.folder)
    try:
        former: dict[str, str] = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise LakeError(f"SMS_LAKE: {place}: {RECORDED} can't be read; restore it from a backup") from error
    for name, value in recorded.items():
        if former.get(name, value) != value:
            other = _other(name, value, former[name], place)
            raise SettingsError(f"{name}: {other}; set it back, or start another lake")
    if not recorded.keys() <= former.keys():  # an earlier version made the lake
        _record(shared, recorded)
    if copies:
        copies.check_identity(former.get(_IDENTITY, ""))


def recorded_settings(folder: Path) -> dict[str, str]:
    """Return the settings that a lake was made with, by name; none without a lake."""
    return dict(json.loads(read_text(SharedFolder(folder, 0), RECORDED) or "{}"))


def _record(shared: SharedFolder, recorded: Mapping[str, str]) -> str:
    """Record settings unless they are; return the text. A lake in a bucket gets an identity of its own."""
    identity = {_IDENTITY: uuid.uuid4().hex} if copies_of(shared.folder) else {}

    def with_former(former: str | None) -> str:
        return json.dumps(identity | dict(recorded) | (json.loads(former) if former else {}), indent=2) + "\n"

    return change_text(shared, RECORDED, with_former)


def _other(name: str, value: str, former: str, place: str) -> str:
    if name == NUMBERS_KEY:
        return f"is not the key that the numbers in the lake {place} are hashed with"
    return f"is {value}, but the lake {place} was made with {former}"


def _create(shared: SharedFolder, table: Table) -> None:
    """Create a table, or add the columns that a lake made by an earlier version lacks; its files stay as they are."""
    folder = shared.folder / table.name
    if LogFiles.of(folder).newest < 0:
        if noted(shared, table) is None and not _has_data(folder):
            with contextlib.suppress(FileExistsError), shared.scratch() as scratch:
                with written_aside(folder, scratch) as copy:
                    create_empty(copy, table)
                return
            _refresh(folder)  # another machine made it at the same time
        return  # of a table that had rows the log has gone: `Lake.snapshot` says so
    with contextlib.suppress(DeltaError):  # a damaged log: `Lake.snapshot` says what is wrong
        missing = _missing_columns(DeltaTable(folder), table)
        if missing:
            with shared.scratch() as scratch, written_aside(folder, scratch) as copy:
                DeltaTable(copy).alter.add_columns(missing)


def _has_data(folder: Path) -> bool:
    copies = copies_of(folder.parent)
    return bool(copies.stored_in(folder)) if copies else any(folder.rglob("*.parquet"))


def _refresh(folder: Path) -> None:
    if copies := copies_of(folder.parent):
        copies.refresh_log(folder)


def create_empty(folder: Path, table: Table) -> None:
    """Create a table without rows in a folder."""
    DeltaTable.create(
        folder,
        schema=arrow_schema(table),
        mode="ignore",
        partition_by=table.partition_keys,
        name=table.name,
        description=table.row,
    )


def _missing_columns(present: DeltaTable, table: Table) -> list[Field]:
    known = {field.name for field in present.schema().fields}
    return [field for field in Schema.from_arrow(arrow_schema(table)).fields if field.name not in known]


def _clear_staged(folder: Path) -> None:
    """Delete log entries that Delta wrote (`….json#1`) and a dead process did not rename."""
    for path in folder.glob("*/_delta_log/*#*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STAGED_SECONDS:
                path.unlink()
