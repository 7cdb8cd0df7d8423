"""Use case: make few large files of the many small ones that runs leave in partitions which are closed.

A partition is closed once no message of it may change: each is final or was given up, and all is derived. Rows stay
as they are and in their order, and nothing is derived again for it: the new file's name says for which ones it
stands (`snapshots.py`), and it keeps the time from which their rows are known. Whoever reads the old files can go on;
`clean.py` deletes them later. A commit that meets a change by somebody else is dropped, and tried again the next day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Final

import duckdb

from pipeline.follow.polling import API_MEMORY
from pipeline.lake.lake import DataFile, Lake, Snapshot, StaleSnapshotError
from pipeline.lake.queries import Scalar, connect, query, relation, rows_of, show_files, write_partition
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import LAKE_TABLES, MESSAGES, SENT_MESSAGES, Table

SMALL_BYTES: Final = 32 * 2**20
"""Files below this are made one."""
LARGE_BYTES: Final = 128 * 2**20
"""The sum of sizes up to which files are made one."""
REST: Final = timedelta(hours=1)
"""Time without a new file after which a partition is looked at."""
_AFTER_DAYS: Final = 2
"""Today and yesterday are never closed: logs of them are still being written."""


@dataclass
class CompactTally:
    """What compacting did.

    Attributes:
        partitions: partitions compacted, by table.
        files_before: small files that were made few.
        files_after: what they became.
        left: partitions left for another day, since somebody else changed them meanwhile.
    """

    partitions: dict[str, int] = field(default_factory=dict)
    files_before: int = 0
    files_after: int = 0
    left: int = 0


def compact(*, lake: Lake, settings: Settings, now: datetime) -> CompactTally:
    """Compact the closed partitions of every table; memory does not grow with them.

    Args:
        lake: the tables.
        settings: when a message is given up, and memory.
        now: the instant at which partitions are closed.

    Raises:
        LakeError: the lake can't be read or written.
    """
    tally = CompactTally()
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        for table in LAKE_TABLES:
            present = lake.snapshot(table)
            crowded = {day: bins for day in _resting(present, now) if (bins := list(_bins(present.of([day]))))}
            closed = _closed(connection, lake, crowded, settings, now)
            for day in sorted(closed, key=str):
                _compact_partition(connection, lake, present, crowded[day], tally)
    return tally


def _resting(present: Snapshot, now: datetime) -> set[date | None]:
    """Return the partitions that nobody has added a file to for a while."""
    newest: dict[date | None, int] = {}
    for file in present.files:
        newest[file.sent_date] = max(file.added_ms, newest.get(file.sent_date, 0))
    return {day for day, added in newest.items() if datetime.fromtimestamp(added / 1000, UTC) <= now - REST}


def _bins(files: Iterable[DataFile]) -> Iterator[list[DataFile]]:
    """Part the small files of a partition, oldest first, into groups of which each becomes one file."""
    small = sorted((f for f in files if f.size < SMALL_BYTES), key=lambda f: (f.added_ms, f.path.name))
    total = 0

    def bin_of(file: DataFile) -> int:
        nonlocal total
        total += file.size
        return (total - 1) // LARGE_BYTES

    for _, group in groupby(small, bin_of):
        if len(together := list(group)) > 1:
            yield together


def _closed(
    connection: duckdb.DuckDBPyConnection, lake: Lake, days: Collection[date | None], settings: Settings, now: datetime
) -> set[date | None]:
    """Return those of some partitions in which no message may change; rejects without a day concern none."""
    ended = settings.today(now) - timedelta(days=_AFTER_DAYS)
    old = {day for day in days if day is None or day <= ended}
    sent, derived = lake.snapshot(SENT_MESSAGES), lake.snapshot(MESSAGES)
    old -= {day for day in old if day and _rows(sent.of([day])) != _rows(derived.of([day]))}
    show_files(connection, MESSAGES, derived.of(old))
    parameters: dict[str, Scalar] = {
        "now": now,
        "give_up_seconds": settings.give_up_after.total_seconds(),
        "memory_seconds": API_MEMORY.total_seconds(),
    }
    return old - {day for (day,) in rows_of(connection, query("maintain/sql/unsettled_days"), parameters)}


def _rows(files: Iterable[DataFile]) -> int:
    return sum(file.rows for file in files)


def _compact_partition(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    present: Snapshot,
    bins: Sequence[Sequence[DataFile]],
    tally: CompactTally,
) -> None:
    add = [_rewritten(connection, lake, present.table, files) for files in bins]
    remove = [file for files in bins for file in files]
    try:
        lake.commit(lake.snapshot(present.table), add=add, remove=remove, data_change=False)
    except StaleSnapshotError:
        tally.left += 1
        return
    name = present.table.name
    tally.partitions[name] = tally.partitions.get(name, 0) + 1
    tally.files_before += len(remove)
    tally.files_after += len(add)


def _rewritten(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, files: Sequence[DataFile]) -> DataFile:
    """Write the rows of some files of a partition to one, in their order."""
    select = relation(table, files)
    new = write_partition(connection, lake, table, select=select, day=files[0].sent_date, in_place_of=files)
    if new is None or new.rows != _rows(files):
        raise LakeError(f"{table.name} of {files[0].sent_date} could not be compacted: its files have other rows")
    latest = max((file.latest for file in files if file.latest), default=None)
    return replace(new, latest=latest, added_ms=max(file.added_ms for file in files))
