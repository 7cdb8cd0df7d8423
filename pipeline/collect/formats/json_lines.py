"""JSON lines to frames.

Belongs here: one line, one record, or the reject in its place.
Does not belong here: decoding (`json_text`), what fields mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.collect.fields import FieldNames
from pipeline.collect.formats.compression import CutStream
from pipeline.collect.formats.lines import Line
from pipeline.collect.frames import RawFrame
from pipeline.collect.json_text import decode_record

_SPACE = b" \t\r"


def json_frames(lines: Iterable[Line], most_rows: int, names: FieldNames) -> Iterator[RawFrame]:
    """Yield the records of lines that are not blank.

    NUL bytes in front of a record are left out: copy-and-truncate rotation leaves them there.
    """
    frame, number = RawFrame(names), 0
    try:
        for number, line, is_ended in lines:
            _add_line(frame, number, line, is_ended=is_ended)
            if frame.is_full(most_rows):
                yield frame
                frame = RawFrame(names)
    except CutStream:
        frame.reject(number + 1, "cut_file")
    yield frame


def _add_line(frame: RawFrame, number: int, line: bytes | None, *, is_ended: bool) -> None:
    if line is None:
        frame.reject(number, "line_too_long")
        return
    try:
        record = decode_record(line, frame.names)
    except UnicodeDecodeError:
        frame.reject(number, "bad_encoding")
    except ValueError:
        _add_broken(frame, number, line, is_ended=is_ended)
    else:
        frame.add_record(number, record)
        frame.count_bytes(len(line))


def _add_broken(frame: RawFrame, number: int, line: bytes, *, is_ended: bool) -> None:
    """Add a line that is not JSON as it stands: read it again without NUL bytes in front, skip it if it is blank."""
    if line.startswith(b"\0") and line.strip(b"\0"):
        _add_line(frame, number, line.lstrip(b"\0"), is_ended=is_ended)
    elif line.strip(_SPACE):
        frame.reject(number, "broken_line" if is_ended else "unfinished_line")
