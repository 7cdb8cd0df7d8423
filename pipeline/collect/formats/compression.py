"""A log's bytes in order, decompressed piece by piece.

Belongs here: opening a log, `.gz` and `.zst`. Does not belong here: lines and records.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zstandard

from pipeline.collect.files import LogFile
from pipeline.model.errors import SmsDeliveryError

PIECE_BYTES = 1 << 18
_ZSTD_PIECE_BYTES = 1 << 11
"""Compressed bytes given to zstd at once: each may become 128 KiB a block of 4 bytes, at worst."""
_ZSTD_WINDOW_BYTES = 1 << 27


class LogFileUnreadable(SmsDeliveryError):  # noqa: N818 - says what the file is
    """A sent log can't be opened or read: permissions or the disk, not its content."""

    def __init__(self, file: LogFile, why: str = "can't be read") -> None:
        super().__init__(f"{file.path}: {why}")
        self.file = file


class LogFileGone(LogFileUnreadable):
    """A sent log that was listed is not there any more."""

    def __init__(self, file: LogFile) -> None:
        super().__init__(file, "is gone since it was listed")


class CutStream(Exception):  # noqa: N818 - a signal inside formats
    """The compressed bytes end or break about here; what came before is good."""


def open_log(file: LogFile) -> IO[bytes]:
    """Open a log for reading.

    Raises:
        LogFileGone: it is not there any more.
        LogFileUnreadable: it can't be opened.
    """
    try:
        return file.path.open("rb")
    except FileNotFoundError:
        raise LogFileGone(file) from None
    except OSError as error:
        raise LogFileUnreadable(file, error.strerror or "can't be read") from error


def pieces_of(stream: IO[bytes], compression: str) -> Iterator[bytes]:
    """Yield a stream's bytes, decompressed by `.gz`, `.zst` or nothing; an empty stream yields none.

    Raises:
        CutStream: after the last good piece, where the compressed bytes end early or are broken.
    """
    if compression == ".gz":
        return _gunzipped(stream)
    if compression == ".zst":
        return _unzstd(stream)
    return iter(lambda: stream.read(PIECE_BYTES), b"")


def was_touched(file: LogFile) -> bool:
    """Tell whether a log has changed since it was listed, so that its end may be half written."""
    try:
        state = Path(file.path).stat()
    except OSError:
        return True
    return (state.st_size, state.st_mtime_ns) != (file.size, file.mtime_ns)


def _gunzipped(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what the members of a gzip file hold; zeros behind a member are padding."""
    plain = gzip.GzipFile(fileobj=stream)
    try:
        while piece := plain.read1(PIECE_BYTES):
            yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CutStream from error


def _unzstd(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what the frames of a zstd file hold."""
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
