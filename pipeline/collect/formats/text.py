r"""Pieces of bytes to pieces of UTF-8 in which every line ends with `\n`.

Belongs here: UTF-16, byte order marks, line ends. Does not belong here: lines and records.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from pipeline.collect.formats.compression import LOST

_UTF_8_MARK: Final = codecs.BOM_UTF8
_UTF_16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_NO_TEXT: Final = b"\xff"
"""Stands for what is no UTF-16."""


def text_pieces(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield UTF-8 text of the same content; `\r\n` and `\r` become `\n`, marks in front of lines are left out.

    Bytes that are no UTF-8 stay as they are. LOST stays where it is.
    """
    held, is_line_start = b"", True
    for piece in _as_utf_8(pieces):
        if piece == LOST:
            yield from (held, LOST) if held else (LOST,)
            held, is_line_start = b"", True
            continue
        whole, held = _cut_behind_line_ends(held + piece)
        if is_line_start:
            whole = whole.removeprefix(_UTF_8_MARK)
        if whole:
            text = _with_plain_lines(whole)
            is_line_start = text.endswith(b"\n")
            yield text
    if held:
        yield _with_plain_lines(held)


def _cut_behind_line_ends(piece: bytes) -> tuple[bytes, bytes]:
    """Return a piece without an end that may be half of a line end or of a mark, and that end."""
    for end in (b"\r", _UTF_8_MARK[:2], _UTF_8_MARK[:1]):
        if piece.endswith(end):
            return piece[: -len(end)], end
    return piece, b""


def _with_plain_lines(text: bytes) -> bytes:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text.replace(b"\n" + _UTF_8_MARK, b"\n") if _UTF_8_MARK in text else text


def _as_utf_8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield pieces as they are, or decoded if the first begins with the mark of UTF-16."""
    every_piece = iter(pieces)
    first = list(islice(every_piece, 1))
    if first and len(first[0]) == 1:  # half a mark
        first = [b"".join([*first, *islice(every_piece, 1)])]
    encoding = next((name for mark, name in _UTF_16.items() if first and first[0].startswith(mark)), None)
    whole = chain(first, every_piece)
    return whole if encoding is None else _decoded(whole, encoding)


def _decoded(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for piece in pieces:
        if piece == LOST:
            decoder.reset()
            yield LOST
        elif text := decoder.decode(piece):
            yield text.encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield _NO_TEXT
