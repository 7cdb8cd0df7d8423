"""Use case: merge the many small files of closed partitions to few large ones.

A partition is closed once no message of it may change: each is final or given up, and all are derived. Rows and their
order stay. Nothing is derived again: the new file's name carries the mark of the old ones (`lake/snapshots.py`), and
it keeps their time of arrival. Readers of the old files can go on; `clean.py` deletes them later. If another writer
changed the partition, its compaction is dropped until the next day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, groupby
from typing import Final

import duckdb

from pipeline.follow.due import due_parameters
from pipeline.lake.lake import DataFile, Lake, Snapshot, StaleSnapshotError
from pipeline.lake.queries import database, query, relation, rows_of, show_files, write_partition
from pipeline.lake.snapshots import rows_in
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import LAKE_TABLES, MESSAGES, SENT_MESSAGES, Table

SMALL_BYTES: Final = 32 * 2**20
"""Smaller files are merged."""
LARGE_BYTES: Final = 128 * 2**20
"""Largest size of a merged file."""
REST: Final = timedelta(hours=1)
"""Time without a new file before a partition is compacted."""
_AFTER_DAYS: Final = 2
"""Today and yesterday are never closed: their logs are still being written."""


@dataclass
class CompactTally:
    """What compacting did: partitions by table, and those left for another day because another writer changed them."""

    partitions: Counter[str] = field(default_factory=Counter)
    files_before: int = 0
    files_after: int = 0
    left: int = 0


def compact(*, lake: Lake, settings: Settings, now: datetime) -> CompactTally:
    """Compact the partitions of every table that are closed at `now`, streaming.

    Raises:
        LakeError: the lake can't be read or written.
    """
    tally = CompactTally()
    with database(lake, settings) as connection:
        for table in LAKE_TABLES:
            present = lake.snapshot(table)
            crowded = {day: bins for day in _resting(present, now) if (bins := list(_bins(present.of([day]))))}
            for day in sorted(_closed(connection, lake, crowded, settings, now), key=str):
                _compact_partition(connection, lake, table, crowded[day], tally)
    return tally


def _resting(present: Snapshot, now: datetime) -> set[date | None]:
    """Return the partitions without a new file for the time `REST`."""
    newest = {file.sent_date: file.added_ms for file in sorted(present.files, key=lambda file: file.added_ms)}
    return {day for day, added in newest.items() if datetime.fromtimestamp(added / 1000, UTC) <= now - REST}


def _bins(files: Iterable[DataFile]) -> Iterator[list[DataFile]]:
    """Yield groups of small files of a partition, oldest first; each group becomes one file."""
    small = sorted((f for f in files if f.size < SMALL_BYTES), key=lambda f: (f.added_ms, f.path.name))
    ends = accumulate(file.size for file in small)
    for _, group in groupby(zip(small, ends, strict=True), lambda placed: (placed[1] - 1) // LARGE_BYTES):
        if len(together := [file for file, _ in group]) > 1:
            yield together


def _closed(
    connection: duckdb.DuckDBPyConnection, lake: Lake, days: Collection[date | None], settings: Settings, now: datetime
) -> set[date | None]:
    """Return the closed ones of some partitions; rejects without a day concern no message."""
    ended = settings.today(now) - timedelta(days=_AFTER_DAYS)
    old = {day for day in days if day is None or day <= ended}
    sent, derived = lake.snapshot(SENT_MESSAGES), lake.snapshot(MESSAGES)
    old -= {day for day in old if day and rows_in(sent.of([day])) != rows_in(derived.of([day]))}
    show_files(connection, MESSAGES, derived.of(old))
    unsettled = rows_of(connection, query("maintain/sql/unsettled_days"), due_parameters(settings, now))
    return old - {day for (day,) in unsettled}


def _compact_partition(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    table: Table,
    bins: Sequence[Sequence[DataFile]],
    tally: CompactTally,
) -> None:
    add = [_rewritten(connection, lake, table, files) for files in bins]
    remove = [file for files in bins for file in files]
    try:
        lake.commit(lake.snapshot(table), add=add, remove=remove, data_change=False)
    except StaleSnapshotError:
        tally.left += 1
        return
    tally.partitions[table.name] += 1
    tally.files_before += len(remove)
    tally.files_after += len(add)


def _rewritten(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, files: Sequence[DataFile]) -> DataFile:
    """Write the rows of some files of a partition to one file, in their order."""
    select = relation(table, files)
    new = write_partition(connection, lake, table, select=select, day=files[0].sent_date, in_place_of=files)
    if new is None or new.rows != rows_in(files):
        raise LakeError(f"{table.name} of {files[0].sent_date} can't be compacted: its files lack or add rows")
    return replace(new, added_ms=max(file.added_ms for file in files))
