"""Parquet rows to frames.

Belongs here: reading recognised columns batch by batch, exactly.
Does not belong here: what fields mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf
from types import MappingProxyType
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.collect.fields import ABSENT, FieldNames
from pipeline.collect.frames import RawFrame
from pipeline.collect.times import EPOCH
from pipeline.collect.wrappers import has_wrapper

BATCH_ROWS = 8192
RECEIPT_BATCH_ROWS = 256
"""Rows at once where each may hold a receipt with hundreds of messages."""
_BUFFER_BYTES = 1 << 18
_UNREADABLE = object()
_UNREADABLE_FILE = (pa.ArrowException, OSError, ValueError)
_INT96_TYPE = pa.timestamp("us", "UTC")
_INT96: Final[Mapping[str, Any]] = MappingProxyType({"coerce_int96_timestamp_unit": "us"})  # nanoseconds end in 2262


def parquet_frames(stream: IO[bytes], most_rows: int, names: FieldNames) -> Iterator[RawFrame]:
    """Yield the records of all rows; rows count from 1. A row group that breaks costs its rows from there on."""
    frame, first = RawFrame(names), 1
    try:
        source = pq.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER_BYTES, **_INT96)
        columns = _Columns(source, names, most_rows)
        groups = [source.metadata.row_group(group).num_rows for group in range(source.num_row_groups)]
    except _UNREADABLE_FILE:
        frame.reject(first, "broken_file")
        groups = []
    for group, rows in enumerate(groups):
        line = first
        first += rows
        try:
            for batch in columns.batches(group):
                _add_batch(frame, line, batch, columns)
                line += batch.num_rows
                if frame.is_full(most_rows):
                    yield frame
                    frame = RawFrame(names)
        except _UNREADABLE_FILE:
            frame.reject(line, "broken_file")
    yield frame


class _Columns:
    """The columns of a file that are read.

    Attributes:
        picker: picks the fields of a row.
        is_wrapped: whether the records stand in one of the columns.
    """

    def __init__(self, source: pq.ParquetFile, names: FieldNames, most_rows: int) -> None:
        """Choose columns and how many rows are read at once."""
        self._source = source
        present = tuple(source.schema_arrow.names)
        picker = names.picker(present)
        self.is_wrapped = not picker.is_record and has_wrapper(present)
        self.names = list(present) if self.is_wrapped else names.recognised(present)
        self.picker = names.picker(tuple(self.names))
        is_nested = self.is_wrapped or "response" in picker.fields
        self._rows = min(most_rows, RECEIPT_BATCH_ROWS if is_nested else BATCH_ROWS)
        leaves = (source.schema.column(place) for place in range(len(source.schema)))
        self._in_utc = {leaf.path for leaf in leaves if leaf.physical_type == "INT96"}

    def batches(self, group: int) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group."""
        yield from self._source.iter_batches(
            batch_size=self._rows, row_groups=[group], columns=self.names, use_threads=False
        )

    def values(self, batch: pa.RecordBatch) -> list[Sequence[object]]:
        """Return the values of each column; INT96 is UTC, whatever the Arrow type says."""
        named = zip(batch.schema.names, batch.columns, strict=True)
        return [_values_of(column.cast(_INT96_TYPE) if name in self._in_utc else column) for name, column in named]


def _add_batch(frame: RawFrame, line: int, batch: pa.RecordBatch, columns: _Columns) -> None:
    values = columns.values(batch)
    size = batch.nbytes // max(batch.num_rows, 1)
    pick = columns.picker.pick
    nothing = () if columns.is_wrapped else ([ABSENT] * batch.num_rows, [None] * batch.num_rows)
    for number, row in enumerate(zip(*values, *nothing, strict=True), line):
        if _UNREADABLE in row:
            frame.reject(number, "bad_encoding")
        elif columns.is_wrapped:
            frame.add_record(number, dict(zip(columns.names, row, strict=True)))
        else:
            frame.add(number, pick(row))
        frame.count_bytes(size)


def _values_of(column: pa.Array[Any]) -> Sequence[object]:
    """Return a column's values: times to the microsecond, integers exact, bytes as text."""
    if pa.types.is_timestamp(column.type):
        return _times_of(column)
    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        values = [_value_of(scalar) for scalar in column]
    return [_text_of(value) for value in values] if _is_binary(column.type) else values


def _times_of(column: pa.Array[Any]) -> list[object]:
    """Return instants, or clock times where the column has no zone; infinity for those without a date.

    pyarrow's own conversion takes ten times as long.
    """
    since = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).to_pylist()
    epoch = EPOCH if column.type.tz is not None else EPOCH.replace(tzinfo=None)
    return [None if each is None else _time_at(each, epoch) for each in since]


def _time_at(microseconds: int, epoch: datetime) -> object:
    try:
        return epoch + timedelta(microseconds=microseconds)
    except OverflowError:
        return inf


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _value_of(scalar: pa.Scalar[Any]) -> object:
    try:
        value: object = scalar.as_py()
    except UnicodeDecodeError:
        return _UNREADABLE
    except (ValueError, OverflowError, pa.ArrowException):
        return inf  # a date beyond the years 1 to 9999
    return value


def _text_of(value: object) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return _UNREADABLE
