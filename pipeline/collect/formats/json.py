"""JSON objects to frames: lines, arrays, pretty-printed, one behind the other.

Belongs here: where an object begins and ends. Does not belong here: what its fields mean, broken objects
(`json_broken`).

Most lines are one object, and such a line is decoded at once. Around objects commas, brackets and blanks are skipped:
an array is read like objects that stand one behind the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from typing import Final

from pipeline.collect.fields import FieldNames
from pipeline.collect.formats.json_broken import broken_size, has_swallowed, next_record
from pipeline.collect.formats.json_buffer import MOST_BYTES, TextBuffer
from pipeline.collect.formats.json_pieces import Piece
from pipeline.collect.frames import RawFrame
from pipeline.collect.json_text import (
    Decoded,
    NeedsMore,
    decode_first,
    decode_first_leniently,
    decode_strictly,
    decode_whole,
)
from pipeline.collect.wrappers import CRI_LINE, object_in, records_in

_BETWEEN: Final = re.compile(rb"[\s,\[\]\0]*")
_AROUND: Final = b" \t,[]\0"
_LINE_END: Final = ord("\n")
_FIRST_BYTES: Final = b"{" + _AROUND
"""What a line begins with that is an object, or an array of them."""
_SCALAR: Final = re.compile(rb'(?:"(?:[^"\\\n]|\\.)*"|[-\w.+]+)(?=[ \t]*(?:[,\]]|$))')
_LONG_LINE_BYTES: Final = 1 << 20
"""Longer lines are read value by value."""

Place = tuple[int, int, int]
"""Where a value stands: its line, how many messages and rejects stand before it there, the bytes of what it takes."""


def json_frames(pieces: Iterator[bytes], most_rows: int, names: FieldNames) -> Iterator[RawFrame]:
    """Yield the records of the pieces of `text_pieces`; their line is the one where the object starts."""
    buffer, frame = TextBuffer(pieces), RawFrame(names)
    while True:
        while buffer.at < len(buffer.text) or buffer.read_on():
            _add_lines(buffer, frame, most_rows)
            if not frame.is_full(most_rows):
                _add_next(buffer, frame)
            if frame.is_full(most_rows):
                yield frame
                frame = RawFrame(names)
        _reject_rest(buffer, frame)
        if not buffer.read_on_behind_cut():
            break
    yield frame


def _add_lines(buffer: TextBuffer, frame: RawFrame, most_rows: int) -> None:
    """Add lines as long as each is an object, or an array of objects, and the frame has room."""
    if buffer.item or frame.is_full(most_rows):
        return
    at, line, lines = buffer.at, buffer.line, BytesIO(buffer.text)
    lines.seek(at)
    for text in lines:
        size = len(text) - 1
        if text[0] not in _FIRST_BYTES or size >= _LONG_LINE_BYTES or text[-1] != _LINE_END:
            break
        value = decode_strictly(text)
        if value is None:
            value = decode_strictly(text[:-1].strip(_AROUND))
        if type(value) is dict:
            _add_value(buffer, frame, (line, 0, size), value)
        elif type(value) is list and all(type(each) is dict for each in value):
            added = 0
            for each in value:
                added += _add_value(buffer, frame, (line, added, size), each)
        else:
            break
        frame.count_bytes(size)
        at, line = at + size + 1, line + 1
        if frame.is_full(most_rows):
            break
    if at > buffer.at:
        buffer.at, buffer.line, buffer.indent = at, line, 0


def _add_next(buffer: TextBuffer, frame: RawFrame) -> None:
    """Add what stands next, whatever it is, or skip what stands between objects."""
    between = _BETWEEN.match(buffer.text, buffer.at)
    skipped = between[0] if between else b""
    if skipped and (buffer.item == 0 or b"\n" in skipped):
        last_line = skipped.rpartition(b"\n")[2]
        buffer.indent = len(last_line) - len(last_line.lstrip(b" \t"))
    buffer.use(len(skipped))
    if b"\n" in skipped or buffer.at == len(buffer.text):
        return
    if buffer.text.startswith(b"{", buffer.at):
        _add_object(buffer, frame)
    else:
        _add_other(buffer, frame)


def _add_object(buffer: TextBuffer, frame: RawFrame) -> None:
    try:
        found = _record_at(buffer, frame.names)
    except ValueError:
        size = broken_size(buffer, frame.names)
        broken = buffer.text[buffer.at : buffer.at + size] if size <= MOST_BYTES else b""
        try:
            found = decode_first_leniently(broken)
        except ValueError:
            _reject(buffer, frame, size)
            return
    if found.size > MOST_BYTES:
        _reject(buffer, frame, found.size)
        return
    place = (buffer.line, buffer.item, found.size)
    added = _add_value(buffer, frame, place, found.value, has_bad_bytes=found.has_bad_bytes)
    frame.count_bytes(found.size)
    buffer.use(found.size, added)


def _record_at(buffer: TextBuffer, names: FieldNames) -> Decoded:
    """Decode the object at `at`.

    Raises:
        ValueError: it is broken, not whole, too long, or goes on in the line of another record.
    """
    found = _object_at(buffer)
    if has_swallowed(buffer.text[buffer.at : buffer.at + found.size], names):
        raise ValueError("goes on in the line of another record")
    return found


def _object_at(buffer: TextBuffer) -> Decoded:
    """Decode the object at `at`, reading on for it.

    Raises:
        ValueError: it is broken, not whole, or too long.
    """
    while True:
        try:
            return decode_first(memoryview(buffer.text)[buffer.at :])
        except NeedsMore:
            # Half of a surrogate pair is told like this, too.
            end = buffer.text.find(b"\n", buffer.at)
            if end >= 0:
                with suppress(ValueError):
                    return decode_first_leniently(buffer.text[buffer.at : end])
            if not buffer.read_on():
                raise


def _add_value(buffer: TextBuffer, frame: RawFrame, place: Place, value: object, *, has_bad_bytes: bool = False) -> int:
    """Add a decoded value; a text that a container runtime has cut is gathered first."""
    line, item, size = place
    text = value.get("log") if type(value) is dict else None
    if type(text) is not str or (text.endswith("\n") and not buffer.pieces and text != "\n"):
        return frame.add_record(line, value, item, has_bad_bytes=has_bad_bytes)
    record: dict[str, object] = value  # type: ignore[assignment]  # it has a text
    if frame.names.picker(tuple(record)).is_record:
        return frame.add_record(line, value, item, has_bad_bytes=has_bad_bytes)
    is_last = text.endswith("\n") or record.get("logtag") == "F" or record.get("partial_last") == "true"
    piece = Piece(line, item, text.encode("utf-8", "surrogatepass"), record, size)
    return buffer.pieces.add(frame, piece, is_last=is_last)


def _add_other(buffer: TextBuffer, frame: RawFrame) -> None:
    """Add what is no object: an object behind text, another value, or what is no JSON."""
    size = buffer.line_size()
    line = buffer.text[buffer.at : buffer.at + size]
    if prefix := CRI_LINE.match(line):
        around = {"time": prefix[1].decode(), "stream": prefix[2].decode()}
        piece = Piece(buffer.line, buffer.item, line[prefix.end() :], around, size, "broken_line")
        buffer.use(size, buffer.pieces.add(frame, piece, is_last=prefix[3] == b"F"))
        frame.count_bytes(size)
    elif (scalar := _SCALAR.match(line)) and _is_json(scalar[0]):
        buffer.use(scalar.end(), frame.reject(buffer.line, "not_a_record", buffer.item))
    elif not _add_behind_text(buffer, frame, line):
        _reject(buffer, frame, next_record(line, frame.names, is_behind_end=True) or size)


def _add_behind_text(buffer: TextBuffer, frame: RawFrame, line: bytes) -> bool:
    """Add the record that stands behind a logger's text in a line; return whether there is one."""
    found = object_in(line) if len(line) <= MOST_BYTES else None
    if found is None:
        return False
    wrapped = {"time": found.time, "log": found.value}
    if not records_in(wrapped, frame.names):
        return False
    added = frame.add_record(buffer.line, wrapped, buffer.item, has_bad_bytes=found.has_bad_bytes)
    buffer.use(len(line), added)
    frame.count_bytes(len(line))
    return True


def _is_json(text: bytes) -> bool:
    try:
        decode_whole(text)
    except ValueError:
        return False
    return True


def _reject(buffer: TextBuffer, frame: RawFrame, size: int) -> None:
    """Add a reject for what stands next; at a cut the reject of the cut stands for it."""
    code = "broken_line"
    if size > MOST_BYTES:
        code = "line_too_long"
    elif buffer.is_whole and buffer.at + size == len(buffer.text):
        code = "cut_file" if buffer.is_cut else "unfinished_line"
    added = 0 if code == "cut_file" else frame.reject(buffer.line, code, buffer.item)
    buffer.use(size, added)
    if code == "line_too_long":
        buffer.drop_line()


def _reject_rest(buffer: TextBuffer, frame: RawFrame) -> None:
    """Add texts without their end, and rejects for what is lost."""
    buffer.pieces.add_rest(frame)
    if buffer.is_cut:
        frame.reject(buffer.line, "cut_file", buffer.item)
