"""What was published as mature, recorded in `rate_publications`, so that later changes stay visible (view `revisions`).

A bucket is recorded in the first publication that shows it as mature, and in each later one in which it differs from
its last record. A publication that is repeated after a kill finds its rows recorded and adds none.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from typing import Final

import duckdb

from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.queries import literal, query, relation, write_partition
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, RATE_PUBLICATIONS

SMALL_ROWS: Final = 50_000
"""Files with fewer rows are small."""
SMALL_FILES: Final = 32
"""Number of small files from which they are merged: a year of publications stays a handful of files."""
_PUBLICATIONS: Final = "publications"


def record_publication(
    connection: duckdb.DuckDBPyConnection, lake: Lake, days: Collection[date], *, rollups: str, now: datetime
) -> None:
    """Record the buckets of some days that are mature for the first time, or that changed since their last record.

    `rollups` is the table of `connection` that holds `delivery_rollups_daily` as published at `now`.

    Raises:
        LakeError: the lake can't be read or written.
    """
    if days:
        try:
            retry(lambda: _record(connection, lake, _show_days(connection, lake, days, rollups), now))
        finally:  # they would hide the tables of that name in the cache
            connection.execute(f"DROP VIEW IF EXISTS temp.{DELIVERY_ROLLUPS_DAILY.name}")
            connection.execute(f"DROP VIEW IF EXISTS temp.{RATE_PUBLICATIONS.name}")


def _show_days(connection: duckdb.DuckDBPyConnection, lake: Lake, days: Collection[date], rollups: str) -> Snapshot:
    """Show the days' roll-ups and their records as tables; return the snapshot that the records are from."""
    target = lake.snapshot(RATE_PUBLICATIONS)
    listed = ", ".join(f"DATE {literal(day.isoformat())}" for day in sorted(days))
    recorded = f"({relation(RATE_PUBLICATIONS, target.files)})"
    for name, source in ((DELIVERY_ROLLUPS_DAILY.name, rollups), (RATE_PUBLICATIONS.name, recorded)):
        select = f"SELECT * FROM {source} SEMI JOIN (SELECT unnest([{listed}]) AS sent_date) USING (sent_date)"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {select}")
    return target


def _record(connection: duckdb.DuckDBPyConnection, lake: Lake, target: Snapshot, now: datetime) -> None:
    number = (target.transaction(_PUBLICATIONS) or 0) + 1
    new = write_partition(
        connection,
        lake,
        RATE_PUBLICATIONS,
        select=query(f"publish/sql/{RATE_PUBLICATIONS.name}"),
        day=None,
        parameters={"publication": number, "now": now},
    )
    if new is not None:
        add, remove = _merge_small_files(connection, lake, target, new)
        lake.commit(target, add=[add], remove=remove, transactions={_PUBLICATIONS: number})


def _merge_small_files(
    connection: duckdb.DuckDBPyConnection, lake: Lake, target: Snapshot, new: DataFile
) -> tuple[DataFile, list[DataFile]]:
    """Return the file to add and those to remove: once there are many small files, one file with the rows of all."""
    small = [file for file in target.files if file.rows < SMALL_ROWS]
    if len(small) < SMALL_FILES:
        return new, []
    select = f"{relation(RATE_PUBLICATIONS, [*small, new])} ORDER BY {', '.join(RATE_PUBLICATIONS.key)}"
    merged = write_partition(connection, lake, RATE_PUBLICATIONS, select=select, day=None)
    new.path.unlink()
    return merged or new, small
