"""JSON text to Python values, exactly, and the receipts of `sendSms` that logs hold.

Belongs here: the one door through which JSON of logs comes in, and whether a value is a receipt.
Does not belong here: lines (`formats`), what the rows of a receipt become (`frames`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pipeline.collect.fields import FieldNames, text_of

LONG_LINE = 1 << 16
"""Bytes from which on the fields of a line are decoded one by one, and only those that are recognised."""
_decode = msgspec.json.Decoder().decode
_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Receipt(NamedTuple):
    """An answer of `sendSms`: `status` as text, the platform's own words, one row for each number."""

    status: str | None
    reason: str | None
    rows: Sequence[object]

    @property
    def is_sent(self) -> bool:
        """Whether the platform took the messages and names them."""
        return self.status == "0" and bool(self.rows)


def decode_json(text: bytes) -> object:
    """Decode one JSON text; integers of any size are exact, of equal keys the last counts.

    Accepts what programs write beyond the standard: `NaN`, and halves of surrogate pairs, as when a message text
    was cut inside an emoji.

    Raises:
        UnicodeDecodeError: bytes that are not UTF-8.
        ValueError: not JSON, nested too deep, or an integer with thousands of digits.
    """
    try:
        return _decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return _decode_leniently(text)


def decode_record(line: bytes, names: FieldNames) -> object:
    """Decode a line like `decode_json`; of a long object only recognised fields become Python values."""
    try:
        return _decode(line) if len(line) < LONG_LINE else _decode_long_object(line, names)
    except (msgspec.MsgspecError, RecursionError):
        return _decode_leniently(line)


def receipt_of(response: object) -> Receipt | None:
    """Read a receipt from an object or its JSON text, None where the value is something else."""
    value = _decoded_text(response) if isinstance(response, str) else response
    if not isinstance(value, dict) or "status" not in value:
        return None
    rows = value.get("array")
    if rows is not None and not isinstance(rows, list):
        return None
    return Receipt(text_of(value["status"]), text_of(value.get("reason")), rows or ())


def _decode_long_object(line: bytes, names: FieldNames) -> dict[str, object]:
    line.decode("utf-8")
    parts = _PARTS.decode(line)
    return {name: decode_json(bytes(parts[name])) for name in names.recognised(parts)}


def _decode_leniently(text: bytes) -> object:
    decoded = text.decode("utf-8")
    try:
        return json.loads(decoded)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _decoded_text(text: str) -> object:
    try:
        return decode_json(text.encode("utf-8", "replace"))
    except ValueError:
        return None
