"""CSV rows to frames.

Belongs here: delimiter, header, quoted line breaks, rows with too few or too many cells.
Does not belong here: what fields mean.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from pipeline.collect.fields import FieldNames, Picker
from pipeline.collect.formats.compression import CutStream
from pipeline.collect.formats.lines import LONGEST_LINE_BYTES, Line
from pipeline.collect.frames import RawFrame

DELIMITERS = (",", ";", "\t", "|")


class _TooLong(Exception):  # noqa: N818 - a signal inside this module
    """The record is longer than LONGEST_LINE_BYTES."""


class _Header(NamedTuple):
    """How many columns there are, and how a row's values are picked."""

    width: int
    pick: Picker


def csv_frames(
    lines: Iterator[Line], most_rows: int, names: FieldNames, was_touched: Callable[[], bool]
) -> Iterator[RawFrame]:
    """Yield the records of the rows below the header; their line is the one where the row begins.

    Args:
        names: what the names of columns stand for.
        lines: physical lines; the first that is not blank is the header.
        most_rows: how many rows a frame may have.
        was_touched: whether the file is being written; then a last row without line end is unfinished,
            even if it has as many cells as the header.
    """
    rows, frame = _Rows(lines), RawFrame(names)
    try:
        every_row = iter(rows)
        header = _header_of(next(every_row, None), rows, frame)
        for row in every_row:
            if len(row) == header.width and rows.is_good and isinstance(row, list):
                frame.add(rows.line, header.pick([*row, None]))
            else:
                _add_odd(frame, row, rows, header, was_touched)
            frame.count_bytes(rows.size)
            if frame.is_full(most_rows):
                yield frame
                frame = RawFrame(names)
    except CutStream:
        frame.reject(rows.line, "cut_file")
    yield frame


class _Rows:
    """The rows of a CSV file one by one, and the place of the latest.

    Attributes:
        line: physical line where the row begins.
        size: its bytes.
        is_utf8: whether all its bytes are UTF-8.
        is_ended: whether its last line has a line end.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        """Start before the header."""
        csv.field_size_limit(max(csv.field_size_limit(), 2 * LONGEST_LINE_BYTES))  # `_texts` holds the bound
        self._lines = lines
        self.line = self._next_line = 1
        self.size, self.is_utf8, self.is_ended = 0, True, True

    @property
    def is_good(self) -> bool:
        """Whether the row is UTF-8 and ends with a line end."""
        return self.is_utf8 and self.is_ended

    @property
    def broken(self) -> str:
        """The code of a row that can't be parsed."""
        return "broken_line" if self.is_ended else "unfinished_line"

    def __iter__(self) -> Iterator[list[str] | str]:
        """Yield rows, or the code of what can't be parsed; reading goes on at the next physical line."""
        delimiter = self._find_delimiter()
        while True:
            self._begin()
            try:
                for row in csv.reader(self._texts(), delimiter=delimiter, strict=True, skipinitialspace=True):
                    yield row
                    self._begin()
            except _TooLong:
                yield "line_too_long"
            except csv.Error:
                yield self.broken
            else:
                return

    def _begin(self) -> None:
        self.line, self.size, self.is_utf8 = self._next_line, 0, True

    def _texts(self) -> Iterator[str]:
        """Yield lines as text, the NUL bytes in front of them left out."""
        for number, content, is_ended in self._lines:
            self._next_line, self.is_ended = number + 1, is_ended
            self.size += LONGEST_LINE_BYTES if content is None else len(content) + 1
            if content is None or self.size > LONGEST_LINE_BYTES + 1:
                raise _TooLong
            try:
                text = content.lstrip(b"\0").decode()
            except UnicodeDecodeError:
                self.is_utf8 = False
                text = content.decode("utf-8", "replace")
            yield text + "\n" if is_ended else text

    def _find_delimiter(self) -> str:
        """Skip blank lines and look at the first other one, which is read again as the header."""
        for line in self._lines:
            number, content, _ = line
            if content is None or content.strip():
                self._lines = chain([line], self._lines)
                self._next_line = number
                return _delimiter_of((content or b"").decode("utf-8", "replace"))
        return DELIMITERS[0]


def _header_of(row: list[str] | str | None, rows: _Rows, frame: RawFrame) -> _Header:
    """Read the header; with a broken one no row fits."""
    cells = row if isinstance(row, list) else []
    names = tuple(cell.strip() for cell in cells)
    if isinstance(row, str):
        frame.reject(rows.line, row)
    elif row is not None and not frame.names.fields_among(names) & {"msg_id", "response"}:
        frame.reject(rows.line, "no_header")
    return _Header(len(names), frame.names.picker(names))


def _add_odd(
    frame: RawFrame, row: list[str] | str, rows: _Rows, header: _Header, was_touched: Callable[[], bool]
) -> None:
    """Add a row that may be broken; skip it if it is blank."""
    if isinstance(row, str):
        frame.reject(rows.line, row)
    elif len(row) <= 1 and not "".join(row).strip():
        return
    elif not rows.is_utf8:
        frame.reject(rows.line, "bad_encoding")
    elif len(row) != header.width or was_touched():
        frame.reject(rows.line, rows.broken)
    else:
        frame.add(rows.line, header.pick([*row, None]))


def _delimiter_of(header: str) -> str:
    """Return the delimiter that makes the most known columns of the header line, else the most columns."""
    return max(DELIMITERS, key=lambda delimiter: _columns_with(delimiter, header))


def _columns_with(delimiter: str, header: str) -> tuple[int, int]:
    try:
        cells: Sequence[str] = next(csv.reader([header.strip()], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return (0, 0)
    return len(FieldNames().recognised(cells)), len(cells)
