"""Pieces of bytes to physical lines, none longer than a bound.

Belongs here: where a line begins and ends. Does not belong here: parsing a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LONGEST_LINE_BYTES = 8 << 20
"""A longer line, or CSV record, is rejected as a whole."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Line = tuple[int, bytes | None, bool]
"""A physical line: its number from 1, its bytes without the newline, whether it has one.

The bytes are None where the line is longer than the bound: they are dropped while they are read.
"""


def lines_of(pieces: Iterable[bytes], *, longest: int = LONGEST_LINE_BYTES) -> Iterator[Line]:
    r"""Yield the lines of a stream; only `\n` ends a line.

    A byte order mark in front of the first line is left out. Holds at most `longest` bytes and a piece.

    Raises:
        CutStream: raised by `pieces`; the lines before the cut have been yielded.
    """
    number, rest = 1, _Rest(longest)
    for piece in pieces:
        ended, newline, last = piece.rpartition(b"\n")
        if newline:
            first, *others = ended.split(b"\n")
            rest.add(first)
            for line in (_without_mark(rest.take(), number), *others):
                yield number, line if line is None or len(line) <= longest else None, True
                number += 1
        rest.add(last)
    if rest.size:
        yield number, _without_mark(rest.take(), number), False


def _without_mark(line: bytes | None, number: int) -> bytes | None:
    return line.removeprefix(_BYTE_ORDER_MARK) if line is not None and number == 1 else line


class _Rest:
    """The parts of a line whose end has not been read yet; dropped once they are too long."""

    def __init__(self, longest: int) -> None:
        self.size = 0
        self._longest = longest
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        """Add a part."""
        self.size += len(part)
        self._parts.append(part)
        if self.size > self._longest:
            self._parts.clear()

    def take(self) -> bytes | None:
        """Return the line, None where it was too long, and start the next one."""
        line = b"".join(self._parts) if self.size <= self._longest else None
        self.size = 0
        self._parts.clear()
        return line
