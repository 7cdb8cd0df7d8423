"""The published file as other rooms read it: attached to a connection, and the lake's files that its views name.

Belongs here: read access. Does not: how the file is made (`database.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from pipeline.lake.queries import literal, rows_of
from pipeline.model.errors import LakeError

PUBLISHED: Final = "published"
"""Name under which the file is attached."""
_PARQUET_NAMES: Final = re.compile(r"'((?:[^']|'')+\.parquet)'")
"""A text literal of a view's SQL that names Parquet files, one per line."""


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
