"""JSON lines to records.

Belongs here: one line, one record, or the reject in its place. Does not belong here: what fields mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.log_formats.lines import Line
from pipeline.log_formats.source import CutStream
from pipeline.logs.decoding import decode_record
from pipeline.logs.reasons import Reject, reason_of

_SPACE = b" \t\r"
_BLANK = object()
_BROKEN = Reject(None, reason_of("broken_line"))
_UNFINISHED = Reject(None, reason_of("unfinished_line"))
_BAD_ENCODING = Reject(None, reason_of("bad_encoding"))
_TOO_LONG = Reject(None, reason_of("line_too_long"))


def json_records(lines: Iterable[Line]) -> Iterator[tuple[int, object, int]]:
    """Yield line number, record or `Reject`, and length in bytes, for each line that is not blank.

    NUL bytes in front of a record are left out: copy-and-truncate rotation leaves them there.
    """
    number = 0
    try:
        for number, content, is_ended in lines:
            if content is None:
                yield number, _TOO_LONG, 0
                continue
            try:
                record = decode_record(content)
            except ValueError as error:
                record = _refused(content, error, is_ended=is_ended)
            if record is not _BLANK:
                yield number, record, len(content)
    except CutStream:
        yield number + 1, Reject(None, reason_of("cut_file")), 0


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
