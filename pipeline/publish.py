"""Use case: publish the lake as a DuckDB file that analysts open.

The file is built beside its place and swapped in: whoever has the old one open keeps one consistent snapshot,
whoever connects next sees the new one, and no writer ever holds a lock on what analysts see.
Detail tables are views over the lake's files, named one by one; rate tables are small and are copied.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from pipeline import __version__
from pipeline.errors import LakeError
from pipeline.lake import Lake, Snapshot, folder_mode
from pipeline.settings import Settings
from pipeline.tables import (
    DELIVERY_REPORTS,
    DETAIL_TABLES,
    LAKE_TABLES,
    RATE_TABLES,
    REJECTED_RECORDS,
    SNAPSHOT_INFO,
    Table,
)
from pipeline.views import VIEWS
from pipeline.warehouse import connect, identifier, literal, query, relation, rows_of

STORAGE_VERSION: Final = "v1.0.0"
"""DuckDB's storage format, the oldest that has all we need: older tools open the file too."""
PUBLISHING: Final = "publish"
"""Name of the lock that whoever writes the published files holds."""
_WRITE_BITS: Final = 0o222


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
            beside.chmod(settings.file_mode & ~_WRITE_BITS)
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


def _build(
    path: Path, lake: Lake, snapshots: Mapping[str, Snapshot], settings: Settings, now: datetime
) -> dict[str, int]:
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        connection.execute(f"ATTACH {literal(str(path))} AS published (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute("USE published")
        for table in DETAIL_TABLES:
            _add_view(connection, table.name, _detail_select(table, snapshots[table.name]))
        for table in RATE_TABLES:
            _add_rates(connection, table, snapshots[table.name])
        rows = {name: snapshot.rows for name, snapshot in snapshots.items()}
        ((rows[REJECTED_RECORDS.name],),) = rows_of(connection, f"SELECT count(*) FROM {REJECTED_RECORDS.name}")
        _add_snapshot_info(connection, snapshots, rows, settings, now)
        for view in VIEWS:
            _add_view(connection, view.name, query(view.name, folder="views"))
        _add_comments(connection)
        connection.execute("USE work")
        connection.execute("DETACH published")
    return rows


def _detail_select(table: Table, snapshot: Snapshot) -> str:
    select = relation(table, snapshot.files)
    if table is REJECTED_RECORDS:
        # A record that two runs set aside at the same time is one record.
        key = ", ".join(table.key)
        return f"SELECT DISTINCT ON ({key}) * FROM ({select}) ORDER BY {key}, rejected_at"
    return select


def _add_view(connection: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    connection.execute(f"CREATE VIEW {name} AS {select}")


def _add_rates(connection: duckdb.DuckDBPyConnection, table: Table, snapshot: Snapshot) -> None:
    _create_table(connection, table)
    if snapshot.files:
        key = ", ".join(table.key)
        connection.execute(f"INSERT INTO {table.name} {relation(table, snapshot.files)} ORDER BY {key}")


def _create_table(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
    connection.execute(f"CREATE TABLE {table.name} ({columns})")


def _add_snapshot_info(
    connection: duckdb.DuckDBPyConnection,
    snapshots: Mapping[str, Snapshot],
    rows: Mapping[str, int],
    settings: Settings,
    now: datetime,
) -> None:
    _create_table(connection, SNAPSHOT_INFO)
    as_of = snapshots[DELIVERY_REPORTS.name].latest
    connection.executemany(
        f"INSERT INTO {SNAPSHOT_INFO.name} VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (name, rows[name], snapshot.version, now, as_of, settings.timezone.key, __version__)
            for name, snapshot in snapshots.items()
        ],
    )


def _add_comments(connection: duckdb.DuckDBPyConnection) -> None:
    for table in (*RATE_TABLES, SNAPSHOT_INFO):
        _comment(connection, "TABLE", table.name, table.row, {c.name: c.meaning for c in table.columns})
    for table in DETAIL_TABLES:
        _comment(connection, "VIEW", table.name, table.row, {c.name: c.meaning for c in table.columns})
    for view in VIEWS:
        _comment(connection, "VIEW", view.name, view.row, view.columns)


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, row: str, columns: Mapping[str, str]) -> None:
    connection.execute(f"COMMENT ON {kind} {name} IS {literal(row)}")
    for column, meaning in columns.items():
        connection.execute(f"COMMENT ON COLUMN {name}.{identifier(column)} IS {literal(meaning)}")
