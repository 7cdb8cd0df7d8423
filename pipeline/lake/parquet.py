"""How Parquet files of the lake's tables are written: columns, compression, size of the row groups.

What belongs here: one file. What does not: where it lies and when it becomes part of a table (`lake.py`).

pyarrow writes them, also what DuckDB worked out: for the `messages` of a million DuckDB's `COPY` took 1.0 s of CPU,
its stream of Arrow batches into pyarrow's writer 0.6 s.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.snapshots import arrow_schema
from pipeline.model.tables import Table

COMPRESSION: Final = "zstd"
ROWS_AT_ONCE: Final = 61_440
"""Rows of a row group, half of what DuckDB makes them: two of them are held in memory while a file is written."""


class PartitionFile:
    """A new file of a table that is written part by part; a context manager that ends it."""

    def __init__(self, path: Path, table: Table) -> None:
        """Make the file; of what comes it keeps the columns that the table's files hold, in their order."""
        self.path = path
        self.rows = 0
        schema = arrow_schema(table)
        self._schema = pa.schema([schema.field(column.name) for column in table.stored_columns])
        # A dictionary of values that hardly repeat takes a third of the time, and is thrown away.
        repeated: Any = [column.name for column in table.stored_columns if column.repeats]  # the stubs know no names
        self._writer = pq.ParquetWriter(path, self._schema, compression=COMPRESSION, use_dictionary=repeated)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the file; after an error it is no whole one, and the caller's to remove."""
        self.close()

    def write(self, rows: pa.Table) -> None:
        """Write some rows as a row group of their own."""
        if rows.num_rows:
            self._writer.write_table(rows.select(self._schema.names).cast(self._schema))
            self.rows += rows.num_rows

    def close(self) -> None:
        """Write what makes the file a whole one."""
        self._writer.close()


def write_parquet(path: Path, table: Table, parts: Iterable[pa.Table]) -> int:
    """Write a new file of a table, a row group for each part; return its rows.

    Raises:
        OSError: it could not be written; what there is of it is the caller's to remove.
    """
    with PartitionFile(path, table) as file:
        for part in parts:
            file.write(part)
    return file.rows
