"""Pieces of bytes to physical lines, none longer than a bound.

Belongs here: where a line begins and ends. Does not belong here: what it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LONGEST_LINE_BYTES = 8 << 20
"""A longer line, or CSV record, is set aside as a whole."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


Line = tuple[int, bytes | None, bool]
"""A physical line: its number from 1, its bytes without the newline, whether it has one.

The bytes are None where the line is too long: they were dropped as they came.
"""


def lines_of(pieces: Iterable[bytes], *, longest: int = LONGEST_LINE_BYTES) -> Iterator[Line]:
    r"""Yield the lines of a stream, which end with `\n` and with nothing else.

    A byte order mark in front of the first line is left out. Holds at most `longest` bytes and a piece.
    """
    number, held, size = 1, [], 0
    for piece in pieces:
        first, *others = piece.split(b"\n")
        size += len(first)
        held.append(first)
        if size > longest:
            held.clear()
        if not others:
            continue
        yield _line(number, held, size, longest, is_ended=True)
        *whole, rest = others
        for number, content in enumerate(whole, number + 1):  # noqa: B020 - goes on counting
            yield number, content, True
        number, held, size = number + 1, [rest], len(rest)
    if size:
        yield _line(number, held, size, longest, is_ended=False)


def _line(number: int, held: list[bytes], size: int, longest: int, *, is_ended: bool) -> Line:
    content = b"".join(held) if size <= longest else None
    if number == 1 and content is not None:
        content = content.removeprefix(BYTE_ORDER_MARK)
    return number, content, is_ended
