"""Pieces of bytes to physical lines, none longer than a bound.

Belongs here: where a line begins and ends. Does not belong here: what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LONGEST_LINE_BYTES = 8 << 20
"""A longer line, or CSV record, is rejected as a whole."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Line = tuple[int, bytes | None, bool]
"""A physical line: its number from 1, its bytes without the newline, whether it has one.

The bytes are None where the line is too long: they were dropped as they came.
"""


@dataclass(frozen=True)
class Block:
    """Physical lines in a row.

    Attributes:
        number: that of the first line, from 1.
        lines: their bytes without the newline; None for one that is too long and was dropped as it came.
        is_ended: whether they have their newlines; False for the last line of a file alone.
    """

    number: int
    lines: Sequence[bytes | None]
    is_ended: bool = True


def lines_of(blocks: Iterable[Block]) -> Iterator[Line]:
    """Yield the lines of blocks one by one."""
    for block in blocks:
        for number, line in enumerate(block.lines, block.number):
            yield number, line, block.is_ended


def blocks_of(pieces: Iterable[bytes], *, longest: int = LONGEST_LINE_BYTES) -> Iterator[Block]:
    r"""Yield the lines of a stream, which end with `\n` and with nothing else, those of a piece at once.

    A byte order mark in front of the first line is left out. Holds at most `longest` bytes and a piece.

    Raises:
        CutStream: as `pieces` does, behind the last whole line before the cut.
    """
    number, rest = 1, _Rest(longest)
    for piece in pieces:
        first, *others = piece.split(b"\n")
        rest.add(first)
        if not others:
            continue
        lines = [_without_mark(rest.take(), number), *others[:-1]]
        rest.add(others[-1])
        yield Block(number, [line if line is not None and len(line) <= longest else None for line in lines])
        number += len(lines)
    if rest.size:
        yield Block(number, [_without_mark(rest.take(), number)], is_ended=False)


def _without_mark(line: bytes | None, number: int) -> bytes | None:
    return line.removeprefix(BYTE_ORDER_MARK) if line is not None and number == 1 else line


class _Rest:
    """What there is of a line whose end has not come yet; dropped once it is too long."""

    def __init__(self, longest: int) -> None:
        self.size = 0
        self._longest = longest
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        """Take a further part."""
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
