"""CSV rows to frames.

Belongs here: quoted line breaks, rows with too few or too many cells, rows that can't be parsed.
Does not belong here: delimiter and header (`csv_head`), what fields mean.

A quote that nobody closes would take all rows below into its cell. So a record ends in front of a line that is a row
by itself; and one that can't be parsed costs its first line, and reading goes on at the next.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.collect.fields import ABSENT, FieldNames
from pipeline.collect.formats.csv_head import HEAD_LINES, Head, cells_of, escaped_cells_of, head_of
from pipeline.collect.formats.lines import LONGEST_LINE_BYTES, Line
from pipeline.collect.frames import RawFrame, is_bad_text
from pipeline.collect.times import SECOND_US, time_us
from pipeline.collect.values import id_of

_LONG_ID: Final = 10
"""Digits of an id by which a whole row is known, whatever its time."""
_FIRST_US: Final = 10**9 * SECOND_US
"""Times of rows are later (2001)."""
_UTC: Final = ZoneInfo("UTC")
_ROWS_AT_ONCE: Final = 256
"""Rows added to a frame at once; each may hold a receipt with hundreds of messages."""


def csv_frames(
    lines: Iterator[Line], most_rows: int, names: FieldNames, is_being_written: Callable[[], bool]
) -> Iterator[RawFrame]:
    """Yield the records of the rows below the header; their line is the one where the row begins.

    Args:
        lines: physical lines.
        most_rows: how many rows a frame may have.
        names: what the names of columns stand for.
        is_being_written: whether a last row that has no end may get more.
    """
    first = list(islice(lines, HEAD_LINES))
    head = head_of(first, names)
    frame = RawFrame(names)
    for number, code in head.rejects:
        frame.reject(number, code)
    rows = _Rows(chain(first[head.lines :], lines), head, is_being_written)
    at_once = min(most_rows, _ROWS_AT_ONCE)
    for line in iter(rows.next_line, None):
        rows.add(frame, line)
        waiting = len(rows.numbers)
        if waiting >= at_once or frame.is_full(most_rows - waiting):
            rows.hand_over(frame)
            if frame.is_full(most_rows):
                yield frame
                frame = RawFrame(names)
    rows.hand_over(frame)
    yield frame


def _with_put_back(lines: Iterator[Line], again: list[Line]) -> Iterator[Line | None]:
    """Yield lines, before each those that were put on `again` meanwhile, the last first; then None."""
    for line in chain(lines, repeat(None)):
        while again:
            yield again.pop()
        yield line


class _Broken(Exception):  # noqa: N818 - a signal inside this module
    """The record that begins in this line can't be parsed; the argument is the code of its reject."""


class _Rows:
    """Parses rows.

    A scan that failed in line `n` would fail there again for each line on the way that leaves a quote open, so these
    are given up at once: every line is scanned twice at most.

    Attributes:
        next_line: returns the line that comes next, None behind the last one.
        numbers: lines of the rows that were parsed and not handed over yet.
    """

    def __init__(self, lines: Iterator[Line], head: Head, is_being_written: Callable[[], bool]) -> None:
        """Start without a row."""
        csv.field_size_limit(max(csv.field_size_limit(), 2 * LONGEST_LINE_BYTES))  # the size is bounded here
        self._again: list[Line] = []
        self.next_line = _with_put_back(lines, self._again).__next__
        self._head = head
        self._delimiter, self._width, self._is_wrapped = head.delimiter, len(head.names), head.is_wrapped
        self._is_being_written = is_being_written
        self.numbers: list[int] = []
        self._parsed: list[str] = []  # their cells, one flat list
        self._taken: list[Line] = []
        self._size = 0
        self._first_text: str | None = None
        self._reader = self._new_reader()
        self._has_bad_bytes = False
        self._failed_at = 0

    def add(self, frame: RawFrame, line: Line) -> None:
        """Parse the record that begins in a line, or add its reject; skip a blank line."""
        number, content, _ = line
        if isinstance(content, str):
            frame.reject(number, content)
            return
        self._taken, self._size, self._has_bad_bytes = [line], len(content), False
        try:
            cells = self._cells(self._text_of(content))
            if len(cells) == self._width > 1:
                self._add(frame, number, cells)
            elif len(cells) > 1 or "".join(cells).strip(" \t\0"):
                self._add(frame, number, self._fitted(cells))
        except _Broken as broken:
            self._reject(frame, number, content, str(broken))
        frame.count_bytes(self._size)

    def _add(self, frame: RawFrame, number: int, cells: list[str]) -> None:
        if not self._taken[-1][2] and self._is_being_written():
            raise _Broken("unfinished_line")
        if self._is_wrapped:
            record = dict(zip(self._head.names, cells, strict=True))
            frame.add_record(number, record, has_bad_bytes=self._has_bad_bytes)
        elif self._has_bad_bytes and is_bad_text(self._head.picker.pick([*cells, ABSENT, None])):
            frame.reject(number, "bad_encoding")
        else:
            self.numbers.append(number)
            self._parsed += cells

    def hand_over(self, frame: RawFrame) -> None:
        """Add the rows that were parsed."""
        columns = [self._parsed[place :: self._width] for place in range(self._width)]
        frame.add_columns(self.numbers, columns, self._head.picker)
        self.numbers, self._parsed = [], []

    def _reject(self, frame: RawFrame, number: int, content: bytes, code: str) -> None:
        r"""Reject a record, unless its first line is a row as MySQL and Spark write it, with `\"` for a quote."""
        cells = escaped_cells_of(self._text_of(content), self._delimiter) if code == "broken_line" else None
        if cells is None or len(cells) != self._width or self._is_wrapped:
            frame.reject(number, code)
        else:
            self._add(frame, number, cells)

    def _cells(self, text: str) -> list[str]:
        """Return the cells of the record that begins with `text`; lines behind it are read as it needs them."""
        text = text.lstrip("\0")
        if '"' not in text:
            return text.split(self._delimiter)
        self._first_text = text + "\n"
        try:
            return next(self._reader)
        except csv.Error:
            self._reader = self._new_reader()  # one that came to the end reads no more
            self._give_up(self._taken[-1][0])
            raise _Broken("broken_line") from None

    def _new_reader(self) -> Iterator[list[str]]:
        texts = iter(self._next_text, None)
        return csv.reader(texts, delimiter=self._delimiter, strict=True, skipinitialspace=True)

    def _next_text(self) -> str | None:
        """Return the first line of a record, then the next ones while a quote is open; None behind the last line."""
        text, self._first_text = self._first_text, None
        if text is not None:
            return text
        line = self.next_line()
        if line is None:
            if not self._is_being_written():
                return None
            raise _Broken("unfinished_line")
        number, content, _ = line
        text = None if isinstance(content, str) else self._text_of(content)
        if text is None or number <= self._failed_at or self._is_row(text):
            self._again.append(line)
            self._give_up(number)
            raise _Broken("broken_line")
        self._taken.append(line)
        self._size += len(content) + 1
        if self._size > LONGEST_LINE_BYTES:
            self._give_up(number)
            raise _Broken("line_too_long")
        return text + "\n"

    def _give_up(self, failed_at: int) -> None:
        """Put back all lines but the first."""
        self._again += reversed(self._taken[1:])
        self._failed_at = max(self._failed_at, failed_at)
        del self._taken[1:]

    def _fitted(self, cells: list[str]) -> list[str]:
        """Return as many cells as the header has: missing ones are empty, more may only be empty."""
        if any(cell.strip() for cell in cells[self._width :]):
            self._give_up(self._taken[-1][0])
            raise _Broken("broken_line")
        return cells[: self._width] + [""] * (self._width - len(cells))

    def _is_row(self, text: str) -> bool:
        """Tell whether a line is a row by itself: it has an id, and a time or as many cells as the header."""
        width = self._width
        if width > 1 and self._delimiter not in text:
            return False
        cells = cells_of(text, self._delimiter)
        if cells is None or any(cell.strip() for cell in cells[width:]):
            return False
        fitted = cells[:width] + [""] * (width - len(cells))
        msg_id, sent_at, *_ = self._head.picker.pick([*fitted, ABSENT, None])
        digits = id_of(msg_id) or ""
        if len(digits) >= _LONG_ID and len(cells) >= width:
            return True
        may_be = bool(digits) or any(cell.lstrip().startswith("{") for cell in cells)
        return may_be and (time_us(sent_at, _UTC) or 0) >= _FIRST_US

    def _text_of(self, content: bytes) -> str:
        """Return a line as text; bytes that are no text are lone surrogates."""
        try:
            return content.decode()
        except UnicodeDecodeError:
            self._has_bad_bytes = True
            return content.decode("utf-8", "surrogateescape")
