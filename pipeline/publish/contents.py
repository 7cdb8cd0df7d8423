"""DuckDB files for analysts: attached for writing or reading; their typed tables, views and comments.

Belongs here: what the published file and an export share, and how other rooms read the published file. Does not: which
rows a table gets (`cache.py`, `export.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import duckdb

from pipeline.lake.queries import STORAGE_VERSION, create_table, literal, query, rows_of
from pipeline.model.errors import LakeError
from pipeline.model.tables import Table
from pipeline.model.views import VIEWS

WRITE_BITS: Final = 0o222
PUBLISHED: Final = "published"
"""Name under which the published file is attached."""
_NEW_FILE: Final = "new_file"
"""Name under which a file is attached while it is made."""
_PARQUET_NAMES: Final = re.compile(r"'((?:[^']|'')+\.parquet)'")
"""A text literal of a view's SQL that names Parquet files, one per line."""


def attach_for_writing(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach a file, new or not, in the storage version that older DuckDB tools open, too."""
    connection.execute(f"ATTACH {literal(str(path))} AS {name} (STORAGE_VERSION '{STORAGE_VERSION}')")


@contextmanager
def opened_file(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Attach a file and make it the default database; the block is one transaction."""
    attach_for_writing(connection, path, _NEW_FILE)
    connection.execute(f"USE {_NEW_FILE}")
    connection.execute("BEGIN")  # without it each of hundreds of comments would wait for the disk
    yield
    connection.execute("COMMIT")
    connection.execute("USE work")
    connection.execute(f"DETACH {_NEW_FILE}")


def add_table(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Add an empty table with its comments."""
    create_table(connection, table)
    _comment_on(connection, "TABLE", table)


def add_detail_view(connection: duckdb.DuckDBPyConnection, table: Table, select: str) -> None:
    """Add a view that shows a table of the lake, with the table's comments; replace the view of that name."""
    connection.execute(f"CREATE OR REPLACE VIEW {table.name} AS {select}")
    _comment_on(connection, "VIEW", table)


def add_ready_made_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the views of `model/views.toml` with their comments; the tables that they read must be there."""
    for view in VIEWS:
        connection.execute(f"CREATE VIEW {view.name} AS {query(f'publish/sql/views/{view.name}')}")
        _comment(connection, "VIEW", view.name, view.row, view.columns)


def insert_rows(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, passed as one list per column: DuckDB binds a list of VALUES ten times as slowly."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(f"INSERT INTO {table} SELECT {', '.join(['unnest(?)'] * len(columns))}", columns)


def _comment_on(connection: duckdb.DuckDBPyConnection, kind: Literal["TABLE", "VIEW"], table: Table) -> None:
    _comment(connection, kind, table.name, table.row, {column.name: column.meaning for column in table.columns})


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, row: str, columns: Mapping[str, str]) -> None:
    connection.execute(f"COMMENT ON {kind} {name} IS {literal(row)}")
    for column, meaning in columns.items():
        connection.execute(f'COMMENT ON COLUMN {name}."{column}" IS {literal(meaning)}')


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Attach a published file as `published`, read-only, while the block lasts.

    DuckDB would give a file that this process opened before as it was then; an attached file is read anew.
    """
    connection.execute(f"ATTACH {literal(str(path))} AS {PUBLISHED} (READ_ONLY)")
    try:
        yield
    finally:
        connection.execute(f"DETACH {PUBLISHED}")


@contextmanager
def opened_published(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection with the published file attached as `published`; its time zone is UTC.

    Raises:
        LakeError: the file can't be read.
    """
    try:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            with attached(connection, path):
                yield connection
    except duckdb.Error as error:
        raise LakeError(f"SMS_DUCKDB: {path} can't be read: {error}") from error


def lake_files_named(path: Path) -> set[str]:
    """Return the names of the Parquet files that the published views read, without folders: each name is unique.

    Raises:
        LakeError: the file can't be read.
    """
    with opened_published(path) as connection:
        views = rows_of(connection, f"SELECT sql FROM duckdb_views() WHERE database_name = '{PUBLISHED}'")
    lists = [names.replace("''", "'") for (sql,) in views for names in _PARQUET_NAMES.findall(sql)]
    return {Path(name).name for names in lists for name in names.split("\n")}
