"""CSV rows to records, many plain ones at once, the others one by one.

Belongs here: delimiter, header, quoted line ends, rows that don't fit. Does not belong here: which lines
are plain (`csv_columns`), what fields mean.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from pipeline.collect.chunks import Batch, Found
from pipeline.collect.fields import recognised
from pipeline.collect.formats.compression import CutStream
from pipeline.collect.formats.csv_columns import Header, odd_lines, rows_of
from pipeline.collect.formats.lines import LONGEST_LINE_BYTES, Block, Line
from pipeline.collect.rejects import Reject, reason_of

DELIMITERS = (",", ";", "\t", "|")
FEW_LINES = 16
"""Plain lines in a row that are read one by one all the same."""


class _TooLong(Exception):  # noqa: N818 - a signal inside this module
    """The record is longer than can be held."""


class _Feed:
    """Text lines for `csv.reader`, what it must be told about the record that it reads, and lines to read at once."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self._block = Block(0, None, is_ended=True)
        self._at = 1  # lines of the block that were taken
        self._lines: Sequence[Line] = ()
        self._odd: Sequence[int] | None = None
        self.is_ended = True
        self.begin()

    def begin(self) -> None:
        """Forget the record before."""
        self.size = 0
        self.is_utf8 = True

    @property
    def next_number(self) -> int:
        """The number of the line that comes next."""
        return self._block.number + self._at

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self._has_next():
            raise StopIteration
        _, content, self.is_ended = self._next_line()
        self._at += 1
        self.size += LONGEST_LINE_BYTES if content is None else len(content) + 1
        if content is None or self.size > LONGEST_LINE_BYTES + 1:
            raise _TooLong
        return self._decoded(content) + "\n" * self.is_ended

    def peek(self) -> str:
        """Return the first line that is not blank, without taking it; empty where there is none."""
        while self._has_next():
            _, content, _ = self._next_line()
            if content is None or content.strip():
                return (content or b"").decode("utf-8", "replace")
            self._at += 1
        return ""

    def plain(self, header: Header, most: int) -> Block | None:
        """Take the plain lines that come next, None where they are not worth while. A row must begin there."""
        if not self._has_next() or self._block.content is None or not self._block.is_ended:
            return None
        if self._odd is None:
            self._odd = odd_lines(self._block, header).tolist()
        place = bisect_left(self._odd, self._at)
        end = min(self._odd[place] if place < len(self._odd) else self._block.count, self._at + most)
        if end - self._at < min(FEW_LINES, most):
            return None
        plain = self._block.part(self._at, end)
        self._at = end
        return plain

    def _has_next(self) -> bool:
        while self._at >= self._block.count:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._block, self._at, self._lines, self._odd = block, 0, (), None
        return True

    def _next_line(self) -> Line:
        self._lines = self._lines or list(self._block.lines())
        return self._lines[self._at]

    def _decoded(self, content: bytes) -> str:
        try:
            return content.lstrip(b"\0").decode("utf-8")
        except UnicodeDecodeError:
            self.is_utf8 = False
            return content.decode("utf-8", "replace")


class _PlainLines:
    """Lines of a block, to be read one by one after all."""

    def __init__(self, block: Block, header: Header) -> None:
        self._block = block
        self._header = header

    @cached_property
    def _lines(self) -> list[bytes]:
        return (self._block.content or b"").split(b"\n")

    def record_at(self, number: int) -> dict[str, str]:
        """Return the record of a line."""
        line = self._lines[number - self._block.number].decode("utf-8")
        return self._header.record_of(next(_reader([line + "\n"], self._header.delimiter)))


def csv_records(blocks: Iterable[Block], most_lines: int, was_touched: Callable[[], bool]) -> Iterator[Found | Batch]:
    """Yield line number, record or `Reject`, and length in bytes, for each row below the header.

    Plain lines come as batches instead, of at most `most_lines` each. Records hold recognised columns alone. The
    number is that of the line where the row begins.

    Args:
        blocks: physical lines, the header first.
        most_lines: how many lines a batch may have.
        was_touched: whether the file is being written: then a last row without line end is cut off
            somewhere, whole as it may look.
    """
    feed = _Feed(blocks)
    begins = 1
    try:
        delimiter = _delimiter_of(feed.peek())
        reader = _reader(feed, delimiter)
        begins = feed.next_number
        cells = _next_row(reader, feed)
        if cells is None:
            return
        header = Header(() if isinstance(cells, Reject) else cells, delimiter)
        if not header.names_messages:
            yield begins, cells if isinstance(cells, Reject) else Reject(None, reason_of("no_header")), 0
        begins = feed.next_number
        while True:
            for batch in _plain_batches(feed, header, most_lines):
                yield batch
                begins = feed.next_number
            row = _next_row(reader, feed)
            if row is None:
                return
            record = _record_of(row, header, feed, was_touched)
            if record is not None:
                yield begins, record, feed.size
            begins = feed.next_number
    except CutStream:
        yield begins, Reject(None, reason_of("cut_file")), 0


def _plain_batches(feed: _Feed, header: Header, most_lines: int) -> Iterator[Batch]:
    while (block := feed.plain(header, most_lines)) is not None:
        rows = rows_of(block, header)
        odd = () if rows else range(block.number, block.number + block.count)
        yield Batch([rows] if rows else [], odd, _PlainLines(block, header).record_at)


def _reader(feed: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), 2 * LONGEST_LINE_BYTES))  # the feed holds the bound
    return csv.reader(feed, delimiter=delimiter, strict=True, skipinitialspace=True)


def _next_row(reader: Iterator[list[str]], feed: _Feed) -> list[str] | Reject | None:
    """Return the next row, or a reject in its place, None at the end."""
    feed.begin()
    try:
        return next(reader)
    except StopIteration:
        return None
    except _TooLong:
        return Reject(None, reason_of("line_too_long"))
    except csv.Error:
        return _broken(feed)


def _record_of(
    row: list[str] | Reject, header: Header, feed: _Feed, was_touched: Callable[[], bool]
) -> dict[str, str] | Reject | None:
    """Return the record of a row, the reject in its place, or None where the row is blank."""
    if isinstance(row, Reject):
        return row
    if not row or (len(row) == 1 and not row[0].strip()):
        return None
    if not feed.is_utf8:
        return Reject(None, reason_of("bad_encoding"))
    if len(row) != header.width or (not feed.is_ended and was_touched()):
        return _broken(feed)
    return header.record_of(row)


def _broken(feed: _Feed) -> Reject:
    return Reject(None, reason_of("broken_line" if feed.is_ended else "unfinished_line"))


def _delimiter_of(header: str) -> str:
    """Return the delimiter that makes the most known columns of the header line, else the most columns."""
    return max(DELIMITERS, key=lambda delimiter: _columns_with(delimiter, header))


def _columns_with(delimiter: str, header: str) -> tuple[int, int]:
    try:
        cells = next(csv.reader([header.strip()], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return (0, 0)
    return len(recognised(tuple(cells))), len(cells)
