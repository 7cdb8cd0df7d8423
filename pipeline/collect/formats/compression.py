"""The bytes of a log, decompressed piece by piece.

Belongs here: gzip and zstd, known by their first bytes. Does not belong here: lines and records.

A compressed log often has several parts, one behind the other. One that breaks costs the rest of itself: reading goes
on where the next one begins.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import zstandard

PIECE_BYTES: Final = 1 << 18
LOST: Final = b""
"""The piece that stands for bytes that can't be read."""
_ZSTD_WINDOW_BYTES: Final = 1 << 27
_LONGEST_HOLE: Final = 16 << 20
"""Bytes of zeros after which no record is expected; a line and a record have a lower bound."""
_MAGIC_BYTES: Final = 4
_LONGEST_HEAD: Final = 10
_SALVAGED_BYTES: Final = (4096, 64, 1)
"""Bytes given to zlib at once around a fault: what it decompressed in a call that fails is lost."""


@dataclass(frozen=True)
class _Kind:
    """A form of compression.

    Attributes:
        padding: bytes that may stand behind a part.
        begins: pattern of the first bytes of a part.
        begins_surely: pattern that random bytes hardly have.
        read_bytes: compressed bytes given to the library at once.
        open: makes the library's decompressor of one part.
        decompress: the decompressor and compressed bytes -> pieces.
    """

    padding: bytes
    begins: re.Pattern[bytes]
    begins_surely: re.Pattern[bytes]
    read_bytes: int
    open: Callable[[], Any]
    decompress: Callable[[Any, bytes], Iterator[bytes]]


def pieces_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream's bytes, decompressed if they are gzip or zstd; LOST where some can't be read."""
    head = stream.read(_MAGIC_BYTES)
    stream.seek(0)
    kind = next((kind for kind in (_GZIP, _ZSTD) if kind.begins.match(head)), None)
    if kind is None:
        return _plain(stream)
    return _decompressed(stream, kind)


def _plain(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream's bytes; of a hole in a sparse file only so many that no line with it is taken."""
    zeros = 0
    while piece := stream.read(PIECE_BYTES):
        yield piece
        zeros = 0 if piece.strip(b"\0") else zeros + len(piece)
        if zeros > _LONGEST_HOLE:
            _skip_hole(stream)


def _skip_hole(stream: IO[bytes]) -> None:
    """Move a file to where its next written bytes are; a stream without holes stays where it is."""
    with contextlib.suppress(OSError):
        number, position = stream.fileno(), stream.tell()
        ahead = os.lseek(number, 0, os.SEEK_CUR)  # what the stream has read ahead begins before
        try:
            written = os.lseek(number, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            written = os.fstat(number).st_size
        os.lseek(number, ahead, os.SEEK_SET)
        stream.seek(written)


def _decompressed(stream: IO[bytes], kind: _Kind) -> Iterator[bytes]:
    """Yield the content of all parts; of one that breaks what stands before the fault."""
    part, held, is_lost = None, b"", False
    while more := stream.read(kind.read_bytes):
        held += more
        while held:
            skipped = 0
            if part is None:
                held = _from_next_part(held, kind, is_lost=is_lost)
                if len(held) < (_LONGEST_HEAD if is_lost else _MAGIC_BYTES):
                    break
                if not kind.begins.match(held):
                    yield LOST
                    is_lost = True
                    continue
                part, skipped, is_lost = kind.open(), 1, False
            try:
                yield from kind.decompress(part, held)
            except (zlib.error, zstandard.ZstdError):
                yield LOST
                part, held, is_lost = None, held[skipped:], True
                continue
            held = part.unused_data
            part = None if part.eof else part
    if part is not None or (held and not is_lost):
        yield LOST


def _from_next_part(held: bytes, kind: _Kind, *, is_lost: bool) -> bytes:
    """Return the bytes from the next part on; behind a fault it must be found first."""
    if not is_lost:
        return held.lstrip(kind.padding)
    found = kind.begins_surely.search(held)
    return held[found.start() :] if found else held[1 - _LONGEST_HEAD :]


def _gunzipped(part: Any, held: bytes) -> Iterator[bytes]:
    piece = LOST
    while held or len(piece) == PIECE_BYTES:  # a full piece may have left some in the decompressor
        spare = part.copy()
        try:
            piece = part.decompress(held, PIECE_BYTES)
        except zlib.error:
            yield from _salvaged(spare, held)
            raise
        held = part.unconsumed_tail
        if piece:
            yield piece


def _salvaged(part: Any, held: bytes) -> Iterator[bytes]:
    """Yield what can be decompressed in front of a fault."""
    for size in _SALVAGED_BYTES:
        while held:
            spare = part.copy()
            try:
                piece = part.decompress(held[:size])
            except zlib.error:
                part = spare
                break
            if piece:
                yield piece
            held = held[size:]


def _unzstd(part: Any, held: bytes) -> Iterator[bytes]:
    piece = part.decompress(held)
    if piece:
        yield piece


_GZIP: Final = _Kind(
    padding=b"\0",
    begins=re.compile(rb"\x1f\x8b"),
    begins_surely=re.compile(rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]", re.DOTALL),
    read_bytes=1 << 16,
    open=lambda: zlib.decompressobj(wbits=31),
    decompress=_gunzipped,
)
_ZSTD: Final = _Kind(
    padding=b"",
    begins=re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    begins_surely=re.compile(rb"\x28\xb5\x2f\xfd"),
    read_bytes=1 << 11,  # at worst 4 of them hold a block of 128 KiB
    open=lambda: zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj(),
    decompress=_unzstd,
)
