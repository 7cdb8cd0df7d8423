"""From the bytes of an answer to its envelope and rows, taking every spelling that clients have met.

What belongs here: reading. What does not: judging the rows (`flattening.py`) or the code (`status.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

_MOST_DIGITS: Final = 18
"""Of a tally: what fits into 64 bits whatever the digits."""


class NotTheProtocolError(ValueError):
    """The body is not an answer of this protocol: HTML, cut JSON, no status."""


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
        rows: elements of `array` as they came; empty where it is null or missing.
    """

    status: str
    reason: str
    success: int | None
    fail: int | None
    sending: int | None
    not_found: int | None
    rows: Sequence[object]


def decode_envelope(body: bytes) -> Envelope:
    """Read the envelope; numbers and strings are the same value, `array` may be null, missing or empty.

    Raises:
        NotTheProtocolError: not JSON, not an object, no status, or an `array` that is not one.
    """
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotTheProtocolError("the body is not JSON") from error
    if not isinstance(answer, dict):
        raise NotTheProtocolError("the body is not a JSON object")
    status = text_of(answer.get("status"))
    if status is None:
        raise NotTheProtocolError("the body has no status")
    rows = answer.get("array")
    if rows is not None and not isinstance(rows, list):
        raise NotTheProtocolError("array is neither a list nor null")
    return Envelope(
        status=status,
        reason=text_of(answer.get("reason")) or "",
        success=_count(answer.get("success")),
        fail=_count(answer.get("fail")),
        sending=_count(answer.get("sending")),
        not_found=_count(answer.get("nofound")),
        rows=rows or (),
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
