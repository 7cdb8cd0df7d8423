"""Parquet rows to frames.

Belongs here: reading recognised columns batch by batch, exactly.
Does not belong here: what fields mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import nan
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.collect.fields import FieldNames
from pipeline.collect.frames import RawFrame
from pipeline.collect.times import EPOCH

BATCH_ROWS = 8192
RECEIPT_BATCH_ROWS = 256
"""Rows at once where each may hold a receipt with hundreds of messages."""
_BUFFER_BYTES = 1 << 18
_UNREADABLE = object()


def parquet_frames(stream: IO[bytes], most_rows: int, names: FieldNames) -> Iterator[RawFrame]:
    """Yield the records of all rows; rows count from 1. One reject stands for all rows from a broken part on."""
    frame, line = RawFrame(names), 1
    try:
        for batch in _batches(pq.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER_BYTES), most_rows, names):
            _add_batch(frame, line, batch)
            line += batch.num_rows
            if frame.is_full(most_rows):
                yield frame
                frame = RawFrame(names)
    except (pa.ArrowException, OSError, ValueError):
        frame.reject(line, "broken_file")
    yield frame


def _batches(source: pq.ParquetFile, most_rows: int, names: FieldNames) -> Iterator[pa.RecordBatch]:
    columns = names.recognised(source.schema_arrow.names)
    has_receipts = "response" in names.fields_among(columns)
    rows = min(most_rows, RECEIPT_BATCH_ROWS if has_receipts else BATCH_ROWS)
    for group in range(source.num_row_groups):  # one by one, so that a broken one takes no other with it
        yield from source.iter_batches(batch_size=rows, row_groups=[group], columns=columns, use_threads=False)


def _add_batch(frame: RawFrame, line: int, batch: pa.RecordBatch) -> None:
    pick = frame.names.picker(tuple(batch.schema.names))
    columns = [_values_of(column) for column in batch.columns]
    columns.append([None] * batch.num_rows)
    size = batch.nbytes // max(batch.num_rows, 1)
    for number, row in enumerate(zip(*columns, strict=True), line):
        if _UNREADABLE in row:
            frame.reject(number, "bad_encoding")
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
    """Return instants, or clock times where the column has no zone; NaN for those without a date.

    pyarrow's own conversion takes ten times as long.
    """
    since = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).to_pylist()
    epoch = EPOCH if column.type.tz is not None else EPOCH.replace(tzinfo=None)
    return [None if each is None else _time_at(each, epoch) for each in since]


def _time_at(microseconds: int, epoch: datetime) -> object:
    try:
        return epoch + timedelta(microseconds=microseconds)
    except OverflowError:
        return nan


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _value_of(scalar: pa.Scalar[Any]) -> object:
    try:
        value: object = scalar.as_py()
    except UnicodeDecodeError:
        return _UNREADABLE
    except (ValueError, OverflowError, pa.ArrowException):
        return nan  # a date beyond the years 1 to 9999
    return value


def _text_of(value: object) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return _UNREADABLE
