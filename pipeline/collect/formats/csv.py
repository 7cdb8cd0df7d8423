"""CSV rows to frames.

Belongs here: quoted line breaks, rows with too few or too many cells, rows that can't be parsed.
Does not belong here: delimiter and header (`csv_head`), what fields mean.

A quote that nobody closes would take all rows below into its cell. So a record ends in front of a line that is a row
by itself; and one that can't be parsed costs its first line, and reading goes on at the next.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, Self
from zoneinfo import ZoneInfo

from pipeline.collect.fields import ABSENT, FieldNames
from pipeline.collect.formats.csv_head import HEAD_LINES, Head, cells_of, escaped_cells_of, head_of
from pipeline.collect.formats.lines import LONGEST_LINE_BYTES, Line
from pipeline.collect.frames import RawFrame
from pipeline.collect.times import SECOND_US, time_us
from pipeline.collect.values import id_of

_LONG_ID: Final = 10
"""Digits of an id by which a whole row is known, whatever its time."""
_FIRST_US: Final = 10**9 * SECOND_US
"""Times of rows are later (2001)."""
_UTC: Final = ZoneInfo("UTC")


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
    source, frame = _Lines(lines, first[head.lines :]), RawFrame(names)
    rows = _Rows(source, head, is_being_written)
    for number, code in head.rejects:
        frame.reject(number, code)
    width = 0 if head.is_wrapped else len(head.names)
    for line in source:
        number, content, is_ended = line
        cells = _plain_cells(content, head.delimiter) if is_ended else []
        if len(cells) == width > 1:
            frame.add(number, head.picker.pick([*cells, ABSENT, None]))
        else:
            rows.add(frame, line)
        if frame.is_full(most_rows):
            yield frame
            frame = RawFrame(names)
    yield frame


def _plain_cells(content: bytes | str, delimiter: str) -> list[str]:
    """Return the cells of a line without quotes, none where it needs a closer look."""
    if isinstance(content, str) or b'"' in content or content[:1] == b"\0":
        return []
    try:
        return content.decode().split(delimiter)
    except UnicodeDecodeError:
        return []


class _Lines:
    """Physical lines, which can be put back to be read again."""

    def __init__(self, lines: Iterator[Line], first: Sequence[Line]) -> None:
        """Start with `first`."""
        self._lines = lines
        self._again = list(reversed(first))

    def __iter__(self) -> Self:
        """Return itself."""
        return self

    def __next__(self) -> Line:
        """Return the next line."""
        return self._again.pop() if self._again else next(self._lines)

    def put_back(self, lines: Sequence[Line]) -> None:
        """Read these lines next."""
        self._again += reversed(lines)


class _Broken(Exception):  # noqa: N818 - a signal inside this module
    """The record that begins in this line can't be parsed; the argument is the code of its reject."""


class _Rows:
    """Parses the rows that need a closer look.

    A scan that failed in line `n` would fail there again for each line on the way that leaves a quote open, so these
    are given up at once: every line is scanned twice at most.
    """

    def __init__(self, source: _Lines, head: Head, is_being_written: Callable[[], bool]) -> None:
        """Start without a row."""
        csv.field_size_limit(max(csv.field_size_limit(), 2 * LONGEST_LINE_BYTES))  # the size is bounded here
        self._source = source
        self._head = head
        self._is_being_written = is_being_written
        self._taken: list[Line] = []
        self._size = 0
        self._first_text: str | None = None
        self._reader = self._new_reader()
        self._has_bad_bytes = False
        self._failed_at = 0

    def add(self, frame: RawFrame, line: Line) -> None:
        """Add the record that begins in a line, or its reject; skip a blank line."""
        number, content, _ = line
        self._taken, self._size, self._has_bad_bytes = [line], len(content), False
        if isinstance(content, str):
            frame.reject(number, content)
            return
        try:
            cells = self._cells(self._text_of(content))
            if len(cells) > 1 or "".join(cells).strip(" \t\0"):
                self._add(frame, number, cells if len(cells) == len(self._head.names) else self._fitted(cells))
        except _Broken as broken:
            self._reject(frame, number, content, str(broken))
        frame.count_bytes(self._size)

    def _add(self, frame: RawFrame, number: int, cells: list[str]) -> None:
        if not self._taken[-1][2] and self._is_being_written():
            raise _Broken("unfinished_line")
        if self._head.is_wrapped:
            record = dict(zip(self._head.names, cells, strict=True))
            frame.add_record(number, record, has_bad_bytes=self._has_bad_bytes)
        else:
            frame.add(number, self._head.picker.pick([*cells, ABSENT, None]), has_bad_bytes=self._has_bad_bytes)

    def _reject(self, frame: RawFrame, number: int, content: bytes, code: str) -> None:
        r"""Reject a record, unless its first line is a row as MySQL and Spark write it, with `\"` for a quote."""
        cells = escaped_cells_of(self._text_of(content), self._head.delimiter) if code == "broken_line" else None
        if cells is None or len(cells) != len(self._head.names) or self._head.is_wrapped:
            frame.reject(number, code)
        else:
            self._add(frame, number, cells)

    def _cells(self, text: str) -> list[str]:
        """Return the cells of the record that begins with `text`; lines behind it are read as it needs them."""
        text = text.lstrip("\0")
        if '"' not in text:
            return text.split(self._head.delimiter)
        self._first_text = text + "\n"
        try:
            return next(self._reader)
        except csv.Error:
            self._reader = self._new_reader()  # one that came to the end reads no more
            self._give_up(self._taken[-1][0])
            raise _Broken("broken_line") from None

    def _new_reader(self) -> Iterator[list[str]]:
        texts = iter(self._next_text, None)
        return csv.reader(texts, delimiter=self._head.delimiter, strict=True, skipinitialspace=True)

    def _next_text(self) -> str | None:
        """Return the first line of a record, then the next ones while a quote is open; None behind the last line."""
        if self._first_text is not None:
            text, self._first_text = self._first_text, None
            return text
        line = next(self._source, None)
        if line is None:
            if not self._is_being_written():
                return None
            raise _Broken("unfinished_line")
        number, content, _ = line
        if isinstance(content, str) or number <= self._failed_at or self._is_row(self._text_of(content)):
            self._source.put_back([line])
            self._give_up(number)
            raise _Broken("broken_line")
        self._taken.append(line)
        self._size += len(content) + 1
        if self._size > LONGEST_LINE_BYTES:
            self._give_up(number)
            raise _Broken("line_too_long")
        return self._text_of(content) + "\n"

    def _give_up(self, failed_at: int) -> None:
        """Put back all lines but the first."""
        self._source.put_back(self._taken[1:])
        self._failed_at = max(self._failed_at, failed_at)
        del self._taken[1:]

    def _fitted(self, cells: list[str]) -> list[str]:
        """Return as many cells as the header has: missing ones are empty, more may only be empty."""
        width = len(self._head.names)
        if any(cell.strip() for cell in cells[width:]):
            self._give_up(self._taken[-1][0])
            raise _Broken("broken_line")
        return cells[:width] + [""] * (width - len(cells))

    def _is_row(self, text: str) -> bool:
        """Tell whether a line is a row by itself: it has an id, and a time or as many cells as the header."""
        width = len(self._head.names)
        if text.count(self._head.delimiter) < min(width - 1, 1):
            return False
        cells = cells_of(text, self._head.delimiter)
        if cells is None or any(cell.strip() for cell in cells[width:]):
            return False
        fitted = cells[:width] + [""] * (width - len(cells))
        msg_id, sent_at, *_ = self._head.picker.pick([*fitted, ABSENT, None])
        digits = id_of(msg_id) or ""
        is_timed = (time_us(sent_at, _UTC) or 0) >= _FIRST_US
        has_object = any(cell.lstrip().startswith("{") for cell in cells)
        return bool(is_timed and (digits or has_object)) or (len(digits) >= _LONG_ID and len(cells) >= width)

    def _text_of(self, content: bytes) -> str:
        """Return a line as text; bytes that are no text are lone surrogates."""
        try:
            return content.decode()
        except UnicodeDecodeError:
            self._has_bad_bytes = True
            return content.decode("utf-8", "surrogateescape")
