"""DuckDB over the lake: bounded connections, the queries of the rooms' `sql/`, views of a table's files.

What belongs here: how a query is run. What does not: what it says (`sql/`), which tables there are (`tables.py`),
when it is run (the use cases).

A query may name a list of `tables.py` as a comment: `/* final_statuses */` for `status IN (...)`, `/* final_sum */`
and `/* status_sum */` for sums of counts, `/* status_counts */` for one count per state, `/* open_statuses */`.
"""

from __future__ import annotations

import functools
import hashlib
import string
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute

from pipeline.lake.copies import Copies, copies_of
from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.parquet import ROWS_AT_ONCE
from pipeline.lake.snapshots import layout_of, rows_in
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_STATUSES, FINAL_STATUSES, OPEN_STATUSES, PARTITION_KEY, Table

STORAGE_VERSION: Final = "v1.0.0"
"""DuckDB's oldest storage format with all features in use, so that older tools open the files."""
_pc: Any = pyarrow.compute  # its stubs know no plain values as arguments
_COUNTED_SHARE: Final = 0.7
"""Share of the memory limit given to DuckDB: the batches that a file is written from are not counted by it."""
LAKE_VARIABLE: Final = "sms_lake"
"""Variable of a connection that says where the lake is, for a file that was published with `SMS_LAKE_AT`."""
_LAKE: Final = "{lake}"
"""Stands for the lake's folder in the names of its files."""
Scalar = str | int | float | bool | datetime | None


@contextmanager
def connect(*, memory_limit: str, scratch: Path, folders: Collection[Path] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in a file of `scratch`; its time zone is UTC. It reaches files of `folders` and `scratch` alone.

    `memory_limit` is for DuckDB and the batches read from it; larger tables and joins spill to `scratch`, a folder of
    this process alone.
    """
    number = memory_limit.rstrip(string.ascii_letters + " ")
    limit = f"{float(number) * _COUNTED_SHARE:.3f}{memory_limit.removeprefix(number).strip()}"
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": limit,
        "temp_directory": str(scratch / "spill"),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "enable_external_file_cache": "false",  # the system has one, and frees it when memory is needed
    }
    with duckdb.connect(scratch / "work.duckdb", config=config) as connection:
        ((is_confined,),) = connection.execute("SELECT current_setting('lock_configuration')").fetchall()
        if not is_confined:  # else another connection of this process has opened the file before
            connection.execute("SET GLOBAL TimeZone = 'UTC'")
            confine(connection, [scratch, *folders])
        yield connection


@contextmanager
def database(lake: Lake, settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in scratch space of the lake, within `SMS_MEMORY_LIMIT`."""
    published = settings.duckdb
    folders = (lake.folder, published.with_name(f".{published.name}"))  # its versions
    limit = settings.memory_limit
    with lake.scratch() as scratch, connect(memory_limit=limit, scratch=scratch, folders=folders) as connection:
        yield connection


def confine(connection: duckdb.DuckDBPyConnection, folders: Collection[Path]) -> None:
    """Take from a connection all files outside some folders, extensions and the choice of settings, for good.

    Whatever an attached file holds can then reach nothing else of this machine. Of a bucket whose copies are in one of
    the folders, its copies can be read by their URLs.
    """
    places = [str(folder) for folder in folders]
    for copies in filter(None, map(copies_of, folders)):
        from pipeline.lake.bucket_views import CopiedObjects  # noqa: PLC0415 - 30 ms that a folder does not need

        places.append(f"{copies.store.url}/")
        connection.register_filesystem(CopiedObjects(copies))
    connection.execute(f"SET allowed_directories = [{_literals(places)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def literal(text: str) -> str:
    """Return text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _literals(names: Collection[str]) -> str:
    return ", ".join(map(literal, names))


_LISTS: Final = {
    "final_statuses": _literals(FINAL_STATUSES),
    "open_statuses": _literals(OPEN_STATUSES),
    "final_sum": " + ".join(FINAL_STATUSES),
    "status_sum": " + ".join(DELIVERY_STATUSES),
    "status_counts": ",\n".join(
        f"count(*) FILTER (WHERE delivery_status = {literal(status)}) AS {status}" for status in DELIVERY_STATUSES
    ),
}


@functools.cache
def query(path: str) -> str:
    """Return the text of a query, with lists of states filled in and without its semicolon.

    Args:
        path: its file inside `pipeline`, without the ending.
    """
    text = files("pipeline").joinpath(f"{path}.sql").read_text("utf-8").strip().removesuffix(";")
    for name, words in _LISTS.items():
        text = text.replace(f"/* {name} */", words)
    return text


def digest(*paths: str) -> str:
    """Return a short text that changes when one of these queries does."""
    return hashlib.blake2b("\n".join(map(query, paths)).encode(), digest_size=6).hexdigest()


def relation(table: Table, data_files: Sequence[DataFile], *, has_path: bool = False) -> str:
    """Return a SELECT of all columns of a table from the given files; typed and empty if there is none.

    Of a lake in a bucket, the copies that are missing are brought. `has_path` adds the file's path here, as `path`.
    """
    if copies := _copies_with(table, data_files):
        copies.bring({file.path: file.size for file in data_files})
    return _select(table, [(layout_of(file), str(file.path)) for file in data_files], has_path=has_path)


def published_relation(table: Table, data_files: Sequence[DataFile], *, lake_at: Path | None = None) -> str:
    """Return what `relation` does, for a view that is read elsewhere too: it names the objects of a bucket.

    Where readers see the lake at another path, `lake_at`, its files are looked for there, or where a connection's
    variable `sms_lake` says.
    """
    copies = _copies_with(table, data_files)
    if lake_at and not copies:
        lakes = {file.path.parents[2 if table.is_partitioned else 1] for file in data_files}
        names = [f"{_LAKE}/{file.path.relative_to(lake)}" for lake in lakes for file in data_files]
        return _select(table, list(zip(map(layout_of, data_files), names, strict=True)), lake_at=lake_at)
    paths = [f"{copies.store.url}/{copies.name_of(f.path)}" if copies else str(f.path) for f in data_files]
    return _select(table, list(zip(map(layout_of, data_files), paths, strict=True)))


def _copies_with(table: Table, data_files: Sequence[DataFile]) -> Copies | None:
    return copies_of(data_files[0].path.parents[2 if table.is_partitioned else 1]) if data_files else None


def _select(
    table: Table, data_files: Sequence[tuple[int, str]], *, lake_at: Path | None = None, has_path: bool = False
) -> str:
    """Return a SELECT of all columns from files, given by layout and path or URL."""
    if not data_files:
        columns = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in table.columns)
        return f"SELECT {columns}{', CAST(NULL AS VARCHAR) AS path' if has_path else ''} WHERE false"
    more, options = (", path", ", filename = 'path'") if has_path else ("", "")
    layouts: dict[int, list[str]] = {}
    for layout, path in data_files:
        layouts.setdefault(layout, []).append(path)
    return " UNION ALL ".join(
        f"SELECT {_columns_in(table, layout)}{more} FROM {_parquet(table, paths, options, lake_at=lake_at)}"
        for layout, paths in layouts.items()
    )


def _columns_in(table: Table, layout: int) -> str:
    """Return the columns of a table in files of a layout; those that came later are null."""
    return ", ".join(
        column.name if column.since <= layout else f"CAST(NULL AS {column.type}) AS {column.name}"
        for column in table.columns
    )


def _parquet(table: Table, paths: Iterable[Path | str], options: str = "", *, lake_at: Path | None = None) -> str:
    """Return the table function that reads the given files.

    Their paths are the lines of one text (Delta accepts no folder with a line break in its name): DuckDB takes twice as
    long to parse a list of thousands of texts.
    """
    paths_text = literal("\n".join(map(str, paths)))
    if lake_at:
        place = f"coalesce(getvariable({literal(LAKE_VARIABLE)})::VARCHAR, {literal(str(lake_at))})"
        paths_text = f"replace({paths_text}, {literal(_LAKE)}, {place})"
    partitions = f"true, hive_types = {{'{PARTITION_KEY}': DATE}}" if table.is_partitioned else "false"
    return f"read_parquet(string_split({paths_text}, chr(10)), hive_partitioning = {partitions}{options})"


def show_files(connection: duckdb.DuckDBPyConnection, table: Table, data_files: Sequence[DataFile]) -> None:
    """Create a view of files under the table's name, for this connection."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {table.name} AS {relation(table, data_files)}")


def show_staged(connection: duckdb.DuckDBPyConnection, name: str, table: Table, paths: Sequence[Path]) -> None:
    """Create a view of files with a table's columns that are not part of it; `place` is the row number in the file."""
    columns = ", ".join((*table.column_names, "file_row_number AS place"))
    select = f"SELECT {columns} FROM {_parquet(table, paths, ', file_row_number = true')}"
    if not paths:
        select = f"SELECT *, CAST(NULL AS BIGINT) AS place FROM ({relation(table, [])})"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {select}")


def create_table(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Create an empty table unless it exists."""
    columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({columns})")


def used_in(select: str, parameters: Mapping[str, Scalar] | None) -> dict[str, Scalar]:
    """Return the parameters that a query names: DuckDB refuses others."""
    return {name: value for name, value in (parameters or {}).items() if f"${name}" in select}


def rows_of(
    connection: duckdb.DuckDBPyConnection, select: str, parameters: Mapping[str, Scalar] | None = None
) -> list[tuple[Any, ...]]:
    """Return all rows of a query, for small results; parameters that it does not name are left out."""
    return connection.execute(select, used_in(select, parameters)).fetchall()


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
    """Stream the result of a query to a new file of a partition; None if it has no row.

    The query gives the table's columns in any order; the partition key is not written. Parameters that it does not name
    are left out. `in_place_of` are files whose rows the query gives.
    """
    result = connection.sql(_typed(table, select), params=used_in(select, parameters))
    batches = result.to_arrow_reader(ROWS_AT_ONCE)
    parts = (pa.Table.from_batches([batch]) for batch in batches)
    file = lake.write_parts(table, parts, day, in_place_of=in_place_of)
    if not file.rows:
        file.path.unlink()
        return None
    return file


def write_partitions(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    table: Table,
    *,
    select: str,
    days: Collection[date],
    parameters: Mapping[str, Scalar] | None = None,
) -> dict[date, DataFile]:
    """Write the result of a query, which is in memory meanwhile, to a new file for each day that has a row."""
    rows = connection.sql(
        _typed(table, select, also=PARTITION_KEY), params=used_in(select, parameters)
    ).to_arrow_table()
    by_day = ((day, rows.filter(_pc.equal(rows[PARTITION_KEY], day)).drop_columns(PARTITION_KEY)) for day in days)
    return {day: lake.write(table, of_day, day) for day, of_day in by_day if of_day.num_rows}


def _typed(table: Table, select: str, *, also: str | None = None) -> str:
    """Return a query of the stored columns of a table from those of another query."""
    columns = [f"CAST({column.name} AS {column.type}) AS {column.name}" for column in table.stored_columns]
    return f"SELECT {', '.join([*columns, *([also] if also else [])])} FROM ({select})"


def same_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, one: Sequence[DataFile], other: Sequence[DataFile]
) -> bool:
    """Say whether two sets of files hold the same rows, in any order."""
    if rows_in(one) != rows_in(other):
        return False
    select = f"SELECT count(*), sum(hash({', '.join(table.column_names)})::HUGEINT) FROM "
    return len({rows_of(connection, f"{select} ({relation(table, of)})")[0] for of in (one, other)}) == 1
