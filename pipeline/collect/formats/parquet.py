"""Parquet rows to records, column by column where no row needs a look of its own.

Belongs here: reading recognised columns batch by batch. Does not belong here: what fields mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import nan
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.collect.chunks import Batch, Found
from pipeline.collect.columns import Rows
from pipeline.collect.fields import fields_among, recognised
from pipeline.collect.rejects import Reject, reason_of

BATCH_ROWS = 8192
ANSWER_BATCH_ROWS = 256
"""Rows at once where each may hold the answer to a call with hundreds of numbers."""
_BUFFER_BYTES = 1 << 18
_UNREADABLE = object()
_BAD_ENCODING = Reject(None, reason_of("bad_encoding"))


def parquet_records(stream: IO[bytes], most_rows: int) -> Iterator[Found | Batch]:
    """Yield row number from 1, record or `Reject`, and bytes of a row, for each row, or batches of `most_rows`.

    Records hold recognised columns alone. Where the file can't be read (further), one reject stands
    for the rest.
    """
    number = 0
    try:
        for batch in _batches(pq.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER_BYTES), most_rows):
            rows = _rows_of(batch, number + 1)
            if rows is not None:
                yield Batch([rows], [], _Records(batch, number + 1).record_at)
                number += batch.num_rows
                continue
            size = batch.nbytes // max(batch.num_rows, 1)
            for record in _records_of(batch):
                number += 1
                yield number, record, size
    except (pa.ArrowException, OSError, ValueError):
        yield number + 1, Reject(None, reason_of("broken_file")), 0


def _batches(source: pq.ParquetFile, most_rows: int) -> Iterator[pa.RecordBatch]:
    names = recognised(tuple(source.schema_arrow.names))
    has_answers = fields_among(tuple(names)).response is not None
    rows = min(most_rows, ANSWER_BATCH_ROWS if has_answers else BATCH_ROWS)
    for group in range(source.num_row_groups):  # one by one, so that a broken one takes no other with it
        yield from source.iter_batches(batch_size=rows, row_groups=[group], columns=names, use_threads=False)


def _rows_of(batch: pa.RecordBatch, first: int) -> Rows | None:
    """Return a batch whose columns are those of single messages, None where each record must be looked at."""
    fields = fields_among(tuple(batch.schema.names))
    if fields.rivals or fields.response is not None or fields.msg_id is None or fields.sent_at is None:
        return None
    try:
        columns = {field: _plain(batch[name]) for field, name in fields.names().items() if name is not None}
    except pa.ArrowException:  # bytes that are not UTF-8
        return None
    return Rows(columns, pa.array(range(first, first + batch.num_rows)), pa.array([0] * batch.num_rows, pa.int64()))


def _plain(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return a column, texts of whatever kind as plain ones."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    plain = column.cast(pa.string()) if is_text else column
    plain.validate(full=True)
    return plain


class _Records:
    """The rows of a batch, to be read one by one after all."""

    def __init__(self, batch: pa.RecordBatch, first: int) -> None:
        self._batch = batch
        self._first = first

    @cached_property
    def _all(self) -> list[dict[str, object] | Reject]:
        return list(_records_of(self._batch))

    def record_at(self, number: int) -> dict[str, object] | Reject:
        """Return the record of a row, or the `Reject` in its place."""
        return self._all[number - self._first]


def _records_of(batch: pa.RecordBatch) -> Iterator[dict[str, object] | Reject]:
    names = batch.schema.names
    if not names:
        yield from ({} for _ in range(batch.num_rows))
        return
    for row in zip(*(_values_of(column) for column in batch.columns), strict=True):
        yield _BAD_ENCODING if _UNREADABLE in row else dict(zip(names, row, strict=True))


def _values_of(column: pa.Array[Any]) -> list[object]:
    """Return a column's values: times in microseconds, integers exact, bytes as text."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", "UTC" if kind.tz is not None else None), safe=False)
    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        values = [_value_of(scalar) for scalar in column]
    return [_text_of(value) for value in values] if _is_binary(kind) else values


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _value_of(scalar: pa.Scalar[Any]) -> object:
    try:
        value: object = scalar.as_py()
    except UnicodeDecodeError:
        return _UNREADABLE
    except (ValueError, OverflowError, pa.ArrowException):
        return nan  # a time beyond the years 1 to 9999
    return value


def _text_of(value: object) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return _UNREADABLE
