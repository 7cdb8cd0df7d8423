"""JSON text to Python values, exactly.

Belongs here: the one door through which JSON of logs comes in. Does not belong here: lines, fields.
"""

from __future__ import annotations

import json

import msgspec

from pipeline.collect.fields import recognised

LONG_LINE = 1 << 16
"""Bytes from which on the fields of a line are decoded one by one, and only those that matter."""
_decode = msgspec.json.Decoder().decode
_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_json(text: bytes) -> object:
    """Decode one JSON text; integers of any size are exact, of equal keys the last counts.

    Accepts what programs in the wild write beyond the standard: `NaN`, and halves of surrogate pairs,
    as when a message text was cut inside an emoji.

    Raises:
        UnicodeDecodeError: bytes that are not UTF-8.
        ValueError: not JSON, nested too deep, or an integer with thousands of digits.
    """
    try:
        return _decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return _leniently(text)


def decode_record(line: bytes) -> object:
    """Decode a line like `decode_json`; of a long object recognised fields alone become Python values."""
    try:
        return _decode(line) if len(line) < LONG_LINE else _long_object(line)
    except (msgspec.MsgspecError, RecursionError):
        return _leniently(line)


def _long_object(line: bytes) -> dict[str, object]:
    line.decode("utf-8")
    parts = _PARTS.decode(line)
    return {name: decode_json(bytes(parts[name])) for name in recognised(tuple(parts))}


def _leniently(text: bytes) -> object:
    decoded = text.decode("utf-8")
    try:
        return json.loads(decoded)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
