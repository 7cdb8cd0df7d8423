"""CSV rows to records.

Belongs here: delimiter, header, quoted line ends, rows that don't fit. Does not belong here: what
fields mean.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.log_formats.lines import LONGEST_LINE_BYTES, Line
from pipeline.log_formats.source import CutStream
from pipeline.logs.fields import fields_among, recognised
from pipeline.logs.reasons import Reject, reason_of

DELIMITERS = (",", ";", "\t", "|")


class _TooLong(Exception):  # noqa: N818 - a signal inside this module
    """The record is longer than can be held."""


class _Feed:
    """Text lines for `csv.reader`, and what it must be told about the record that it reads."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = iter(lines)
        self._pushed: Line | None = None
        self.number = 0
        self.is_ended = True
        self.begin()

    def begin(self) -> None:
        """Forget the record before."""
        self.size = 0
        self.is_utf8 = True

    @property
    def next_number(self) -> int:
        """The number of the line that comes next."""
        return self._pushed[0] if self._pushed else self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._pushed or next(self._lines)
        self._pushed = None
        self.number, content, self.is_ended = line
        self.size += LONGEST_LINE_BYTES if content is None else len(content) + 1
        if content is None or self.size > LONGEST_LINE_BYTES + 1:
            raise _TooLong
        return self._decoded(content) + "\n" * self.is_ended

    def peek(self) -> str:
        """Return the first line that is not blank, without taking it; empty where there is none."""
        for line in self._lines:
            _, content, _ = line
            if content is None or content.strip():
                self._pushed = line
                return (content or b"").decode("utf-8", "replace")
        return ""

    def _decoded(self, content: bytes) -> str:
        try:
            return content.lstrip(b"\0").decode("utf-8")
        except UnicodeDecodeError:
            self.is_utf8 = False
            return content.decode("utf-8", "replace")


class _Header:
    """The columns of a CSV file: how many there are, and where the recognised ones stand."""

    def __init__(self, cells: Sequence[str]) -> None:
        names = [cell.strip() for cell in cells]
        self.width = len(names)
        self.places = {name: names.index(name) for name in recognised(tuple(names))}
        fields = fields_among(tuple(self.places))
        self.names_messages = fields.msg_id is not None or fields.response is not None

    def record_of(self, row: Sequence[str]) -> dict[str, str]:
        """Return the recognised cells of a row."""
        return {name: row[place] for name, place in self.places.items()}


def csv_records(lines: Iterable[Line], was_touched: Callable[[], bool]) -> Iterator[tuple[int, object, int]]:
    """Yield line number, record or `Reject`, and length in bytes, for each row below the header.

    Records hold recognised columns alone. The number is that of the line where the row begins.

    Args:
        lines: physical lines, the header first.
        was_touched: whether the file is being written: then a last row without line end is cut off
            somewhere, whole as it may look.
    """
    feed = _Feed(lines)
    begins = 1
    try:
        reader = _reader(feed, _delimiter_of(feed.peek()))
        begins = feed.next_number
        cells = _next_row(reader, feed)
        if cells is None:
            return
        header = _Header(() if isinstance(cells, Reject) else cells)
        if not header.names_messages:
            yield begins, cells if isinstance(cells, Reject) else Reject(None, reason_of("no_header")), 0
        begins = feed.next_number
        while (row := _next_row(reader, feed)) is not None:
            record = _record_of(row, header, feed, was_touched)
            if record is not None:
                yield begins, record, feed.size
            begins = feed.next_number
    except CutStream:
        yield begins, Reject(None, reason_of("cut_file")), 0


def _reader(feed: _Feed, delimiter: str) -> Iterator[list[str]]:
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
    row: list[str] | Reject, header: _Header, feed: _Feed, was_touched: Callable[[], bool]
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
