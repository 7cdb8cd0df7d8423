"""The part of a text that is being looked at: what has been read and not been used yet.

Belongs here: reading on, and where in the file a place is. Does not belong here: JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.collect.formats.compression import LOST
from pipeline.collect.formats.json_pieces import Pieces
from pipeline.collect.formats.lines import LONGEST_LINE_BYTES

MOST_BYTES: Final = LONGEST_LINE_BYTES
"""A value that is longer is dropped."""


class TextBuffer:
    r"""Text from `at` on; a place behind the end is as far as has been read.

    Attributes:
        text: what is held.
        at: place in it up to which it has been used.
        line: line of the file at `at`, from 1.
        item: how many messages and rejects the line at `at` has had so far.
        indent: blanks in front of the line's first object.
        pieces: parts of texts that container runtimes cut, as far as they have been read.
        is_whole: whether there is nothing more to read, up to the end or to a part that is lost.
        is_cut: whether a part is lost behind `text`.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        """Start at the beginning."""
        self.text = b""
        self.at = self.item = self.indent = 0
        self.pieces = Pieces()
        self.line = 1
        self.is_whole = self.is_cut = False
        self._pieces = pieces

    def read_on(self) -> bool:
        """Read at least as much as is held; return whether there was more and the bound allows it."""
        held = len(self.text) - self.at
        if self.is_whole or held > MOST_BYTES:
            return False
        parts, wanted = [self.text[self.at :]], max(held, 1)
        while wanted > 0 and not self.is_whole:
            piece = next(self._pieces, None)
            self.is_whole, self.is_cut = piece is None or piece == LOST, piece == LOST
            parts.append(piece or b"")
            wanted -= len(piece or b"")
        self.text, self.at = b"".join(parts), 0
        return len(self.text) > held

    def read_on_behind_cut(self) -> bool:
        """Drop what is held and go on behind the part that is lost; return whether there was one."""
        if not self.is_cut:
            return False
        self.text, self.at, self.item = b"", 0, 0
        self.line += 1
        self.is_whole = self.is_cut = False
        return True

    def use(self, size: int, added: int = 0) -> None:
        """Go on behind so many bytes, having added so many messages and rejects of what stands in them."""
        newlines = self.text.count(b"\n", self.at, self.at + size)
        self.item = 0 if newlines else self.item + added
        self.line += newlines
        self.at += size

    def line_size(self, skipped: int = 0) -> int:
        """Return the bytes from `at` to the end of the line that is `skipped` bytes further on.

        Without an end of line it is what is held: there is no more to read, or it is too far.
        """
        searched = skipped
        while (end := self.text.find(b"\n", self.at + searched)) < 0:
            searched = len(self.text) - self.at
            if not self.read_on():
                return searched
        return end - self.at

    def drop_line(self) -> None:
        """Go on at the end of a line that is longer than what is held."""
        while (end := self.text.find(b"\n", self.at)) < 0:
            self.at = len(self.text)
            if not self.read_on():
                return
        self.use(end - self.at)
