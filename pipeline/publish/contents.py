"""DuckDB files for analysts: attached for writing; their typed tables, views and comments.

Belongs here: what the published file and an export share. Does not: which rows a table gets (`cache.py`, `export.py`),
reading the published file (`reading.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import duckdb

from pipeline.lake.queries import STORAGE_VERSION, create_table, literal, query
from pipeline.model.tables import Table
from pipeline.model.views import VIEWS

WRITE_BITS: Final = 0o222
_NEW_FILE: Final = "new_file"
"""Name under which a file is attached while it is made."""
_PARTS: Final = (
    "counted_by_span",
    "local_hours",
    "span_days",
    "spent",
    "summed_counts",
    "shown_measures",
    "rate_interval",
)
"""Parts of views, each before those that it is made of."""


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
    create_views(connection, [view.name for view in VIEWS])
    for view in VIEWS:
        _comment(connection, "VIEW", view.name, view.row, view.columns)


def create_views(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Create some of the ready-made views, without comments: these take most of the time, and only people read them."""
    for name in names:
        connection.execute(f"CREATE VIEW {name} AS {view_select(name)}")


def view_select(name: str) -> str:
    """Return the query of a ready-made view; what several views compute is put in from `sql/parts/`."""
    select = query(f"publish/sql/views/{name}")
    for part in _PARTS:
        select = select.replace(f"/* {part} */", query(f"publish/sql/parts/{part}"))
    return select


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


def strange_entries(connection: duckdb.DuckDBPyConnection, database: str, *, views: Collection[str]) -> list[str]:
    """Name what an attached file holds besides plain tables and these views: macros, triggers and so on could run."""
    entries = query("publish/sql/strange_entries")
    found = connection.execute(entries, {"database": database, "views": list(views)})
    return [entry for (entry,) in found.fetchall()]
