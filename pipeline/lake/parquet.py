"""Parquet files of the lake's tables: schema, compression, size of the row groups.

What belongs here: one file. What does not: its folder and its commit (`lake.py`).

pyarrow writes the results of DuckDB's queries, too: for the `messages` of a million DuckDB's `COPY` took 1.0 s of CPU,
a stream of Arrow batches into pyarrow's writer 0.6 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.model.tables import Column, SqlType, Table

COMPRESSION: Final = "zstd"
ROWS_AT_ONCE: Final = 61_440
"""Rows of a row group, half of DuckDB's default: two row groups are in memory while a file is written."""
_ARROW_TYPES: Final[Mapping[SqlType, pa.DataType]] = {
    "VARCHAR": pa.string(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "DATE": pa.date32(),
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DECIMAL(24,12)": pa.decimal128(24, 12),
    "MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()),
}


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a table's columns, the partition key included."""
    return pa.schema([(column.name, _ARROW_TYPES[column.type]) for column in table.columns])


class PartitionFile:
    """A new Parquet file of a partition, written in parts; `close` completes it."""

    def __init__(self, path: Path, table: Table) -> None:
        """Create the file with the table's stored columns."""
        self.path = path
        self.rows = 0
        self.maxima: dict[str, Any] = {}
        self._logged_maxima = table.logged_maxima
        schema = arrow_schema(table)
        self._schema = pa.schema([schema.field(column.name) for column in table.stored_columns])
        # A dictionary of values that hardly repeat takes a third of the time and is discarded at the end.
        repeated: Any = [leaf for column in table.stored_columns if column.repeats for leaf in _leaves_of(column)]
        self._writer = pq.ParquetWriter(path, self._schema, compression=COMPRESSION, use_dictionary=repeated)

    def write(self, rows: pa.Table) -> None:
        """Write rows as a row group of their own; columns that the file lacks are dropped."""
        if rows.num_rows:
            self._writer.write_table(rows.select(self._schema.names).cast(self._schema))
            self.rows += rows.num_rows
            self._keep_maxima(rows)

    def _keep_maxima(self, rows: pa.Table) -> None:
        for name in self._logged_maxima:
            found = [value for value in (pc.max(rows[name]).as_py(), self.maxima.get(name)) if value is not None]
            if found:
                self.maxima[name] = max(found)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def _leaves_of(column: Column) -> list[str]:
    """Return the names of a column's parts inside a file."""
    if pa.types.is_map(_ARROW_TYPES[column.type]):
        return [f"{column.name}.key_value.key", f"{column.name}.key_value.value"]
    return [column.name]


def write_parquet(path: Path, table: Table, parts: Iterable[pa.Table]) -> PartitionFile:
    """Write a new file, one row group per part; return it closed.

    Raises:
        OSError: the file could not be written; the caller removes what is there.
    """
    with closing(PartitionFile(path, table)) as file:
        for part in parts:
            file.write(part)
    return file
