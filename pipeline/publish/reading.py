"""Reading the published file as data: nothing that it holds is run, since others may have put it there.

Belongs here: how the page, an export, audits and other rooms read it. Does not: what they do with it.

Owner and mode are checked before it is opened. Its tables must be plain tables; its views are only looked at for the
names of the lake's files, and the same views are made anew from our own queries.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import duckdb

from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.queries import confine, literal, published_relation, rows_of
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import DETAIL_TABLES, LAKE_TABLES, RATE_TABLES, REJECTED_RECORDS, SNAPSHOT_INFO, Table
from pipeline.model.trusted import check_trusted, copy_trusted
from pipeline.model.views import VIEWS
from pipeline.publish.bucket import required_published_file
from pipeline.publish.contents import create_views, strange_entries

PUBLISHED: Final = "published"
"""Name under which the published file is attached."""
READY_MADE_VIEWS: Final = tuple(view.name for view in VIEWS)
_VIEWS: Final = (*(table.name for table in DETAIL_TABLES), *READY_MADE_VIEWS)
_PARQUET_NAMES: Final = re.compile(r"'((?:[^']|'')+\.parquet)'")
"""A text literal of a view's SQL that names Parquet files, one per line."""


def copy_published(settings: Settings, target: Path) -> None:
    """Copy the published file, of a bucket the newest one: an analyst's read-write connection locks it.

    Raises:
        SettingsError: others can change it.
        LakeError: nothing is published yet.
        OSError: it can't be copied.
    """
    path = required_published_file(settings)
    check_trusted(path.resolve().parent, "SMS_DUCKDB", shared=settings.file_mode)
    copy_trusted(path, target, "SMS_DUCKDB", shared=settings.file_mode)


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Attach a copy of the published file as `published`, read-only, while the block lasts.

    DuckDB would give a file that this process opened before as it was then; an attached file is read anew.

    Raises:
        LakeError: it holds more than tables and views.
        duckdb.Error: it can't be read.
    """
    connection.execute(f"ATTACH {literal(str(path))} AS {PUBLISHED} (READ_ONLY)")
    try:
        if strange := strange_entries(connection, PUBLISHED, views=_VIEWS):
            raise LakeError(f"SMS_DUCKDB: the published file holds what was not published: {strange[0]}; publish again")
        yield
    finally:
        connection.execute(f"DETACH {PUBLISHED}")


@contextmanager
def attached_published(connection: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings) -> Iterator[None]:
    """Attach a copy of the published file to a connection of `database`, as `attached` does."""
    with lake.scratch() as scratch:
        copy = scratch / "published.duckdb"
        copy_published(settings, copy)
        with attached(connection, copy):
            yield


@contextmanager
def opened_published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with the published file attached as `published`; its time zone is UTC.

    Raises:
        SettingsError: others can change the file.
        LakeError: it can't be read, or nothing is published yet.
    """
    path = required_published_file(settings)
    check_trusted(path.resolve().parent, "SMS_DUCKDB", shared=settings.file_mode)
    check_trusted(path, "SMS_DUCKDB", shared=settings.file_mode)
    try:
        with opened_copy(path, settings) as connection:
            yield connection
    except duckdb.Error as error:
        raise LakeError(f"SMS_DUCKDB: {path} can't be read: {error}") from error


@contextmanager
def opened_copy(path: Path, settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection in memory with a copy attached as `published`; it reads nothing but the lake.

    Raises:
        LakeError: the copy holds more than tables and views.
        duckdb.Error: it can't be read.
    """
    with duckdb.connect(config={"autoload_known_extensions": "false", "python_enable_replacements": "false"}) as found:
        found.execute(f"SET memory_limit = {literal(settings.memory_limit)}")
        found.execute("SET TimeZone = 'UTC'")
        found.execute(f"SET allowed_paths = [{literal(str(path))}, {literal(f'{path}.wal')}]")
        confine(found, [settings.lake, path.resolve().parent])
        with attached(found, path):
            yield found


def show_published(
    connection: duckdb.DuckDBPyConnection, lake: Path, *, views: Collection[str] = READY_MADE_VIEWS
) -> None:
    """Make tables and views of the attached file readable by their names, the views from our own queries.

    `views` are the ready-made views that are read.
    """
    for table in (*RATE_TABLES, SNAPSHOT_INFO):
        connection.execute(f"CREATE VIEW {table.name} AS FROM {PUBLISHED}.main.{table.name}")
    for table in DETAIL_TABLES:
        connection.execute(f"CREATE VIEW {table.name} AS {detail_select(table, detail_files(connection, table, lake))}")
    create_views(connection, views)


def detail_select(table: Table, files: Sequence[DataFile], *, lake_at: Path | None = None) -> str:
    """Return the query of a detail table's view; `lake_at` is where its readers see the lake, if not where it is."""
    select = published_relation(table, files, lake_at=lake_at)
    if table is REJECTED_RECORDS:  # two runs at once may store the same reject
        key = ", ".join(table.key)
        return f"SELECT DISTINCT ON ({key}) * FROM ({select}) ORDER BY {key}, rejected_at"
    return select


def detail_files(connection: duckdb.DuckDBPyConnection, table: Table, lake: Path) -> list[DataFile]:
    """Return the files in the lake that the attached file's view of a table names."""
    folder = lake / table.name
    names = [name.rpartition(f"/{table.name}/")[2] for name in _names(connection, table.name)]
    if strange := [name for name in names if ".." in PurePosixPath(name).parts or name.startswith("/")]:
        raise LakeError(f"SMS_DUCKDB: the view {table.name} names a file outside the lake: {strange[0]}")
    return [DataFile(folder / name, None, rows=0, size=0) for name in names]


def _names(connection: duckdb.DuckDBPyConnection, view: str | None = None) -> list[str]:
    """Return the Parquet files that an attached view names, or all of them."""
    select = f"SELECT sql FROM duckdb_views() WHERE database_name = '{PUBLISHED}'"
    views = rows_of(connection, f"{select} AND view_name = coalesce($view, view_name)", {"view": view})
    lists = [names.replace("''", "'") for (sql,) in views for names in _PARQUET_NAMES.findall(sql)]
    return [name for names in lists for name in names.split("\n")]


def names_replaced_files(lake: Lake, settings: Settings) -> bool:
    """Say whether the published views read files that no table names any more: what was published is outdated.

    Raises:
        SettingsError, LakeError: as for `lake_files_named`.
    """
    present = {file.path.name for table in LAKE_TABLES for file in lake.snapshot(table).files}
    return not lake_files_named(settings) <= present


def lake_files_named(settings: Settings) -> set[str]:
    """Return the names of the Parquet files that the published views read, without folders: each name is unique.

    Raises:
        SettingsError: others can change the file.
        LakeError: it can't be read.
    """
    with opened_published(settings) as connection:
        return {Path(name).name for name in _names(connection)}
