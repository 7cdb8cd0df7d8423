"""Use case: a DuckDB file to take away, with the data of a range of days inside.

It is made of what was published last, not of the lake as it is at the moment: all its tables are of one snapshot,
whatever runs meanwhile. Numbers are as `SMS_NUMBERS` left them in the lake. It is written beside its place and moved
there whole; a file that is there already is left alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline.lake.lake import Lake
from pipeline.lake.queries import connect, create_table, literal, rows_of
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import DETAIL_TABLES, PARTITION_KEY, RATE_TABLES, SNAPSHOT_INFO
from pipeline.publish.contents import (
    add_ready_made_views,
    add_snapshot_info,
    comment_on_ready_made_views,
    comment_on_tables,
    opened_file,
)

_EXPORTING: Final = "export"
_SOURCE: Final = "source"
_TABLES: Final = (*DETAIL_TABLES, *RATE_TABLES)


@dataclass(frozen=True)
class Days:
    """A range of days of sending, both included; None where it is open."""

    first: date | None
    last: date | None

    @property
    def condition(self) -> str:
        """The SQL that says whether a row is of these days; rows without a day are only of an open range."""
        bounds = ((">=", self.first), ("<=", self.last))
        parts = [f"{PARTITION_KEY} {sign} DATE {literal(day.isoformat())}" for sign, day in bounds if day]
        return " AND ".join(parts) or "true"

    def __str__(self) -> str:
        return f"{self.first or 'the first day'} to {self.last or 'the last'}"


def export(path: Path, *, days: Days, lake: Lake, settings: Settings) -> dict[str, int]:
    """Write the published tables of some days into a file of their own; return the rows of each.

    Raises:
        SettingsError: `path` is there already or its folder is not, or these days have no message.
        LakeError: nothing is published, or the file can't be written.
    """
    _check_place(path)
    if not settings.duckdb.is_file():
        raise LakeError(f"SMS_DUCKDB: there is no {settings.duckdb}; `sms-delivery publish` makes it")
    try:
        with lake.lock(_EXPORTING):
            return _write(path, days, lake, settings)
    except (OSError, duckdb.Error) as error:
        raise LakeError(f"FILE: {path} can't be written: {str(error).splitlines()[0]}") from error


def _write(path: Path, days: Days, lake: Lake, settings: Settings) -> dict[str, int]:
    beside = path.with_name(f".{path.name}.tmp")
    _clear(beside)  # what an export that died left
    try:
        with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
            published = scratch / "published.duckdb"
            shutil.copyfile(settings.duckdb, published)  # an analyst who writes to it holds a lock
            connection.execute(f"ATTACH {literal(str(published))} AS {_SOURCE} (READ_ONLY)")
            _check_days(connection, days)
            rows = _fill(connection, beside, days)
        beside.chmod(settings.file_mode)
        _check_place(path)
        beside.rename(path)
    finally:
        _clear(beside)
    return rows


def _clear(beside: Path) -> None:
    for leftover in (beside, beside.with_name(f"{beside.name}.wal")):
        leftover.unlink(missing_ok=True)


def _check_place(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise SettingsError(f"FILE: {path} is there already; remove it, or choose another name")
    if not path.parent.is_dir():
        raise SettingsError(f"FILE: there is no folder {path.parent}")


def _fill(connection: duckdb.DuckDBPyConnection, path: Path, days: Days) -> dict[str, int]:
    with opened_file(connection, path):
        rows = {}
        for table in _TABLES:
            create_table(connection, table)
            source = f"FROM {_SOURCE}.{table.name} WHERE {days.condition}"
            ((rows[table.name],),) = rows_of(connection, f"INSERT INTO {table.name} {source}")
        add_snapshot_info(connection, _snapshot_info(connection, rows))
        add_ready_made_views(connection)
        comment_on_tables(connection, (*_TABLES, SNAPSHOT_INFO))
        comment_on_ready_made_views(connection)
    return rows


def _check_days(connection: duckdb.DuckDBPyConnection, days: Days) -> None:
    bounds = f"SELECT min({PARTITION_KEY}), max({PARTITION_KEY}), count(*) FILTER (WHERE {days.condition})"
    ((first, last, found),) = rows_of(connection, f"{bounds} FROM {_SOURCE}.delivery_rollups_daily")
    if not found:
        there = f"the published days are {first} to {last}" if first else "no message is published yet"
        raise SettingsError(f"--from, --to: no message was sent from {days}; {there}")


def _snapshot_info(connection: duckdb.DuckDBPyConnection, rows: dict[str, int]) -> Sequence[tuple[Any, ...]]:
    """Give what the published file says of its snapshot, with the rows that are here."""
    columns = ", ".join(column.name for column in SNAPSHOT_INFO.columns if column.name != "rows")
    told = rows_of(connection, f"SELECT {columns} FROM {_SOURCE}.{SNAPSHOT_INFO.name}")
    return [(name, rows[name], *rest) for name, *rest in told]
