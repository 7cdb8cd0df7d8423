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
from pipeline.errors import LakeError
from pipeline.lake import Lake, Snapshot, folder_mode
from pipeline.published_file import (
    WRITE_BITS,
    add_comments,
    add_ready_made_views,
    add_snapshot_info,
    add_view,
    opened_file,
    select_from_files,
)
from pipeline.rate_copy import COPY, MADE_OF, copied_rates, path_of
from pipeline.revising import record_publication
from pipeline.settings import Settings
from pipeline.tables import (
    DELIVERY_REPORTS,
    DELIVERY_ROLLUPS_DAILY,
    DETAIL_TABLES,
    LAKE_TABLES,
    RATE_PUBLICATIONS,
    REJECTED_RECORDS,
    Table,
)
from pipeline.warehouse import connect, rows_of

PUBLISHING: Final = "publish"
"""Name of the lock that whoever writes the published files holds."""


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
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        with copied_rates(connection, lake, snapshots) as days:
            rollups = f"{COPY}.{DELIVERY_ROLLUPS_DAILY.name}"
            record_publication(connection, lake, days, rollups=rollups, now=now)
        snapshots[RATE_PUBLICATIONS.name] = lake.snapshot(RATE_PUBLICATIONS)
        shutil.copyfile(path_of(lake), path)
        with opened_file(connection, path):
            connection.execute(f"DROP TABLE {MADE_OF}")
            return _fill(connection, snapshots, settings, now)


def _fill(
    connection: duckdb.DuckDBPyConnection, snapshots: Mapping[str, Snapshot], settings: Settings, now: datetime
) -> dict[str, int]:
    """Add all that a file of rates lacks; return the rows of each table."""
    for table in DETAIL_TABLES:
        add_view(connection, table.name, _detail_select(table, snapshots[table.name]))
    rows = {name: snapshot.rows for name, snapshot in snapshots.items()}
    ((rows[REJECTED_RECORDS.name],),) = rows_of(connection, f"SELECT count(*) FROM {REJECTED_RECORDS.name}")
    of_all: tuple[Any, ...] = (now, snapshots[DELIVERY_REPORTS.name].latest, settings.timezone.key, __version__)
    add_snapshot_info(connection, [(name, rows[name], s.version, *of_all) for name, s in snapshots.items()])
    add_ready_made_views(connection)
    add_comments(connection, details="VIEW")
    return rows


def _detail_select(table: Table, snapshot: Snapshot) -> str:
    select = select_from_files(table, snapshot.files)
    if table is REJECTED_RECORDS:
        # A record that two runs set aside at the same time is one record.
        key = ", ".join(table.key)
        return f"SELECT DISTINCT ON ({key}) * FROM ({select}) ORDER BY {key}, rejected_at"
    return select
