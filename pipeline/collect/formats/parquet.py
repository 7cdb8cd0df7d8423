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
import pyarrow.compute
import pyarrow.parquet as pq

from pipeline.collect.fields import FieldNames
from pipeline.collect.formats.parquet_pages import PageSizes, page_sizes
from pipeline.collect.frames import MOST_BYTES, RawFrame
from pipeline.collect.times import EPOCH

BATCH_ROWS = 8192
RECEIPT_BATCH_ROWS = 256
"""Rows at once where each may hold a receipt with hundreds of messages."""
_BUFFER_BYTES = 1 << 18
_BATCH_BYTES: Final = 32 << 20
"""Bytes that a batch takes, by the sizes of pages."""
_LARGE_ROW_BYTES: Final = 64 << 10
_LARGE_GROUP_BYTES: Final = 256 << 20
"""A row group of large rows that is larger than this is not read: its pages, decoded as a whole, may have any size."""
_LARGE_PAGE_BYTES: Final = 100 << 20
"""A row group with a larger page is not read; DuckDB writes pages of up to 100 MB, most writers of 1 MB."""
_MOST_ROW_BYTES: Final = MOST_BYTES
"""Bytes of a row, decoded; a longer one is rejected, as a line is."""
_UNREADABLE = object()
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them
_UNREADABLE_FILE = (pa.ArrowException, OSError, ValueError)
_INT96_TYPE = pa.timestamp("us", "UTC")
_INT96: Final[Mapping[str, Any]] = MappingProxyType({"coerce_int96_timestamp_unit": "us"})  # nanoseconds end in 2262


def parquet_frames(stream: IO[bytes], most_rows: int, names: FieldNames) -> Iterator[RawFrame]:
    """Yield the records of all rows; rows count from 1. A row group that breaks costs its rows from there on."""
    frame, first = RawFrame(names), 1
    try:
        columns = _Columns(stream, names, most_rows)
        groups = columns.rows_of_groups()
    except _UNREADABLE_FILE:
        frame.reject(first, "broken_file")
        groups = []
    for group, rows in enumerate(groups):
        line = first
        first += rows
        try:
            if columns.is_too_large(group):
                frame.reject(line, "line_too_long", rows=rows)
                continue
            for batch in columns.batches(group):
                for part in _parts_of(batch):
                    _add_part(frame, line, part, columns)
                    line += part.num_rows
                    if frame.is_full(most_rows):
                        yield frame
                        frame = RawFrame(names)
        except _UNREADABLE_FILE:
            frame.reject(line, "broken_file", rows=first - line)
    yield frame


class _Columns:
    """The columns of a file that are read.

    Attributes:
        picker: picks the fields of a row.
        is_wrapped: whether the records stand in one of the columns.
    """

    def __init__(self, stream: IO[bytes], names: FieldNames, most_rows: int) -> None:
        """Choose columns and how many rows are read at once."""
        self._stream = stream
        self._source = _opened(stream)
        present = tuple(self._source.schema_arrow.names)
        picker = names.picker(present)
        self.is_wrapped = picker.is_wrapper
        self.names = list(present) if self.is_wrapped else names.recognised(present)
        self._read = frozenset(self.names)
        self.picker = names.picker(tuple(self.names))
        is_nested = self.is_wrapped or "response" in picker.fields
        self._rows = min(most_rows, RECEIPT_BATCH_ROWS if is_nested else BATCH_ROWS)
        self._sizes: tuple[int, Sequence[PageSizes]] = (-1, ())
        self._in_utc = {leaf.path for leaf in _leaves_of(self._source) if leaf.physical_type == "INT96"}

    def rows_of_groups(self) -> list[int]:
        """Return how many rows each row group has."""
        return [self._source.metadata.row_group(group).num_rows for group in range(self._source.num_row_groups)]

    def batches(self, group: int) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group; texts are dictionaries, so that one written once is decoded once."""
        yield from self._source.iter_batches(
            batch_size=self._rows_at_once(group), row_groups=[group], columns=self.names, use_threads=False
        )

    def is_too_large(self, group: int) -> bool:
        """Say whether a row group holds large rows, and too many of them, or a page that is too large.

        Raises:
            ValueError, OSError: its pages can't be read.
        """
        size, rows = self._size_of(group)
        is_page_too_large = any(sizes.largest > _LARGE_PAGE_BYTES for sizes in self._pages_of(group))
        return is_page_too_large or (size > _LARGE_GROUP_BYTES and size > rows * _LARGE_ROW_BYTES)

    def _rows_at_once(self, group: int) -> int:
        size, rows = self._size_of(group)
        return max(1, min(self._rows, rows * _BATCH_BYTES // max(size, 1)))

    def _size_of(self, group: int) -> tuple[int, int]:
        """Return bytes of the columns that are read of a row group, and its rows."""
        return sum(sizes.total for sizes in self._pages_of(group)), self._source.metadata.row_group(group).num_rows

    def _pages_of(self, group: int) -> Sequence[PageSizes]:
        """Return the sizes of the pages of each column that is read; they are kept until another group is asked for."""
        if self._sizes[0] != group:
            about = self._source.metadata.row_group(group)
            leaves = (about.column(place) for place in range(about.num_columns if about.num_rows else 0))
            read = [leaf for leaf in leaves if leaf.path_in_schema.split(".")[0] in self._read]
            self._sizes = (
                group,
                [page_sizes(self._stream, _start_of(leaf), leaf.total_compressed_size) for leaf in read],
            )
        return self._sizes[1]

    def values(self, batch: pa.RecordBatch) -> list[list[object]]:
        """Return the values of each column; INT96 is UTC, whatever the Arrow type says."""
        named = zip(batch.schema.names, map(_without_dictionaries, batch.columns), strict=True)
        return [_values_of(column.cast(_INT96_TYPE) if name in self._in_utc else column) for name, column in named]


def _opened(stream: IO[bytes]) -> pq.ParquetFile:
    """Open a file so that texts are read as dictionaries, which take the memory of each text once."""
    options: Any = {"pre_buffer": False, "buffer_size": _BUFFER_BYTES, **_INT96}
    source = pq.ParquetFile(stream, **options)
    texts = [leaf.path for leaf in _leaves_of(source) if leaf.physical_type == "BYTE_ARRAY"]
    stream.seek(0)
    return pq.ParquetFile(stream, read_dictionary=texts, **options)


def _start_of(leaf: Any) -> int:
    """Return where the pages of a column chunk begin: those of data, or the dictionary before them."""
    dictionary, start = leaf.dictionary_page_offset, int(leaf.data_page_offset)
    return int(dictionary) if dictionary is not None and 0 < dictionary < start else start


def _leaves_of(source: pq.ParquetFile) -> Iterator[Any]:
    return (source.schema.column(place) for place in range(len(source.schema)))


def _parts_of(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch so that a part has at most MOST_BYTES when it is decoded, or one row."""
    if batch.num_rows <= 1 or sum(map(_decoded_bytes, batch.columns)) <= MOST_BYTES:
        yield batch
        return
    middle = batch.num_rows // 2
    yield from _parts_of(batch.slice(0, middle))
    yield from _parts_of(batch.slice(middle))


def _decoded_bytes(column: pa.Array[Any]) -> int:
    """Return how many bytes a column takes without dictionaries, about."""
    if isinstance(column, pa.DictionaryArray):
        lengths = _pc.binary_length(column.dictionary)
        return int(_pc.sum(_pc.take(lengths, column.indices)).as_py() or 0) + column.indices.nbytes
    if isinstance(column, pa.StructArray):
        return sum(map(_decoded_bytes, column.flatten()))
    if isinstance(column, pa.MapArray):
        first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
        return sum(_decoded_bytes(part.slice(first, last - first)) for part in (column.keys, column.items))
    if isinstance(column, pa.ListArray | pa.LargeListArray):
        return _decoded_bytes(column.flatten())
    return column.nbytes


def _without_dictionaries(column: pa.Array[Any]) -> pa.Array[Any]:
    """Decode texts at any depth; a map stays: pyarrow can't cast it, and its values are plain all the same."""
    kind = _plain_type(column.type)
    return column if kind == column.type else column.cast(kind)


def _plain_type(kind: Any) -> Any:
    match kind:
        case pa.DictionaryType():
            return kind.value_type
        case pa.StructType():
            return pa.struct([field.with_type(_plain_type(field.type)) for field in kind.fields])
        case pa.ListType():
            return pa.list_(kind.value_field.with_type(_plain_type(kind.value_type)))
    return kind


def _add_part(frame: RawFrame, line: int, batch: pa.RecordBatch, columns: _Columns) -> None:
    size = sum(map(_decoded_bytes, batch.columns)) // max(batch.num_rows, 1)
    if size > _MOST_ROW_BYTES:
        frame.reject(line, "line_too_long", rows=batch.num_rows)
        return
    values = columns.values(batch)
    bad = {row for column in values if _UNREADABLE in column for row, one in enumerate(column) if one is _UNREADABLE}
    for row in sorted(bad):
        frame.reject(line + row, "bad_encoding")
    good = [row for row in range(batch.num_rows) if row not in bad]
    numbers = [line + row for row in good]
    if bad:
        values = [[column[row] for row in good] for column in values]
    if columns.is_wrapped:
        for number, each in zip(numbers, zip(*values, strict=True), strict=True):
            frame.add_record(number, dict(zip(columns.names, each, strict=True)))
    else:
        frame.add_columns(numbers, values, columns.picker)
    frame.count_bytes(size, batch.num_rows)


def _values_of(column: pa.Array[Any]) -> list[object]:
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
