"""Texts that container runtimes cut, put together again.

Belongs here: docker (a `log` of 16 KiB without line end), CRI and fluent-bit (`P` and `F`).
Does not belong here: where a line ends (`json`), what a text holds (`wrappers`).

The pieces of one text stand in their order, with lines of other streams between them. Pieces that make no object are
taken as if each stood alone, so that a text without its beginning or its end costs only itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pipeline.collect.formats.lines import LONGEST_LINE_BYTES
from pipeline.collect.frames import RawFrame
from pipeline.collect.wrappers import TEXT_BEFORE, TextObject, object_in

_MOST_PIECES: Final = 1024
_MOST_TRIED: Final = 4
"""Pieces up to which a text is tried that does not say whether it is whole."""
_MOST_STARTS: Final = 3
_OBJECT_BYTES: Final = 2000
"""What a piece takes beside the bytes of its line, about."""
_SOURCE: Final = ("stream", "container_id", "container_name")
_POD: Final = ("namespace_name", "pod_name", "container_name")


Source = tuple[str | None, ...]


class Piece(NamedTuple):
    """A text, or a part of one.

    Attributes:
        line: where it stands.
        item: how many messages and rejects stand before it in its line.
        text: without what the runtime puts in front.
        around: the fields around it.
        size: bytes of its line.
        code: code of its reject if it is no object; None where the object around it has one.
    """

    line: int
    item: int
    text: bytes
    around: Mapping[str, object]
    size: int
    code: str | None = None

    @property
    def source(self) -> Source:
        """What tells the streams of a log apart."""
        pod = self.around.get("kubernetes")
        told = [self.around.get(name) for name in _SOURCE]
        told += [pod.get(name) for name in _POD] if isinstance(pod, dict) else []
        return tuple(each if isinstance(each, str) else None for each in told)


class Pieces:
    """The pieces of texts that are not whole yet, by stream."""

    def __init__(self) -> None:
        """Start without any."""
        self._held: dict[Source, list[Piece]] = {}
        self._size = 0

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._held)

    def add(self, frame: RawFrame, piece: Piece, *, is_last: bool) -> int:
        """Add what a piece completes; return how many rows and rejects came of it."""
        if is_last and not self._held and piece.text.strip():
            return _add_each(frame, [piece])
        held = [*self._taken(piece.source), piece]
        if not piece.text.strip() and len(held) == 1:
            return 0  # a blank line, or the end of one that was cut in front of it
        if len(held) == 1 and (is_last or not TEXT_BEFORE.match(piece.text) or object_in(piece.text)):
            return _add_each(frame, held)
        may_be_whole = is_last or (len(held) <= _MOST_TRIED and piece.text.rstrip().endswith(b"}"))
        if may_be_whole and (added := _add_joined(frame, held)):
            return added
        if is_last or len(held) > _MOST_PIECES:
            return _add_each(frame, held)
        self._held[piece.source] = held
        self._size += _size_of(held)
        added = 0
        while self._size > LONGEST_LINE_BYTES:  # that of the stream that was silent longest is given up
            added += _add_each(frame, self._taken(next(iter(self._held))))
        return added

    def _taken(self, source: Source) -> Sequence[Piece]:
        held = self._held.pop(source, [])
        self._size -= _size_of(held)
        return held

    def add_rest(self, frame: RawFrame) -> None:
        """Add what is left at the end of a file: what makes no object is not finished."""
        for held in self._held.values():
            if not _add_joined(frame, held):
                for each in held:
                    frame.reject(each.line, "unfinished_line", each.item)
        self._held.clear()
        self._size = 0


def _size_of(pieces: Sequence[Piece]) -> int:
    return sum(each.size + _OBJECT_BYTES for each in pieces)


def _add_joined(frame: RawFrame, held: Sequence[Piece]) -> int:
    """Add the object that the last pieces make, and those before as they are; nothing if they make none."""
    starts = [place for place, each in enumerate(held) if TEXT_BEFORE.match(each.text)]
    for start in sorted({*starts[:1], *starts[-_MOST_STARTS:]}):
        found = object_in(b"".join(each.text for each in held[start:]))
        if found is not None:
            return _add_each(frame, held[:start]) + _add(frame, held[start], found)
    return 0


def _add_each(frame: RawFrame, pieces: Sequence[Piece]) -> int:
    return sum(_add(frame, piece, object_in(piece.text)) for piece in pieces)


def _add(frame: RawFrame, piece: Piece, found: TextObject | None) -> int:
    if found is None:
        if piece.code is not None:
            return frame.reject(piece.line, piece.code, piece.item)
        return frame.add_record(piece.line, piece.around, piece.item)
    time = {} if found.time is None else {"time": found.time}
    record = {**time, **piece.around, "log": found.value}
    return frame.add_record(piece.line, record, piece.item, has_bad_bytes=found.has_bad_bytes)
