"""The bytes of a log, decompressed piece by piece.

Belongs here: `.gz` and `.zst`. Does not belong here: lines and records.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import IO, Any

import zstandard

PIECE_BYTES = 1 << 18
_ZSTD_PIECE_BYTES = 1 << 11
"""Compressed bytes given to zstd at once: at worst 4 of them hold a block of 128 KiB."""
_ZSTD_WINDOW_BYTES = 1 << 27


class CutStream(Exception):  # noqa: N818 - a signal inside formats
    """The compressed bytes end early or are broken; the pieces before are good."""


def pieces_of(stream: IO[bytes], compression: str) -> Iterator[bytes]:
    """Yield a stream's bytes, decompressed from `.gz` or `.zst`, or as they are.

    Raises:
        CutStream: after the last good piece.
    """
    if compression == ".gz":
        return _gunzipped(stream)
    if compression == ".zst":
        return _unzstd(stream)
    return iter(lambda: stream.read(PIECE_BYTES), b"")


def _gunzipped(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of all members of a gzip file; zeros behind a member are padding."""
    plain = gzip.GzipFile(fileobj=stream)
    try:
        while piece := plain.read1(PIECE_BYTES):
            yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CutStream from error


def _unzstd(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of all frames of a zstd file."""
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    frame: Any = None
    while held := stream.read(_ZSTD_PIECE_BYTES):
        while held:
            if frame is None:
                frame = context.decompressobj()
            try:
                piece = frame.decompress(held)
            except zstandard.ZstdError as error:
                raise CutStream from error
            if piece:
                yield piece
            held = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None:
        raise CutStream
