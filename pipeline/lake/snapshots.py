"""What a table of the lake consists of at one version: its files, as the transaction log names them.

What belongs here: schemas, files and their entries in the log. What does not: changing a table (`lake.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from pipeline.model.tables import PARTITION_KEY, SqlType, Table

_MARK_BITS: Final = 2**63 - 1
_KEPT_SECONDS: Final = 3600.0
"""Time for which what was read of a log may be used again: far less than entries of a log are kept."""
_NO_ENTRY: Final = (0, 0)
_STANDS_FOR: Final = re.compile(r"-for-([0-9a-f]{16})\.parquet$")
_ARROW_TYPES: Final[Mapping[SqlType, pa.DataType]] = {
    "VARCHAR": pa.string(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "DATE": pa.date32(),
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
}


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a table's columns, the partition key included."""
    return pa.schema([(column.name, _ARROW_TYPES[column.type]) for column in table.columns])


@dataclass(frozen=True)
class DataFile:
    """A Parquet file that is, or is about to be, part of a table.

    Attributes:
        path: absolute path.
        sent_date: its partition, None for rows without a date.
        rows: rows in it.
        size: bytes.
        latest: greatest `observed_at` in it, UTC; None where the table has no such column or it is not known.
        added_ms: when it became part of its table, Unix milliseconds by the writer's clock; 0 where it has not.
        maxima: greatest values of the table's `told_maxima`, in their order; None where they are not known.
    """

    path: Path
    sent_date: date | None
    rows: int
    size: int
    latest: datetime | None = None
    added_ms: int = 0
    maxima: tuple[int, ...] | None = None

    @property
    def mark(self) -> int:
        """A number of 63 bits for the rows in it: of its name, or the one that its name says it stands for."""
        stands_for = _STANDS_FOR.search(self.path.name)
        if stands_for:
            return int(stands_for[1], 16)
        return int.from_bytes(hashlib.blake2b(self.path.name.encode(), digest_size=8).digest()) & _MARK_BITS


@dataclass(frozen=True)
class Snapshot:
    """A table as of one version: what a reader may rely on, and what a commit starts from."""

    table: Table
    version: int
    files: tuple[DataFile, ...]
    handle: DeltaTable = field(repr=False)

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return rows_in(self.files)

    @property
    def latest(self) -> datetime | None:
        """Greatest `observed_at` of all files."""
        return max((file.latest for file in self.files if file.latest), default=None)

    def days(self) -> list[date]:
        """Return the partitions that have files, in order, those without a date left out."""
        return sorted({file.sent_date for file in self.files if file.sent_date})

    def of(self, days: Collection[date | None]) -> list[DataFile]:
        """Return the files of some partitions."""
        return [file for file in self.files if file.sent_date in days]

    def transaction(self, name: str) -> int | None:
        """Return the version of an application transaction, None where there was none."""
        version = self.handle.transaction_version(name)
        return None if version is None else int(version)


@dataclass(frozen=True)
class LogEntry:
    """An entry of a table's log, and how to tell whether what was read up to it may be used again.

    Opening a table costs milliseconds, more the longer its log is, and a run asks for each table some ten times.
    """

    log: Path
    version: int
    stamp: tuple[int, int]
    read_at: float

    @classmethod
    def now(cls, folder: Path, version: int) -> LogEntry:
        """Note the entry of a version that was just read in a table's folder."""
        log = folder / "_delta_log"
        return cls(log, version, _stamp(_entry(log, version)), time.monotonic())

    def stands(self) -> bool:
        """Say whether the entry is the same file still: no other lake was put back in place of this one."""
        is_recent = time.monotonic() - self.read_at < _KEPT_SECONDS
        return is_recent and self.stamp != _NO_ENTRY and self.stamp == _stamp(_entry(self.log, self.version))

    def is_newest(self) -> bool:
        """Say whether it stands, and none came after it.

        Cleaning the log may remove a later entry, but none younger than days.
        """
        return self.stands() and not _entry(self.log, self.version + 1).exists()


def _entry(log: Path, version: int) -> Path:
    return log / f"{version:020}.json"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        there = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _NO_ENTRY
    return there.st_ino, there.st_mtime_ns


def snapshot_of(table: Table, handle: DeltaTable, folder: Path) -> Snapshot:
    """List a table's files at the version of a handle."""
    actions = pa.RecordBatchReader.from_stream(handle.get_add_actions(flatten=True)).read_all()  # pa.table needs pandas
    columns = (
        "path",
        f"partition.{PARTITION_KEY}",
        "num_records",
        "size_bytes",
        "max.observed_at",
        "modification_time",
    )
    maxima = _listed(actions, [f"max.{name}" for name in table.told_maxima])
    files = tuple(
        DataFile(folder / unquote(path), day, rows, size, latest, added_ms, _if_known(greatest))
        for (path, day, rows, size, latest, added_ms), greatest in zip(_listed(actions, columns), maxima, strict=True)
    )
    return Snapshot(table, handle.version(), files, handle)


def _listed(actions: pa.Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return some columns as rows; one that no file has a value for is not there, and null."""
    if not columns:
        return [()] * actions.num_rows
    there, nothing = set(actions.column_names), [None] * actions.num_rows
    return list(zip(*(actions[name].to_pylist() if name in there else nothing for name in columns), strict=True))


def _if_known(greatest: tuple[int | None, ...]) -> tuple[int, ...] | None:
    known = tuple(value for value in greatest if value is not None)
    return known if known and len(known) == len(greatest) else None


def greatest_values(table: Table, path: Path) -> tuple[int, ...] | None:
    """Return the greatest values of a table's `told_maxima` in a file, from its footer; None where it does not tell."""
    if not table.told_maxima:
        return None
    footer = pq.read_metadata(path)
    places = [footer.schema.names.index(name) for name in table.told_maxima]
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    found = [[_greatest(group.column(place).statistics) for group in groups] for place in places]
    if not groups or any(None in column for column in found):
        return None
    return tuple(max(value for value in column if value is not None) for column in found)


def _greatest(statistics: pq.Statistics | None) -> int | None:
    return None if statistics is None or not statistics.has_min_max else int(str(statistics.max))


def replaced_files(folder: Path) -> dict[Path, datetime]:
    """Return when files were taken out of a table, as far as its log tells: newest checkpoint, entries after it."""
    log = folder / "_delta_log"
    found: dict[Path, datetime] = {}
    checkpoints = sorted(log.glob("*.checkpoint*.parquet"))
    start = checkpoints[-1].name.partition(".")[0] if checkpoints else ""
    for checkpoint in (path for path in checkpoints if path.name.startswith(start)):
        for entry in pq.read_table(checkpoint, columns=["remove"])["remove"].to_pylist():
            found |= _removal(folder, entry)
    for path in sorted(log.glob("*.json")):
        if path.name >= start:
            for line in path.read_text("utf-8").splitlines():
                found |= _removal(folder, json.loads(line).get("remove"))
    return found


def _removal(folder: Path, entry: dict[str, object] | None) -> dict[Path, datetime]:
    if not entry:
        return {}
    when = entry.get("deletionTimestamp")
    return {folder / unquote(str(entry["path"])): datetime.fromtimestamp(int(str(when or 0)) / 1000, UTC)}


def mark_of(files: Iterable[DataFile]) -> int:
    """Return a number of 63 bits for the rows of a set of immutable files; compacting them does not change it."""
    return sum(file.mark for file in files) & _MARK_BITS


def rows_in(files: Iterable[DataFile]) -> int:
    """Return the rows of some files."""
    return sum(file.rows for file in files)


def is_derived(target: Snapshot, inputs: Iterable[DataFile], day: date) -> bool:
    """Say whether a partition of `messages` or of a rate table was derived from these files, and no others."""
    return target.transaction(f"{target.table.name}/{day}") == mark_of(inputs)


def stand_in_name(name: str, replaced: Iterable[DataFile]) -> str:
    """Return the name of a file that holds the rows of others."""
    return f"{name}-for-{mark_of(replaced):016x}"


def add_action(table: Table, file: DataFile, root: Path, *, data_change: bool) -> AddAction:
    """Return the entry that makes a file part of the table in a folder."""
    stats: dict[str, object] = {"numRecords": file.rows}
    greatest: dict[str, object] = dict(zip(table.told_maxima, file.maxima or (), strict=False))
    if file.latest is not None:
        greatest["observed_at"] = file.latest.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if greatest:
        stats["maxValues"] = greatest
    return AddAction(
        str(file.path.relative_to(root)),
        file.size,
        _partition_values(table, file),
        file.added_ms or now_ms(),
        data_change=data_change,
        stats=json.dumps(stats),
    )


def remove_action(table: Table, file: DataFile, root: Path, *, data_change: bool) -> RemoveAction:
    """Return the entry that takes a file out of the table in a folder."""
    values = _partition_values(table, file)
    return RemoveAction(str(file.path.relative_to(root)), data_change, now_ms(), file.size, values)


def _partition_values(table: Table, file: DataFile) -> dict[str, str | None]:
    return dict.fromkeys(table.partition_keys, file.sent_date.isoformat() if file.sent_date else None)


def now_ms() -> int:
    """Return the present in Unix milliseconds, as Delta's log stamps files."""
    return int(time.time() * 1000)
