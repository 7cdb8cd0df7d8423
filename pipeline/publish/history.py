"""What was published as mature, recorded, so that a later change of it stays visible (view `revisions`).

A bucket is recorded when a publication first shows it as mature, and again at each publication in which it differs
from what was recorded last. A publication that is repeated after a kill finds its rows recorded and adds none.
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
"""Rows below which a file is one of those that are put together."""
SMALL_FILES: Final = 32
"""Small files from which they are put together: a year of publications stays a handful of files."""
_PUBLICATIONS: Final = "publications"


def record_publication(
    connection: duckdb.DuckDBPyConnection, lake: Lake, days: Collection[date], *, rollups: str, now: datetime
) -> None:
    """Record the buckets of some days that are published as mature for the first time, or that have changed since.

    Args:
        connection: where `rollups` is.
        lake: where it is recorded.
        days: days whose rates may have changed since the last publication.
        rollups: the table of that connection that holds `delivery_rollups_daily` as it is published now.
        now: when that is.

    Raises:
        LakeError: the lake can't be read or written.
    """
    if days:
        try:
            retry(lambda: _record(connection, lake, _shown(connection, lake, days, rollups), now))
        finally:  # names of the file that is published next
            connection.execute(f"DROP VIEW IF EXISTS temp.{DELIVERY_ROLLUPS_DAILY.name}")
            connection.execute(f"DROP VIEW IF EXISTS temp.{RATE_PUBLICATIONS.name}")


def _shown(connection: duckdb.DuckDBPyConnection, lake: Lake, days: Collection[date], rollups: str) -> Snapshot:
    """Make the days' roll-ups and what is recorded of them readable; return the snapshot that tells the latter."""
    target = lake.snapshot(RATE_PUBLICATIONS)
    listed = ", ".join(f"DATE {literal(day.isoformat())}" for day in sorted(days))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE days_looked_at AS SELECT unnest([{listed}]) AS sent_date")
    recorded = relation(RATE_PUBLICATIONS, target.files)
    for name, source in ((DELIVERY_ROLLUPS_DAILY.name, f"FROM {rollups}"), (RATE_PUBLICATIONS.name, recorded)):
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM ({source}) SEMI JOIN days_looked_at USING (sent_date)"
        )
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
    if new is None:
        return
    add, remove = _put_together(connection, lake, target, new)
    lake.commit(target, add=[add], remove=remove, transactions={_PUBLICATIONS: number})


def _put_together(
    connection: duckdb.DuckDBPyConnection, lake: Lake, target: Snapshot, new: DataFile
) -> tuple[DataFile, list[DataFile]]:
    """Return the file to add and those that go: all small ones in one, once there are many."""
    small = [file for file in target.files if file.rows < SMALL_ROWS]
    if len(small) < SMALL_FILES:
        return new, []
    select = f"{relation(RATE_PUBLICATIONS, [*small, new])} ORDER BY {', '.join(RATE_PUBLICATIONS.key)}"
    whole = write_partition(connection, lake, RATE_PUBLICATIONS, select=select, day=None)
    new.path.unlink()
    return whole or new, small
