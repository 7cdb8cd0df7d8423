"""Use case: publish the lake as a DuckDB file that analysts open.

The file is built beside its place and swapped in: whoever has the old one open keeps one consistent snapshot,
whoever connects next sees the new one, and no writer ever holds a lock on what analysts see.
Detail tables are views over the lake's files, named one by one; rate tables are small and are copied.
Before that, what is published as mature is recorded (`revising.py`).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline import __version__
from pipeline.lake.lake import Lake, Snapshot, folder_mode
from pipeline.lake.queries import connect, create_table, relation, rows_of
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import (
    DELIVERY_REPORTS,
    DELIVERY_ROLLUPS_DAILY,
    DETAIL_TABLES,
    LAKE_TABLES,
    RATE_PUBLICATIONS,
    RATE_TABLES,
    REJECTED_RECORDS,
    SNAPSHOT_INFO,
    Table,
)
from pipeline.publish.cache import (
    BOOKS,
    COPY,
    bring_rates_up_to_date,
    digest_of,
    made_as,
    note_made,
    opened_copy,
    path_of,
)
from pipeline.publish.contents import (
    WRITE_BITS,
    add_ready_made_views,
    add_snapshot_info,
    add_view,
    comment_on_ready_made_views,
    comment_on_tables,
    opened_file,
)
from pipeline.publish.history import record_publication

PUBLISHING: Final = "publish"
"""Name of the lock that whoever writes the published files holds."""
_READY_MADE: Final = "ready-made views"
"""Name under which the copy notes that it has all that follows from no file."""


@dataclass(frozen=True)
class Publication:
    """What was published.

    Attributes:
        path: the DuckDB file.
        rows: rows by table.
        published_at: when it was made, UTC.
        data_as_of: when the latest answer in it arrived, UTC; None before the first.
    """

    path: Path
    rows: Mapping[str, int]
    published_at: datetime
    data_as_of: datetime | None


def publish(*, lake: Lake, settings: Settings, now: datetime) -> Publication:
    """Build the DuckDB file anew from the lake and swap it in.

    One publication at a time: a second one waits, then reads what the lake holds by then, so that the last
    one has all that was committed before it.

    Raises:
        LakeError: the lake can't be read, or the file can't be written.
    """
    path = settings.duckdb
    with lake.lock(PUBLISHING):
        snapshots = {table.name: lake.snapshot(table) for table in LAKE_TABLES}
        try:
            _make_folder(path.parent, settings.file_mode)
            _clear_leftovers(path)
            beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
            rows = _build(beside, lake, snapshots, settings, now)
            beside.chmod(settings.file_mode & ~WRITE_BITS)
            # A read-write connection of an analyst leaves a .wal that would make each new reader fail.
            path.with_name(path.name + ".wal").unlink(missing_ok=True)
            beside.replace(path)
        except (OSError, duckdb.Error) as error:
            _clear_leftovers(path)
            raise LakeError(f"SMS_DUCKDB: {path} can't be published: {error}") from error
    return Publication(path, rows, now, snapshots[DELIVERY_REPORTS.name].latest)


def _make_folder(folder: Path, mode: int) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(folder_mode(mode))


def _clear_leftovers(path: Path) -> None:
    """Remove what a publication that died left; none is under way, as the caller holds the lock."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp*"):
        leftover.unlink(missing_ok=True)


def _build(path: Path, lake: Lake, snapshots: dict[str, Snapshot], settings: Settings, now: datetime) -> dict[str, int]:
    """Make the file of a copy of what was made before, brought up to date; return the rows of each table."""
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        with opened_copy(connection, lake):
            days = bring_rates_up_to_date(connection, snapshots)
            rollups = f"{COPY}.{DELIVERY_ROLLUPS_DAILY.name}"
            record_publication(connection, lake, days, rollups=rollups, now=now)
            snapshots[RATE_PUBLICATIONS.name] = lake.snapshot(RATE_PUBLICATIONS)
            rows = {name: snapshot.rows for name, snapshot in snapshots.items()}
            rows[REJECTED_RECORDS.name] = _bring_views_up_to_date(connection, snapshots)
        shutil.copyfile(path_of(lake), path)
        of_all: tuple[Any, ...] = (now, snapshots[DELIVERY_REPORTS.name].latest, settings.timezone.key, __version__)
        with opened_file(connection, path):
            for book in BOOKS:
                connection.execute(f"DROP TABLE {book}")
            add_snapshot_info(connection, [(name, rows[name], s.version, *of_all) for name, s in snapshots.items()])
    return rows


def _bring_views_up_to_date(connection: duckdb.DuckDBPyConnection, snapshots: Mapping[str, Snapshot]) -> int:
    """Make the views of the copy that name other files than those of now; return the rows of `rejected_records`."""
    known = made_as(connection)
    connection.execute(f"USE {COPY}")
    for table in DETAIL_TABLES:
        select = _detail_select(table, snapshots[table.name])
        digest = digest_of(select)
        if known.get(table.name, ("",))[0] != digest:
            add_view(connection, table.name, select)
            comment_on_tables(connection, [table], kind="VIEW")
            note_made(connection, table.name, digest, _rows_if_made_unique(connection, table))
    if _READY_MADE not in known:
        create_table(connection, SNAPSHOT_INFO)
        comment_on_tables(connection, (*RATE_TABLES, SNAPSHOT_INFO))
        add_ready_made_views(connection)
        comment_on_ready_made_views(connection)
        note_made(connection, _READY_MADE, "")
    connection.execute("USE work")
    return made_as(connection)[REJECTED_RECORDS.name][1] or 0


def _rows_if_made_unique(connection: duckdb.DuckDBPyConnection, table: Table) -> int | None:
    """Count the rows of a view that has fewer than its files."""
    if table is not REJECTED_RECORDS:
        return None
    ((rows,),) = rows_of(connection, f"SELECT count(*) FROM {table.name}")
    return int(rows)


def _detail_select(table: Table, snapshot: Snapshot) -> str:
    select = relation(table, snapshot.files)
    if table is REJECTED_RECORDS:
        # A record that two runs set aside at the same time is one record.
        key = ", ".join(table.key)
        return f"SELECT DISTINCT ON ({key}) * FROM ({select}) ORDER BY {key}, rejected_at"
    return select
