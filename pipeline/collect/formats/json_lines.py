"""JSON lines to records, many plain ones at once, the others one by one.

Belongs here: one line, one record, or the reject in its place. Does not belong here: which lines are plain
(`logs.plain_lines`), what fields mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from pipeline.collect.chunks import Batch, Found
from pipeline.collect.formats.compression import CutStream
from pipeline.collect.formats.lines import Block
from pipeline.collect.json_text import decode_record
from pipeline.collect.plain_lines import PlainDecoder
from pipeline.collect.rejects import Reject, reason_of

FEW_LINES = 16
"""Lines that are not halved again to find the one among them that is not plain."""
_SPACE = b" \t\r"
_BLANK = object()
_BROKEN = Reject(None, reason_of("broken_line"))
_UNFINISHED = Reject(None, reason_of("unfinished_line"))
_BAD_ENCODING = Reject(None, reason_of("bad_encoding"))
_TOO_LONG = Reject(None, reason_of("line_too_long"))


def json_records(blocks: Iterable[Block], most_lines: int) -> Iterator[Found | Batch]:
    """Yield line number, record or `Reject`, and length in bytes, for each line that is not blank.

    Plain lines come as batches instead, of at most `most_lines` each. NUL bytes in front of a record are left
    out: copy-and-truncate rotation leaves them there.
    """
    decoder, next_line = PlainDecoder(), 1
    try:
        for block in blocks:
            for part in block.parts(most_lines):
                yield from _read(part, decoder)
            next_line = block.number + block.count
    except CutStream:
        yield next_line, Reject(None, reason_of("cut_file")), 0


def _read(block: Block, decoder: PlainDecoder) -> Iterator[Found | Batch]:
    content = block.content
    found = decoder.decode(content, block.count, block.number) if content is not None and block.is_ended else None
    if content is not None and found is not None:
        yield Batch(*found, _Lines(content, block.number, decoder).record_at)
    elif block.count > FEW_LINES:
        for half in block.parts((block.count + 1) // 2):
            yield from _read(half, decoder)
    else:
        for number, line, is_ended in block.lines():
            record = _TOO_LONG if line is None else _record_of(line, is_ended=is_ended)
            decoder.learn(record)
            if record is not _BLANK:
                yield number, record, len(line or b"")


class _Lines:
    """The lines of a block, to be read one by one after all."""

    def __init__(self, content: bytes, first: int, decoder: PlainDecoder) -> None:
        self._content = content
        self._first = first
        self._decoder = decoder

    @cached_property
    def _lines(self) -> list[bytes]:
        return self._content.split(b"\n")

    def record_at(self, number: int) -> object:
        """Return the record of a line, or the `Reject` in its place."""
        record = _record_of(self._lines[number - self._first], is_ended=True)
        self._decoder.learn(record)
        return record


def _record_of(content: bytes, *, is_ended: bool) -> object:
    try:
        return decode_record(content)
    except ValueError as error:
        return _refused(content, error, is_ended=is_ended)


def _refused(content: bytes, error: ValueError, *, is_ended: bool) -> object:
    """Return what stands for a line that is not JSON: a second reading without NUL bytes, or a reject."""
    if isinstance(error, UnicodeDecodeError):
        return _BAD_ENCODING
    if not content.strip(_SPACE):
        return _BLANK
    if content.startswith(b"\0") and content.strip(b"\0"):
        try:
            return decode_record(content.lstrip(b"\0"))
        except ValueError:
            pass
    return _BROKEN if is_ended else _UNFINISHED
