"""Entries of a table's Delta log: read as lists of files, written as add and remove actions.

What belongs here: the format of the log. What does not: when something is committed (`commits.py`).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from pipeline import __version__
from pipeline.lake.log_entries import LOG, entry_path
from pipeline.lake.snapshots import DataFile, Snapshot
from pipeline.model.tables import PARTITION_KEY, Table

_REUSE_SECONDS: Final = 3600.0
"""How long a listing may be reused: far shorter than entries of the log are kept."""
_NO_ENTRY: Final = (0, 0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FILE_FIELDS: Final = ("path", f"partition.{PARTITION_KEY}", "num_records", "size_bytes", "modification_time")


@dataclass(frozen=True)
class LogEntry:
    """An entry of the log, and whether what was read up to it may be reused.

    Opening a table takes milliseconds, more for a longer log, and a run opens each table about ten times.
    """

    log: Path
    version: int
    stamp: tuple[int, int]
    read_at: float

    @classmethod
    def now(cls, folder: Path, version: int) -> LogEntry:
        """Remember the entry of a version that was just read in a table's folder."""
        log = folder / LOG
        return cls(log, version, _stamp(entry_path(log, version)), time.monotonic())

    def is_unchanged(self) -> bool:
        """Say whether the entry is still the same file: no backup of the lake was restored over it."""
        is_recent = time.monotonic() - self.read_at < _REUSE_SECONDS
        return is_recent and self.stamp != _NO_ENTRY and self.stamp == _stamp(entry_path(self.log, self.version))

    def is_newest(self) -> bool:
        """Say whether it is unchanged and the last one; cleaning the log removes only entries that are days old."""
        return self.is_unchanged() and not entry_path(self.log, self.version + 1).exists()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _NO_ENTRY
    return status.st_ino, status.st_mtime_ns


def snapshot_of(table: Table, handle: DeltaTable, folder: Path) -> Snapshot:
    """List a table's files at the version of a handle."""
    actions = pa.RecordBatchReader.from_stream(handle.get_add_actions(flatten=True)).read_all()  # pa.table needs pandas
    names = [*_FILE_FIELDS, *(f"max.{name}" for name in table.logged_maxima)]
    known, nulls = set(actions.column_names), [None] * actions.num_rows  # a column without a value is missing
    columns = [_values(actions[name]) if name in known else nulls for name in names]
    files = tuple(
        DataFile(folder / unquote(path), day, rows, size, added_ms, _named(table, maxima))
        for path, day, rows, size, added_ms, *maxima in zip(*columns, strict=True)
    )
    return Snapshot(table, handle.version(), files, handle)


def _values(column: pa.ChunkedArray[Any]) -> list[Any]:
    """Return a column's values; times are made here, since pyarrow imports pandas for one."""
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()
    since = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    return [None if each is None else _EPOCH + timedelta(microseconds=each) for each in since]


def _named(table: Table, maxima: Sequence[Any]) -> dict[str, Any]:
    return {name: value for name, value in zip(table.logged_maxima, maxima, strict=True) if value is not None}


def commit_info(table: Table) -> dict[str, Any]:
    """Return the action that says who wrote an entry: its last line, so that an entry without it was cut.

    No two entries are the same: a writer that asks whether its entry is there knows its own.
    """
    keys = json.dumps(table.partition_keys)
    info = {"timestamp": now_ms(), "operation": "WRITE", "operationParameters": {"mode": "Append", "partitionBy": keys}}
    return {"commitInfo": info | {"engineInfo": f"sms-delivery:{__version__}", "txnId": str(uuid.uuid4())}}


def add_action(table: Table, file: DataFile, root: Path, *, data_change: bool) -> dict[str, Any]:
    """Return the action that adds a file to the table in a folder."""
    maxima = {name: _as_json(value) for name, value in file.maxima.items()}
    return {
        "add": {
            "path": str(file.path.relative_to(root)),
            "partitionValues": _partition_values(table, file),
            "size": file.size,
            "modificationTime": file.added_ms or now_ms(),
            "dataChange": data_change,
            "stats": json.dumps({"numRecords": file.rows} | ({"maxValues": maxima} if maxima else {})),
        }
    }


def _as_json(value: Any) -> Any:
    is_time = isinstance(value, datetime)
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if is_time else value


def remove_action(table: Table, file: DataFile, root: Path, *, data_change: bool) -> dict[str, Any]:
    """Return the action that removes a file from the table in a folder."""
    return {
        "remove": {
            "path": str(file.path.relative_to(root)),
            "deletionTimestamp": now_ms(),
            "dataChange": data_change,
            "extendedFileMetadata": True,
            "partitionValues": _partition_values(table, file),
            "size": file.size,
        }
    }


def transaction_action(name: str, version: int) -> dict[str, Any]:
    """Return the action that records an application transaction."""
    return {"txn": {"appId": name, "version": version, "lastUpdated": now_ms()}}


def _partition_values(table: Table, file: DataFile) -> dict[str, str | None]:
    return dict.fromkeys(table.partition_keys, file.sent_date.isoformat() if file.sent_date else None)


def replaced_files(folder: Path) -> dict[Path, datetime]:
    """Return when files were removed from a table, by the newest checkpoint and the entries since."""
    return {
        folder / unquote(removal["path"]): datetime.fromtimestamp((removal.get("deletionTimestamp") or 0) / 1000, UTC)
        for removal in log_actions(folder, "remove")
    }


def log_actions(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the actions of a kind in the newest checkpoint and the entries since, without lines that are cut."""
    log = folder / LOG
    checkpoints = sorted(log.glob("*.checkpoint*.parquet"))
    start = checkpoints[-1].name.partition(".")[0] if checkpoints else ""
    actions: list[dict[str, Any] | None] = []
    for checkpoint in (path for path in checkpoints if path.name.startswith(start)):
        actions += pq.read_table(checkpoint, columns=[kind])[kind].to_pylist()
    for path in (path for path in sorted(log.glob("*.json")) if path.name >= start):
        actions += [_parsed(line).get(kind) for line in path.read_bytes().splitlines()]
    return [action for action in actions if action]


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def now_ms() -> int:
    """Return the current time in Unix milliseconds, as the Delta log stores it."""
    return int(time.time() * 1000)
