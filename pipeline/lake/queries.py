"""DuckDB: connections with bounds, the queries of `sql/`, and the lake's tables as relations.

What belongs here: how a query is run. What does not: what it says (`sql/`), which tables there are
(`tables.py`), when it is run (the use cases).
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.parquet import ROWS_AT_ONCE, write_parquet
from pipeline.lake.snapshots import greatest_values, rows_in
from pipeline.model.tables import PARTITION_KEY, Table

STORAGE_VERSION: Final = "v1.0.0"
"""DuckDB's storage format, the oldest that has all we need: older tools open the files too."""
_COUNTED_SHARE: Final = 0.7
_WORK: Final = "work"
"""Name of the database that a connection is to."""
Scalar = str | int | float | bool | datetime | None


class _Kept:
    """A database that outlives its connections: to open one takes 15 ms, and a run needs fifteen."""

    def __init__(self, scratch: Path) -> None:
        """Keep none yet; `scratch` is a folder of this process alone."""
        self._folders = (scratch / str(number) for number in count())
        self._limit = ""
        self._users = 0
        self._database: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def connected(self, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a new connection to it; the last one to go takes all tables with it."""
        if self._database is None or self._limit != memory_limit:
            self.close()
            folder = next(self._folders)
            folder.mkdir()
            self._database, self._limit = _opened(memory_limit, folder), memory_limit
        connection = self._database.cursor()
        self._users += 1
        try:
            yield connection
            if self._users == 1:
                _drop_tables(connection)
        except BaseException:
            self.close()
            raise
        finally:
            self._users -= 1
            connection.close()

    def close(self) -> None:
        """Give it up; the next connection is to another one."""
        if self._database is not None:
            self._database.close()
            self._database = None


_kept: _Kept | None = None


@contextmanager
def database_kept(scratch: Path) -> Iterator[None]:
    """Let all that `connect` in the block share one database, in a folder of this process alone.

    Temporary tables and views are a connection's own; other tables go when no connection is left. After an error the
    database is given up, with whatever was attached to it.
    """
    global _kept  # noqa: PLW0603 - the use cases that connect know nothing of each other
    before, _kept = _kept, _Kept(scratch)
    try:
        yield
    finally:
        _kept.close()
        _kept = before


@contextmanager
def connect(*, memory_limit: str, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connect to a database of this process alone, in a file of `scratch` or the one that is kept; its zone is UTC.

    Args:
        memory_limit: what DuckDB may take; beyond it tables and joins go to its folder.
        scratch: folder of this process alone.
    """
    database = _kept.connected(memory_limit) if _kept else _opened(memory_limit, scratch)
    with database as connection:  # DuckDB's own, too, closes when it is left
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _opened(memory_limit: str, folder: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        folder / f"{_WORK}.duckdb",
        config={
            "memory_limit": _counted_part(memory_limit),
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "enable_external_file_cache": "false",  # the system has one, which yields to whoever needs memory
        },
    )


def _drop_tables(connection: duckdb.DuckDBPyConnection) -> None:
    tables = f"SELECT table_name FROM duckdb_tables() WHERE database_name = '{_WORK}' AND NOT temporary"
    for (name,) in rows_of(connection, tables):
        connection.execute(f"DROP TABLE {_WORK}.{identifier(name)}")


def _counted_part(memory_limit: str) -> str:
    """Return the limit for what DuckDB counts; what it does not is mostly the batches that a file is written from."""
    number = memory_limit.rstrip(string.ascii_letters + " ")
    return f"{float(number) * _COUNTED_SHARE:.3f}{memory_limit.removeprefix(number).strip()}"


def query(path: str) -> str:
    """Return the text of a query without its semicolon; `path` is its file's inside `pipeline`, without the ending."""
    return files("pipeline").joinpath(f"{path}.sql").read_text("utf-8").strip().removesuffix(";")


def digest(*paths: str) -> str:
    """Return a short text that changes when one of these queries does."""
    return hashlib.blake2b("\n".join(map(query, paths)).encode(), digest_size=6).hexdigest()


def literal(text: str) -> str:
    """Return text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def relation(table: Table, data_files: Sequence[DataFile]) -> str:
    """Return a SELECT of all a table's columns from files named one by one; without files it is typed and empty."""
    if not data_files:
        columns = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in table.columns)
        return f"SELECT {columns} WHERE false"
    return f"SELECT {', '.join(table.column_names)} FROM {_parquet(table, [file.path for file in data_files])}"


def _parquet(table: Table, paths: Iterable[Path], options: str = "") -> str:
    """Return what reads files named one by one.

    The names are lines of one text (Delta takes no folder whose name spans lines): a list of thousands of texts takes
    twice as long to read, in each query.
    """
    names = literal("\n".join(map(str, paths)))
    partitions = f"true, hive_types = {{'{PARTITION_KEY}': DATE}}" if table.is_partitioned else "false"
    return f"read_parquet(string_split({names}, chr(10)), hive_partitioning = {partitions}{options})"


def show_files(connection: duckdb.DuckDBPyConnection, table: Table, data_files: Sequence[DataFile]) -> None:
    """Make files of a table readable under the table's name, for this connection."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {table.name} AS {relation(table, data_files)}")


def show_staged(connection: duckdb.DuckDBPyConnection, name: str, table: Table, paths: Sequence[Path]) -> None:
    """Make files that are like a table's, but not part of it, readable under a name; `place` is a row's in its file."""
    columns = ", ".join((*table.column_names, "file_row_number AS place"))
    select = f"SELECT {columns} FROM {_parquet(table, paths, ', file_row_number = true')}"
    if not paths:
        select = f"SELECT *, CAST(NULL AS BIGINT) AS place FROM ({relation(table, [])})"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {select}")


def create_table(connection: duckdb.DuckDBPyConnection, table: Table, *, catalog: str | None = None) -> None:
    """Make an empty table of a file that is attached, or of the one in use, unless it is there."""
    columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
    place = f"{catalog}." if catalog else ""
    connection.execute(f"CREATE TABLE IF NOT EXISTS {place}{table.name} ({columns})")


def rows_of(
    connection: duckdb.DuckDBPyConnection, select: str, parameters: Mapping[str, Scalar] | None = None
) -> list[tuple[Any, ...]]:
    """Return all rows of a query; for small answers only. Parameters that the query does not name are left out."""
    used = {name: value for name, value in (parameters or {}).items() if f"${name}" in select}
    return connection.execute(select, used).fetchall()


def write_partition(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    table: Table,
    *,
    select: str,
    day: date | None,
    parameters: Mapping[str, Scalar] | None = None,
    in_place_of: Sequence[DataFile] = (),
) -> DataFile | None:
    """Write the result of a query as a new file of a partition, streaming; None where it has no row.

    The query may give the columns in any order; the partition key is not written. Where it gives the rows of
    other files, these are named in `in_place_of`.
    """
    path = lake.new_file(table, day, in_place_of=in_place_of)
    columns = ", ".join(f"CAST({column.name} AS {column.type}) AS {column.name}" for column in table.stored_columns)
    made = connection.sql(f"SELECT {columns} FROM ({select})", params=dict(parameters or {}))
    with lake.removed_unless_written(path):
        batches = made.to_arrow_reader(ROWS_AT_ONCE)
        rows = write_parquet(path, table, (pa.Table.from_batches([batch]) for batch in batches))
    if not rows:
        path.unlink()
        return None
    return replace(lake.finished(path, day, rows=rows), maxima=greatest_values(table, path))


def same_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, one: Sequence[DataFile], two: Sequence[DataFile]
) -> bool:
    """Say whether two sets of files hold the same rows, in whatever order."""
    if rows_in(one) != rows_in(two):
        return False
    return _fingerprint(connection, table, one) == _fingerprint(connection, table, two)


def _fingerprint(
    connection: duckdb.DuckDBPyConnection, table: Table, data_files: Sequence[DataFile]
) -> tuple[object, ...]:
    columns = ", ".join(table.column_names)
    row: tuple[object, ...] = connection.execute(
        f"SELECT count(*), sum(hash({columns})::HUGEINT) FROM ({relation(table, data_files)})"
    ).fetchall()[0]
    return row
