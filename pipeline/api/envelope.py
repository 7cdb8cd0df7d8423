"""From the bytes of a response to its envelope, in every spelling that clients have met.

What belongs here: decoding. What does not: the rules of a row (`reports.py`), the meaning of a code (`codes.py`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from pipeline.api.endpoints import GET_REPORT

_MOST_DIGITS: Final = 18
"""Digits of a tally that always fit into 64 bits."""
_LONGEST_INTEGER: Final = 64
"""Digits of an integer that stays one; an id has 32 at most, and Python takes no text of thousands for a number."""


AMOUNT_DIGITS: Final = (12, 12)
"""Digits of an amount before and behind its point: what DECIMAL(24, 12) holds."""
_AMOUNT: Final = re.compile(rf"[+-]?[0-9]{{1,{AMOUNT_DIGITS[0]}}}([.][0-9]{{0,{AMOUNT_DIGITS[1]}}})?")


class NotTheProtocolError(ValueError):
    """The body is not a response of this protocol: HTML, cut JSON, no status."""


class _Body(msgspec.Struct, gc=False):
    status: Any = None
    reason: Any = None
    success: Any = None
    fail: Any = None
    sending: Any = None
    nofound: Any = None
    array: msgspec.Raw = msgspec.Raw(b"null")
    balance: msgspec.Raw = msgspec.Raw(b"null")
    gift: msgspec.Raw = msgspec.Raw(b"null")
    credit: msgspec.Raw = msgspec.Raw(b"null")


_decode: Final = msgspec.json.Decoder(_Body).decode


@dataclass(frozen=True)
class Envelope:
    """The response to one request.

    Attributes:
        status: envelope code as text, "0" for success.
        reason: the platform's own words, empty where it gave none.
        success: tally of delivered messages, None where absent or not a number.
        fail: tally of failed messages, likewise.
        sending: tally of messages being sent, likewise.
        not_found: `nofound`, tally of ids not found, likewise.
        array: JSON text of `array`, a list or null; kept as text since it takes a quarter of the memory of its rows.
        balance: amount of `getBalance`, exact; None where absent, not a number or beyond `AMOUNT_DIGITS`.
        gift: likewise.
        credit: likewise.
    """

    status: str
    reason: str
    success: int | None
    fail: int | None
    sending: int | None
    not_found: int | None
    array: bytes
    balance: Decimal | None = None
    gift: Decimal | None = None
    credit: Decimal | None = None

    @property
    def rows(self) -> Sequence[Any]:
        """Elements of `array` as they came."""
        return _elements(self.array) or ()


@dataclass(frozen=True)
class AnsweredCall:
    """A call that got a status-0 envelope: what was asked, when the answers arrived, and what they are.

    Attributes:
        asked: ids, each with the partition of its message; none where ids are not what was asked for.
    """

    call_id: str
    app_id: str
    observed_at: datetime
    asked: Sequence[tuple[str, date]]
    envelope: Envelope


def decode_envelope(body: bytes, *, most_elements: int = GET_REPORT.most_elements) -> Envelope:
    """Read the envelope; numbers and strings are the same value, `array` may be null, missing or empty.

    What JSON does not allow and programs write all the same (see `_as_standard_json`) costs its value alone.

    Raises:
        NotTheProtocolError: not JSON, not an object, no status, or an `array` that is not one or is too long.
    """
    try:
        fields, elements = _decoded(body)
    except msgspec.ValidationError as error:
        raise NotTheProtocolError("the body is not a JSON object") from error
    except (ValueError, RecursionError) as error:
        raise NotTheProtocolError("the body is not JSON") from error
    status = text_of(fields.status)
    if status is None:
        raise NotTheProtocolError("the body has no status")
    if elements is not None and not isinstance(elements, list):
        raise NotTheProtocolError("array is neither a list nor null")
    if elements is not None and len(elements) > most_elements:
        raise NotTheProtocolError(f"array has {len(elements):,} elements, more than {most_elements:,}")
    return Envelope(
        status=status,
        reason=text_of(fields.reason) or "",
        success=_count(fields.success),
        fail=_count(fields.fail),
        sending=_count(fields.sending),
        not_found=_count(fields.nofound),
        array=bytes(fields.array),
        balance=_amount(fields.balance),
        gift=_amount(fields.gift),
        credit=_amount(fields.credit),
    )


def text_of(value: object) -> str | None:
    """Return text and integers as trimmed text; None for null, empty text and everything else."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def _decoded(body: bytes) -> tuple[_Body, Any]:
    """Return the fields of an envelope, and what `array` holds."""
    try:
        fields = _decode(body)
        return fields, _elements(fields.array)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = _decode(_as_standard_json(body))
        return fields, _elements(fields.array)


def _as_standard_json(body: bytes) -> bytes:
    """Write JSON anew that is beyond the standard, or beyond what a number can be.

    Halves of surrogate pairs become `?`, bytes that are no UTF-8 become U+FFFD, `NaN` and numbers too large for a float
    become null, and an integer of more than 64 digits becomes text.

    Raises:
        ValueError: not JSON.
        RecursionError: nested too deep.
    """
    value = json.loads(
        body.decode("utf-8", "replace"), parse_int=_integer, parse_float=_finite, parse_constant=lambda _: None
    )
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INTEGER else text


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _elements(array: bytes | msgspec.Raw) -> Any:
    return msgspec.json.decode(array)


def _count(value: object) -> int | None:
    text = text_of(value)
    if text is None or len(text) > _MOST_DIGITS or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


def _amount(raw: msgspec.Raw) -> Decimal | None:
    """Return an amount, text or number; read from its own text, since a float would not be exact."""
    written = bytes(raw).decode().strip().strip('"').strip()
    return Decimal(written) if _AMOUNT.fullmatch(written) else None
