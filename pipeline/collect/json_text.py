"""JSON text to Python values, exactly, and the receipts of `sendSms` that logs hold.

Belongs here: the one door through which JSON of logs comes in, and whether a value is a receipt.
Does not belong here: finding values in a file (`formats`), what the rows of a receipt become (`frames`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from pipeline.collect.values import text_of

_decode = msgspec.json.Decoder().decode
_lenient = json.JSONDecoder()
_BYTE: Final = re.compile(r"\(byte (\d+)\)$")


class Receipt(NamedTuple):
    """An answer of `sendSms`: `status` as text, the platform's own words, one row for each number."""

    status: str | None
    reason: str | None
    rows: Sequence[object]

    @property
    def is_sent(self) -> bool:
        """Whether the platform took the messages and names them."""
        return self.status == "0" and bool(self.rows)


class NeedsMore(ValueError):  # noqa: N818 - says what the text needs
    """The text ends before the value does."""


class Decoded(NamedTuple):
    """A value at the beginning of a text.

    Attributes:
        size: bytes of the text that it takes.
        has_bad_bytes: whether there are bytes that are no UTF-8 among them; they are lone surrogates in the value.
    """

    value: object
    size: int
    has_bad_bytes: bool = False


def decode_json(text: bytes) -> object:
    """Decode one JSON text; integers of any size are exact, of equal keys the last counts.

    Accepts what programs write beyond the standard: `NaN`, and halves of surrogate pairs, as when a message text
    was cut inside an emoji. Bytes that are no UTF-8 become lone surrogates.

    Raises:
        ValueError: not JSON, nested too deep, or an integer with thousands of digits.
    """
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(text)


def decode_whole(text: bytes) -> Decoded:
    """Decode like `decode_json` and tell of bytes that are no UTF-8.

    Raises:
        ValueError: as `decode_json`.
    """
    try:
        return Decoded(_decode(text), len(text))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Decoded(_decode_leniently(text), len(text), _has_bad_bytes(text))


def decode_strictly(text: bytes) -> object:
    """Decode a text that is JSON by the standard; None where it is not, or is `null`."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def decode_first(text: memoryview) -> Decoded:
    """Decode the value at the beginning of a text that goes on behind it, strictly.

    Raises:
        NeedsMore: the value is good as far as the text goes.
        ValueError: not JSON.
    """
    try:
        return Decoded(_decode(text), len(text))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        message = str(error)
    if message == "Input data was truncated":
        raise NeedsMore(message)
    place = _BYTE.search(message)
    if place is None or "trailing characters" not in message:
        raise ValueError(message)
    size = int(place[1]) - 1
    return Decoded(_decode(text[:size]), size)


def decode_first_leniently(text: bytes) -> Decoded:
    """Decode the value at the beginning of a text like `decode_json`.

    Raises:
        ValueError: not JSON, or the value does not end in this text.
    """
    decoded = text.decode("utf-8", "surrogateescape")
    try:
        value, end = _lenient.raw_decode(decoded)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    size = len(decoded[:end].encode("utf-8", "surrogateescape"))
    return Decoded(value, size, _has_bad_bytes(text[:size]))


def receipt_of(response: object) -> Receipt | None:
    """Read a receipt from an object or its JSON text, None where the value is something else."""
    value = _decoded_text(response) if isinstance(response, str) else response
    if not isinstance(value, dict) or "status" not in value:
        return None
    rows = value.get("array")
    if rows is not None and not isinstance(rows, list):
        return None
    return Receipt(text_of(value["status"]), text_of(value.get("reason")), rows or ())


def _decode_leniently(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8", "surrogateescape"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _has_bad_bytes(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False


def _decoded_text(text: str) -> object:
    try:
        return decode_json(text.encode("utf-8", "replace"))
    except ValueError:
        return None
