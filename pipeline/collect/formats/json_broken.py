"""Where a broken JSON object ends, so that it costs only itself.

Belongs here: guessing by brackets and by layout. Does not belong here: objects that can be decoded (`json`).
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from typing import Final

from pipeline.collect.fields import FieldNames
from pipeline.collect.formats.json_buffer import MOST_BYTES, TextBuffer
from pipeline.collect.json_text import decode_first

_TOKEN: Final = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[{}\[\]\n]')
_NEXT_OBJECT: Final = re.compile(rb"([^:\[\s,])[\s,]*(\{)")
_KEY: Final = re.compile(rb'"[^"\n]*"[ \t]*:')
_MOST_TRIES: Final = 100
"""Objects that are looked for behind a broken one in its line."""
_SCANNED_BYTES: Final = 1 << 16


def broken_size(buffer: TextBuffer, names: FieldNames) -> int:
    """Return how many bytes the broken object at `at` takes.

    In its line it ends where its brackets are closed, or where an object begins that is a record. Else it ends with its
    line; if it was laid out over several, in front of the next line that is not indented more, or behind its bracket.
    """
    size = buffer.line_size()
    line = buffer.text[buffer.at : buffer.at + size]
    if line.find(b"{", 1) > 0:
        ends = [next_record(line, names), _closed_size(line)]  # a quote that is missing turns brackets into text
        found = min((end for end in ends if end and b"{" in line[end:]), default=0)
        if found:
            return found
    return _laid_out_size(buffer, size, is_open=not line[1:].strip())


def next_record(line: bytes, names: FieldNames, *, is_behind_end: bool = False) -> int:
    """Return where an object begins that has id and time, and stands behind something; 0 if there is none.

    With `is_behind_end` it stands behind a bracket or a comma.
    """
    for found in islice(_NEXT_OBJECT.finditer(line, 0, _SCANNED_BYTES), _MOST_TRIES):
        if is_behind_end and found[1] != b"}" and b"," not in found[0]:
            continue
        with suppress(ValueError):
            value = decode_first(memoryview(line)[found.start(2) :]).value
            if isinstance(value, dict) and names.picker(tuple(value)).is_whole_record:
                return found.start(2)
    return 0


def has_swallowed(text: bytes, names: FieldNames) -> bool:
    """Tell whether an object has one in it that begins a line and is a record: the end of its own line is missing."""
    place = text.find(b"\n{")
    if place < 0:
        return False
    try:
        value = decode_first(memoryview(text)[place + 1 :]).value
    except ValueError:
        return False
    return isinstance(value, dict) and names.picker(tuple(value)).is_whole_record


def _closed_size(line: bytes) -> int:
    """Return where the brackets that are opened at the beginning are closed, 0 if they are not."""
    depth = 0
    for token in _TOKEN.finditer(line, 0, _SCANNED_BYTES):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
        if depth == 0:
            return token.end() if token[0] == b"}" else 0
    return 0


def _laid_out_size(buffer: TextBuffer, size: int, *, is_open: bool) -> int:
    """Return the size of an object whose first line has `size` bytes and perhaps nothing behind its bracket.

    It is laid out over several lines if the second one is a key, indented or below a bracket that stands alone.
    """
    taken, is_flush = size, None
    while size < MOST_BYTES:
        end = buffer.line_size(size + 1)
        line = buffer.text[buffer.at + size + 1 : buffer.at + end]
        content = line.lstrip(b" \t")
        depth = len(line) - len(content)
        if is_flush is None:
            is_flush = depth == buffer.indent
            if not _KEY.match(content) or (is_flush and not is_open):
                break
        if content.startswith(b"}") and depth == buffer.indent:
            return size + 1 + depth + 1
        if end <= size or not (depth > buffer.indent or not content or (is_flush and _KEY.match(content))):
            break
        size, taken = end, end if content else taken
    return taken
