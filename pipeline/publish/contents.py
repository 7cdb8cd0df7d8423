"""What a DuckDB file for analysts holds besides rows: typed tables, ready-made views, comments, `snapshot_info`.

Belongs here: what the published file and an exported one share. Does not: where rows come from, and how a file
takes its place (`publish.py`, `export.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import duckdb

from pipeline.lake.queries import STORAGE_VERSION, create_table, identifier, literal, query
from pipeline.model.tables import SNAPSHOT_INFO, Table
from pipeline.model.views import VIEWS

FILE: Final = "published"
"""Name under which the file is attached while it is made."""
WRITE_BITS: Final = 0o222


@contextmanager
def opened_file(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Attach a file, new or not, and make it the one in which names are looked up and made, in one transaction."""
    connection.execute(f"ATTACH {literal(str(path))} AS {FILE} (STORAGE_VERSION '{STORAGE_VERSION}')")
    connection.execute(f"USE {FILE}")
    connection.execute("BEGIN")  # else each of hundreds of comments waits for the disk
    yield
    connection.execute("COMMIT")
    connection.execute("USE work")
    connection.execute(f"DETACH {FILE}")


def add_view(connection: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    """Add a view, in place of one of that name."""
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")


def add_ready_made_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the views of `views.py`."""
    for view in VIEWS:
        add_view(connection, view.name, query(f"publish/sql/views/{view.name}"))


def add_snapshot_info(connection: duckdb.DuckDBPyConnection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Add `snapshot_info` with rows of its columns."""
    create_table(connection, SNAPSHOT_INFO)
    marks = ", ".join([f"({', '.join('?' * len(SNAPSHOT_INFO.columns))})"] * len(rows))
    connection.execute(f"INSERT INTO {SNAPSHOT_INFO.name} VALUES {marks}", [cell for row in rows for cell in row])


def comment_on_tables(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[Table], *, kind: Literal["TABLE", "VIEW"] = "TABLE"
) -> None:
    """Say what each table and each column of it means; `kind` is what they are in this file."""
    for table in tables:
        _comment(connection, kind, table.name, table.row, {c.name: c.meaning for c in table.columns})


def comment_on_ready_made_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Say what each view of `views.py` and each column of it means."""
    for view in VIEWS:
        _comment(connection, "VIEW", view.name, view.row, view.columns)


def _comment(connection: duckdb.DuckDBPyConnection, kind: str, name: str, row: str, columns: Mapping[str, str]) -> None:
    connection.execute(f"COMMENT ON {kind} {name} IS {literal(row)}")
    for column, meaning in columns.items():
        connection.execute(f"COMMENT ON COLUMN {name}.{identifier(column)} IS {literal(meaning)}")
