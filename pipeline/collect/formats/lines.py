"""Pieces of bytes to physical lines, none longer than a bound, one by one or many at once.

Belongs here: where a line begins and ends. Does not belong here: what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.collect.formats.compression import CutStream

LONGEST_LINE_BYTES = 8 << 20
"""A longer line, or CSV record, is set aside as a whole."""
BLOCK_BYTES = 1 << 20
"""Lines that are read at once have about this size."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEWLINE = ord("\n")


Line = tuple[int, bytes | None, bool]
"""A physical line: its number from 1, its bytes without the newline, whether it has one.

The bytes are None where the line is too long: they were dropped as they came.
"""


@dataclass(frozen=True)
class Block:
    r"""Physical lines in a row.

    Attributes:
        number: that of the first line, from 1.
        content: whole lines, each with its newline; or the one line behind the last newline; None for one line
            that is too long.
        is_ended: whether the last line has its newline.
    """

    number: int
    content: bytes | None
    is_ended: bool

    @cached_property
    def ends(self) -> npt.NDArray[np.int64]:
        """Where in `content` the newlines are."""
        return np.flatnonzero(self._is_newline)

    @cached_property
    def count(self) -> int:
        """How many lines there are."""
        return max(int(np.count_nonzero(self._is_newline)), 1)

    @property
    def _is_newline(self) -> npt.NDArray[np.bool_]:
        is_newline: npt.NDArray[np.bool_] = np.frombuffer(self.content or b"", np.uint8) == _NEWLINE
        return is_newline

    def lines(self) -> Iterator[Line]:
        """Yield the lines one by one."""
        if self.content is None or not self.is_ended:
            yield self.number, self.content, self.is_ended
            return
        for number, line in enumerate(self.content[:-1].split(b"\n"), self.number):
            yield number, line, True

    def parts(self, most: int) -> Iterator[Block]:
        """Yield whole lines in blocks of at most `most` lines."""
        if self.content is None or self.count <= most:
            yield self
            return
        for first in range(0, self.count, most):
            yield self.part(first, min(first + most, self.count))

    def part(self, first: int, end: int) -> Block:
        """Return the whole lines from one index to another, which is not among them."""
        if end - first == self.count:
            return self
        begin = int(self.ends[first - 1]) + 1 if first else 0
        return Block(self.number + first, (self.content or b"")[begin : int(self.ends[end - 1]) + 1], is_ended=True)


def lines_of(pieces: Iterable[bytes], *, longest: int = LONGEST_LINE_BYTES) -> Iterator[Line]:
    r"""Yield the lines of a stream, which end with `\n` and with nothing else, see `blocks_of`."""
    for block in blocks_of(pieces, longest=longest):
        yield from block.lines()


def blocks_of(pieces: Iterable[bytes], *, longest: int = LONGEST_LINE_BYTES) -> Iterator[Block]:
    r"""Yield the lines of a stream, a megabyte of them at once.

    A byte order mark in front of the first line is left out. Holds at most `longest` bytes, a block and a piece.

    Raises:
        CutStream: as `pieces` does, behind the last whole line before the cut.
    """
    held = _Held(longest)
    try:
        for piece in pieces:
            yield from held.add(piece)
    except CutStream:
        yield from held.whole()
        raise
    yield from held.whole()
    yield from held.rest()


class _Held:
    """The lines that were read and not given out: whole ones, and what there is of the next."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._number = 1
        self._whole: list[bytes] = []
        self._rest: list[bytes] = []
        self._whole_size = self._rest_size = 0

    def add(self, piece: bytes) -> Iterator[Block]:
        """Take a piece; yield a block where there is enough for one."""
        first, end = piece.find(b"\n"), piece.rfind(b"\n") + 1
        self._lengthen(piece[:first] if end else piece)
        if not end:
            return
        if self._rest_size > self._longest:
            yield from self.whole()
            yield self._numbered(None, is_ended=True)
        else:
            self._whole += [*self._rest, b"\n"]
            self._whole_size += self._rest_size + 1
        self._whole.append(piece[first + 1 : end])
        self._whole_size += end - first - 1
        self._rest, self._rest_size = [], 0
        self._lengthen(piece[end:])
        if self._whole_size >= BLOCK_BYTES:
            yield from self.whole()

    def whole(self) -> Iterator[Block]:
        """Yield the whole lines."""
        if self._whole_size:
            content = b"".join(self._whole)
            self._whole, self._whole_size = [], 0
            yield self._numbered(content, is_ended=True)

    def rest(self) -> Iterator[Block]:
        """Yield the line behind the last newline, if there is one."""
        if self._rest_size:
            yield self._numbered(b"".join(self._rest) if self._rest_size <= self._longest else None, is_ended=False)

    def _lengthen(self, part: bytes) -> None:
        self._rest_size += len(part)
        if self._rest_size > self._longest:
            self._rest.clear()
        else:
            self._rest.append(part)

    def _numbered(self, content: bytes | None, *, is_ended: bool) -> Block:
        if self._number == 1 and content is not None:
            content = content.removeprefix(BYTE_ORDER_MARK)
        block = Block(self._number, content, is_ended)
        self._number += block.count
        return block
