"""Sizes of Parquet pages as their own headers say: a footer may lie, and a page is decoded as a whole.

Belongs here: walking the pages of a column, and as much of Thrift's compact protocol as that takes.
Does not belong here: what is too large (`parquet`).
"""

from __future__ import annotations

from typing import IO, Final, NamedTuple

_FIRST_READ: Final = 1 << 10
_LONGEST_HEADER: Final = 1 << 16
"""Bytes; statistics are a part of it."""
_DEEPEST: Final = 8
_BINARY, _LIST, _SET, _STRUCT = 8, 9, 10, 12
_FIXED: Final = {1: 0, 2: 0, 3: 1, 7: 8}
"""Bytes of the types without a length: true, false, byte, double."""
_VARINTS: Final = frozenset({4, 5, 6})
_LONGEST_VARINT: Final = 10
_UNCOMPRESSED, _COMPRESSED = 2, 3
"""Numbers of the fields of a page header (parquet.thrift, `PageHeader`)."""
_LONG_LIST: Final = 15


class PageSizes(NamedTuple):
    """Bytes of the pages of a column, decompressed: of all and of the largest."""

    total: int
    largest: int


def page_sizes(stream: IO[bytes], start: int, length: int) -> PageSizes:
    """Walk the pages in a range of a file; the position of `stream` changes.

    Raises:
        ValueError: a header can't be read.
    """
    total = largest = 0
    place, end = start, start + length
    while place < end:
        header, size, compressed = _page_header(stream, place)
        total, largest = total + size, max(largest, size)
        place += header + compressed
    return PageSizes(total, largest)


def _page_header(stream: IO[bytes], place: int) -> tuple[int, int, int]:
    """Return the length of a header, and the sizes of its page: decompressed and in the file."""
    for most in (_FIRST_READ, _LONGEST_HEADER):
        stream.seek(place)
        reader = _Compact(stream.read(most))
        try:
            fields = reader.integers_of_struct()
        except IndexError:
            continue
        size, compressed = fields.get(_UNCOMPRESSED, -1), fields.get(_COMPRESSED, -1)
        if min(size, compressed) >= 0:
            return reader.place, size, compressed
        break
    raise ValueError(f"no header of a Parquet page at byte {place}")


class _Compact:
    """Reads Thrift's compact protocol from bytes; raises IndexError where they end, ValueError where it is none."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.place = 0

    def integers_of_struct(self, depth: int = 0) -> dict[int, int]:
        """Read a struct; return its integers by the number of their field."""
        found: dict[int, int] = {}
        number = 0
        while (head := self._byte()) != 0:
            kind, step = head & 15, head >> 4
            number = number + step if step else self._integer()
            if kind in _VARINTS:
                found[number] = self._integer()
            else:
                self._skip(kind, depth + 1)
        return found

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError("nested too deep")
        if kind in _VARINTS:
            self._integer()
        elif kind in _FIXED:
            self._forward(_FIXED[kind])
        elif kind == _BINARY:
            self._forward(self._varint())
        elif kind in {_LIST, _SET}:
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 != _LONG_LIST else self._varint()):
                self._skip_element(head & 15, depth + 1)
        elif kind == _STRUCT:
            self.integers_of_struct(depth)
        else:  # a map: no page header has one
            raise ValueError("not a page header")

    def _skip_element(self, kind: int, depth: int) -> None:
        if kind in {1, 2}:  # true and false take a byte here
            self._forward(1)
        else:
            self._skip(kind, depth)

    def _byte(self) -> int:
        self.place += 1
        return self._content[self.place - 1]

    def _forward(self, count: int) -> None:
        self.place += count
        if self.place > len(self._content):
            raise IndexError

    def _varint(self) -> int:
        value = 0
        for shift in range(_LONGEST_VARINT):
            byte = self._byte()
            value |= (byte & 127) << 7 * shift
            if byte < 128:  # noqa: PLR2004 - its last byte
                return value
        raise ValueError("an integer is too long")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
