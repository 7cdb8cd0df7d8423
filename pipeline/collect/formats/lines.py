"""Pieces of text to physical lines, none longer than a bound.

Belongs here: where a line begins and ends. Does not belong here: parsing a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count, repeat

from pipeline.collect.formats.compression import LOST

LONGEST_LINE_BYTES = 8 << 20
"""A longer line, or record, is rejected as a whole."""

Line = tuple[int, bytes | str, bool]
"""A physical line: its number from 1, its bytes without the newline, whether it has one.

In place of the bytes of a line that can't be had stands the code of its reject: it is longer than the bound, dropped
while it is read, or it was lost.
"""


def lines_of(pieces: Iterable[bytes], *, longest: int = LONGEST_LINE_BYTES) -> Iterator[Line]:
    r"""Yield the lines of the pieces of `text_pieces`, where only `\n` ends a line.

    Holds at most `longest` bytes and a piece.
    """
    number, rest = 1, _Rest(longest)
    for piece in pieces:
        if piece == LOST:
            rest.take()
            yield number, "cut_file", True
            number += 1
            continue
        ended, newline, last = piece.rpartition(b"\n")
        if newline:
            first, *others = ended.split(b"\n")
            rest.add(first)
            bounded = [line if len(line) <= longest else "line_too_long" for line in (rest.take(), *others)]
            yield from zip(count(number), bounded, repeat(object=True))
            number += len(bounded)
        rest.add(last)
    if rest.size:
        yield number, rest.take(), False


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

    def take(self) -> bytes | str:
        """Return the line, a code where it was too long, and start the next one."""
        line = b"".join(self._parts) if self.size <= self._longest else "line_too_long"
        self.size = 0
        self._parts.clear()
        return line
