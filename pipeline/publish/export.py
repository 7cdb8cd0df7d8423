"""Use case: export a range of days as a DuckDB file with the data inside, or one table or view in another format.

The source is the published file, not the lake: all tables are of one snapshot, even while a run goes on. Numbers are
as `SMS_NUMBERS` left them in the lake. An existing file is never overwritten.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

import duckdb

from pipeline.lake.atomic import remove_leftovers, written_whole
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, literal, rows_of
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, DETAIL_TABLES, LAKE_TABLES, PARTITION_KEY, SNAPSHOT_INFO
from pipeline.publish.bucket import required_published_file
from pipeline.publish.contents import add_ready_made_views, add_table, insert_rows, opened_file
from pipeline.publish.extract import Extract, write_extract
from pipeline.publish.reading import PUBLISHED, attached_published, detail_files, detail_select, show_published

_EXPORTING: Final = "export"
"""Name of the lock that an export holds."""
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Days:
    """A range of days of sending, both included; None where it is open."""

    first: date | None
    last: date | None

    @property
    def is_open(self) -> bool:
        """Whether all days are in it."""
        return self.first is None and self.last is None

    @property
    def condition(self) -> str:
        """SQL condition for rows of these days; rows without a day belong to an open range only."""
        bounds = ((">=", self.first), ("<=", self.last))
        parts = [f"{PARTITION_KEY} {sign} DATE {literal(day.isoformat())}" for sign, day in bounds if day]
        return " AND ".join(parts) or "true"

    def __str__(self) -> str:
        return f"{self.first or 'the first day'} to {self.last or 'the last'}"


def export(path: Path, *, days: Days, lake: Lake, settings: Settings, on_progress: Progress = untold) -> dict[str, int]:
    """Write the published tables of some days to a new file; return the rows of each. `on_progress` is told the tables.

    Raises:
        SettingsError: the file exists, its folder does not, or no message was sent on these days.
        LakeError: nothing is published, or the file can't be written.
    """
    return _written(path, lake, settings, lambda file: _write(file, days, lake, settings, on_progress))


def export_extract(
    path: Path,
    extract: Extract,
    *,
    days: Days,
    lake: Lake,
    settings: Settings,
    on_progress: Progress = untold,
) -> int:
    """Write a published table or view, or some of its rows, to a new file in the format of its ending; return the rows.

    Raises:
        SettingsError: the file exists, its folder does not, or what is asked for is not there.
        LakeError: nothing is published, or the file can't be written.
    """
    extract.check()

    def write(file: Path) -> int:
        with (
            lake.scratch() as scratch,
            database(lake, settings) as connection,
            attached_published(connection, lake, settings),
        ):
            show_published(connection, lake.folder)
            ((zone,),) = rows_of(connection, f"SELECT any_value(time_zone) FROM {SNAPSHOT_INFO.name}")
            made = scratch / f"export{path.suffix}"
            rows = write_extract(
                connection,
                made,
                extract,
                days=None if days.is_open else days.condition,
                zone=zone,
                on_progress=on_progress,
            )
            shutil.move(made, file)
        return rows

    return _written(path, lake, settings, write)


def _written(path: Path, lake: Lake, settings: Settings, write: Callable[[Path], _Result]) -> _Result:
    """Let `write` make a file that appears at `path` whole."""
    _check_place(path)
    required_published_file(settings)
    try:
        with lake.lock(_EXPORTING):
            remove_leftovers(path)
            with written_whole(path, mode=settings.file_mode) as temporary:
                result = write(temporary)
                _check_place(path)
    except (OSError, duckdb.Error) as error:
        raise LakeError(f"FILE: {path} can't be written: {str(error).splitlines()[0]}") from error
    return result


def _check_place(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise SettingsError(f"FILE: {path} exists already; remove it or choose another name")
    if not path.parent.is_dir():
        raise SettingsError(f"FILE: there is no folder {path.parent}")


def _write(path: Path, days: Days, lake: Lake, settings: Settings, on_progress: Progress) -> dict[str, int]:
    with (
        lake.scratch() as scratch,
        database(lake, settings) as connection,
        attached_published(connection, lake, settings),
    ):
        _check_days(connection, days)
        made = scratch / "export.duckdb"
        with opened_file(connection, made):
            rows = _fill(connection, days, lake.folder, on_progress)
        shutil.copyfile(made, path)
    return rows


def _check_days(connection: duckdb.DuckDBPyConnection, days: Days) -> None:
    bounds = f"SELECT min({PARTITION_KEY}), max({PARTITION_KEY}), count(*) FILTER (WHERE {days.condition})"
    ((first, last, found),) = rows_of(connection, f"{bounds} FROM {PUBLISHED}.{DELIVERY_ROLLUPS_DAILY.name}")
    if not found:
        published = f"the published days are {first} to {last}" if first else "no message is published yet"
        raise SettingsError(f"--from, --to: no message was sent from {days}; {published}")


def _fill(connection: duckdb.DuckDBPyConnection, days: Days, lake: Path, on_progress: Progress) -> dict[str, int]:
    rows: dict[str, int] = {}
    for done, table in enumerate(LAKE_TABLES, 1):
        add_table(connection, table)
        source = f"{PUBLISHED}.{table.name}"
        if table in DETAIL_TABLES:
            source = f"({detail_select(table, detail_files(connection, table, lake))})"
        select = f"FROM {source} WHERE {days.condition}"
        ((rows[table.name],),) = rows_of(connection, f"INSERT INTO {table.name} {select}")
        on_progress(done, len(LAKE_TABLES))
    add_table(connection, SNAPSHOT_INFO)
    info = rows_of(connection, f"SELECT table_name, * EXCLUDE (table_name, rows) FROM {PUBLISHED}.{SNAPSHOT_INFO.name}")
    insert_rows(connection, SNAPSHOT_INFO.name, [(name, rows[name], *others) for name, *others in info])
    add_ready_made_views(connection)
    return rows
