"""From the bytes of an answer to its envelope and rows, taking every spelling that clients have met.

What belongs here: reading. What does not: judging the rows (`flattening.py`) or the code (`status.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

_MOST_DIGITS: Final = 18
"""Of a tally: what fits into 64 bits whatever the digits."""


class NotTheProtocolError(ValueError):
    """The body is not an answer of this protocol: HTML, cut JSON, no status."""


class PlainRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """A row of `array` that is just as the vendor page has it: texts, and no field beside the four."""

    msg_id: str = msgspec.field(name="msgId")
    status: str
    number: str | msgspec.UnsetType | None = msgspec.UNSET
    receive_time: str | msgspec.UnsetType | None = msgspec.field(name="receiveTime", default=msgspec.UNSET)


class _PlainAnswer(msgspec.Struct, gc=False):
    status: Any = None
    reason: Any = None
    success: Any = None
    fail: Any = None
    sending: Any = None
    nofound: Any = None
    array: list[PlainRow] | None = None


_decode_plain: Final = msgspec.json.Decoder(_PlainAnswer).decode


@dataclass(frozen=True)
class Envelope:
    """The answer to one call.

    Attributes:
        status: envelope code as text, "0" for success.
        reason: the platform's own words, empty where it gave none.
        success: tally of delivered messages, None where absent or not a number.
        fail: tally of failed messages, likewise.
        sending: tally of messages being sent, likewise.
        not_found: `nofound`, tally of ids not found, likewise.
        array: elements of `array`; empty where it is null or missing.
        is_plain: every element is a `PlainRow`; else they are as they came.
    """

    status: str
    reason: str
    success: int | None
    fail: int | None
    sending: int | None
    not_found: int | None
    array: Sequence[Any]
    is_plain: bool

    @property
    def rows(self) -> Sequence[object]:
        """Elements of `array` as they came."""
        return [msgspec.to_builtins(row) for row in self.array] if self.is_plain else self.array


def decode_envelope(body: bytes) -> Envelope:
    """Read the envelope; numbers and strings are the same value, `array` may be null, missing or empty.

    Raises:
        NotTheProtocolError: not JSON, not an object, no status, or an `array` that is not one.
    """
    try:
        answer = _decode_plain(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _envelope(_leniently(body), is_plain=False)
    return _envelope(answer, is_plain=True)


def _leniently(body: bytes) -> _PlainAnswer:
    """Read an answer of which at least a row is not plain."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotTheProtocolError("the body is not JSON") from error
    if not isinstance(answer, dict):
        raise NotTheProtocolError("the body is not a JSON object")
    rows = answer.get("array")
    if text_of(answer.get("status")) is not None and rows is not None and not isinstance(rows, list):
        raise NotTheProtocolError("array is neither a list nor null")
    return _PlainAnswer(**{name: answer.get(name) for name in _PlainAnswer.__struct_fields__})


def _envelope(answer: _PlainAnswer, *, is_plain: bool) -> Envelope:
    status = text_of(answer.status)
    if status is None:
        raise NotTheProtocolError("the body has no status")
    return Envelope(
        status=status,
        reason=text_of(answer.reason) or "",
        success=_count(answer.success),
        fail=_count(answer.fail),
        sending=_count(answer.sending),
        not_found=_count(answer.nofound),
        array=answer.array or (),
        is_plain=is_plain,
    )


def text_of(value: object) -> str | None:
    """Return text and integers as trimmed text; None for null, empty text and everything else."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def _count(value: object) -> int | None:
    text = text_of(value)
    if text is None or len(text) > _MOST_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    return int(text)
