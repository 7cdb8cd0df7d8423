"""Many plain CSV lines at once, column by column.

Belongs here: which lines are a row beyond doubt, and their cells. Does not belong here: rows of several lines and
every other line, which `csv_rows` reads one by one. The tests hold both ways against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from pipeline.collect.columns import Rows, or_else
from pipeline.collect.fields import names_by_field, recognised
from pipeline.collect.formats.lines import Block

_QUOTE, _NUL, _RETURN, _NEWLINE = b'"\0\r\n'
_Indices = npt.NDArray[np.int64]


class Header:
    """The columns of a CSV file: how many there are, and where the recognised ones stand.

    Attributes:
        delimiter: what is between them.
        width: how many there are.
        places: recognised name -> the first column that has it.
        fields: field -> the names that stand for it, the preferred first.
    """

    def __init__(self, cells: Sequence[str], delimiter: str) -> None:
        """Read the cells of the header line."""
        names = [cell.strip() for cell in cells]
        self.delimiter = delimiter
        self.width = len(names)
        self.places = {name: names.index(name) for name in recognised(tuple(names))}
        self.fields = names_by_field(tuple(self.places))

    @property
    def names_messages(self) -> bool:
        """Whether rows can be messages."""
        return "msg_id" in self.fields or "response" in self.fields

    def record_of(self, row: Sequence[str]) -> dict[str, str]:
        """Return the recognised cells of a row."""
        return {name: row[place] for name, place in self.places.items()}


def odd_lines(block: Block, header: Header) -> _Indices:
    """Return the indices of the lines of a block that are not a row beyond doubt, if a row begins there.

    A plain line is UTF-8, has the header's number of cells, no NUL, no carriage return but in front of its newline,
    and quotes only around whole cells and, doubled, inside those.
    """
    content = block.content or b""
    at = np.frombuffer(content, np.uint8)
    places = _Places(at, block.ends)
    if not {"msg_id", "sent_at"} <= header.fields.keys() or "response" in header.fields or not _is_utf8(content):
        return np.arange(block.count)
    delimiters, wrong = np.flatnonzero(at == ord(header.delimiter)), []
    if b"\0" in content:
        wrong.append(np.flatnonzero(at == _NUL))
    if b'"' in content:
        quotes = _Quotes(places, np.flatnonzero(at == _QUOTE), ord(header.delimiter))
        wrong += [quotes.misplaced(), quotes.unpaired()]
        delimiters = delimiters[~quotes.are_around(delimiters)]
    if b"\r" in content:
        returns = np.flatnonzero(at == _RETURN)
        if not np.array_equal(returns + 1, block.ends):
            wrong.append(returns[np.isin(returns + 1, block.ends, invert=True)])
    if not places.are_so_many(delimiters, header.width - 1):
        wrong.append(block.ends[places.count_by_line(delimiters) != header.width - 1])
    return np.unique(places.line_of(np.concatenate(wrong))) if wrong else np.zeros(0, np.int64)


def rows_of(block: Block, header: Header) -> Rows | None:
    """Read a block of plain lines; None where there are not as many rows as lines."""
    source: Any = pa.BufferReader(block.content or b"")
    names = [str(index) for index in range(header.width)]
    wanted = [names[place] for place in header.places.values()]
    try:
        table = pa.csv.read_csv(
            source,
            pa.csv.ReadOptions(use_threads=False, block_size=len(block.content or b"") + 1, column_names=names),
            pa.csv.ParseOptions(delimiter=header.delimiter, ignore_empty_lines=False),
            pa.csv.ConvertOptions(include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != block.count:
        return None
    cells: dict[str, Any] = {name: table[names[place]].combine_chunks() for name, place in header.places.items()}
    columns = {field: reduce(or_else, (cells[name] for name in found)) for field, found in header.fields.items()}
    lines = np.arange(block.number, block.number + block.count)
    return Rows(columns, pa.array(lines), pa.array(np.zeros(block.count, np.int64)))


def _is_utf8(content: bytes) -> bool:
    try:
        return content.isascii() or bool(content.decode("utf-8"))
    except UnicodeDecodeError:
        return False


@dataclass(frozen=True)
class _Places:
    """Where something is in a block: bytes `at` places, newlines at `ends`."""

    at: npt.NDArray[np.uint8]
    ends: _Indices

    def line_of(self, places: _Indices) -> _Indices:
        """Return the index of the line of each place."""
        return np.searchsorted(self.ends, places)

    def are_so_many(self, places: _Indices, count: int) -> bool:
        """Tell whether each line has `count` of the places, at least one."""
        if not count or len(places) != count * len(self.ends):
            return False
        by_line = places.reshape(-1, count)
        return bool((by_line[1:, 0] > self.ends[:-1]).all() and (by_line[:, -1] < self.ends).all())

    def count_by_line(self, places: _Indices) -> _Indices:
        """Return how many of the places each line has."""
        return np.diff(np.searchsorted(places, self.ends), prepend=0)

    def begins_cell(self, places: _Indices, delimiter: int) -> npt.NDArray[np.bool_]:
        """Tell which places are the first of a cell, if they are in none that is quoted."""
        before = self.at[places - 1]
        begins: npt.NDArray[np.bool_] = (places == 0) | (before == delimiter) | (before == _NEWLINE)
        return begins

    def ends_cell(self, places: _Indices, delimiter: int) -> npt.NDArray[np.bool_]:
        """Tell which places are the last of a cell; those of newlines never are."""
        after = self.at[places + 1]
        ends: npt.NDArray[np.bool_] = (after == delimiter) | (after == _NEWLINE) | (after == _RETURN)
        return ends


class _Quotes:
    """The quotes of a block: of each line the first opens, the second closes, and so on."""

    def __init__(self, places: _Places, quotes: _Indices, delimiter: int) -> None:
        self._places = places
        self._quotes = quotes
        self._delimiter = delimiter
        self._line = places.line_of(quotes)
        self._count = places.count_by_line(quotes)
        self._before = np.cumsum(self._count) - self._count
        opens = (np.arange(len(quotes)) - self._before[self._line]) % 2 == 0
        self._opening, self._closing = quotes[opens], quotes[~opens]

    def misplaced(self) -> _Indices:
        """Return the quotes that are neither at the edge of a cell nor doubled inside one."""
        opening = self._places.begins_cell(self._opening, self._delimiter) | np.isin(self._opening - 1, self._closing)
        closing = self._places.ends_cell(self._closing, self._delimiter) | np.isin(self._closing + 1, self._opening)
        return np.concatenate([self._opening[~opening], self._closing[~closing]])

    def unpaired(self) -> _Indices:
        """Return a quote of each line that has an odd number of them."""
        unpaired: _Indices = self._quotes[self._count[self._line] % 2 == 1]
        return unpaired

    def are_around(self, places: _Indices) -> npt.NDArray[np.bool_]:
        """Tell which places are inside quotes."""
        before = np.searchsorted(self._quotes, places) - self._before[self._places.line_of(places)]
        are_inside: npt.NDArray[np.bool_] = before % 2 == 1
        return are_inside
