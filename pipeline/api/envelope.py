"""From the bytes of an answer to its envelope and rows, taking every spelling that clients have met.

What belongs here: reading. What does not: judging the rows (`flattening.py`) or the code (`status.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

_OBJECTS: Final = re.compile(rb"\[\s*\{.*\}\s*\]", re.DOTALL)
"""First and last element are objects."""
_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'{}[],"\\'))
"""Taken away, two objects of a list have only `},{` between them; before any other object, or with a value between
two, there is something else."""
_MOST_DIGITS: Final = 18
"""Of a tally: what fits into 64 bits whatever the digits."""


class NotTheProtocolError(ValueError):
    """The body is not an answer of this protocol: HTML, cut JSON, no status."""


class _Answer(msgspec.Struct, gc=False):
    status: Any = None
    reason: Any = None
    success: Any = None
    fail: Any = None
    sending: Any = None
    nofound: Any = None
    array: msgspec.Raw = msgspec.Raw(b"null")


_decode: Final = msgspec.json.Decoder(_Answer).decode


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
        flat: text of `array` where it is a list of objects that hold plain values alone, in ASCII: to be read many
            answers at once. Empty where `array` is empty, null or missing; None where `decoded` holds its elements.
        decoded: elements of any other `array`, as they came.
    """

    status: str
    reason: str
    success: int | None
    fail: int | None
    sending: int | None
    not_found: int | None
    flat: bytes | None
    decoded: Sequence[Any] = ()

    @property
    def rows(self) -> Sequence[object]:
        """Elements of `array` as they came."""
        if self.flat is None:
            return self.decoded
        return _elements(self.flat) if self.flat else ()


def decode_envelope(body: bytes) -> Envelope:
    """Read the envelope; numbers and strings are the same value, `array` may be null, missing or empty.

    Raises:
        NotTheProtocolError: not JSON, not an object, no status, or an `array` that is not one.
    """
    try:
        answer = _decode(body)
    except msgspec.ValidationError as error:
        raise NotTheProtocolError("the body is not a JSON object") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotTheProtocolError("the body is not JSON") from error
    status = text_of(answer.status)
    if status is None:
        raise NotTheProtocolError("the body has no status")
    array = bytes(answer.array)
    flat = _flat(array)
    return Envelope(
        status=status,
        reason=text_of(answer.reason) or "",
        success=_count(answer.success),
        fail=_count(answer.fail),
        sending=_count(answer.sending),
        not_found=_count(answer.nofound),
        flat=flat,
        decoded=_decoded(array) if flat is None else (),
    )


def _flat(array: bytes) -> bytes | None:
    """Return the text of an array if its elements are flat objects beyond doubt, empty text where there are none."""
    structure = array.translate(None, _NO_STRUCTURE)
    objects = structure.count(b"{")
    if not objects:
        return b"" if array in {b"null", b"[]"} else None
    if not _OBJECTS.fullmatch(array) or not array.isascii() or b"\\" in structure or structure.rfind(b"[") > 0:
        return None
    return array if structure.count(b"},{") == objects - 1 else None


def _decoded(array: bytes) -> Sequence[Any]:
    try:
        elements = _elements(array)
    except (ValueError, RecursionError) as error:
        raise NotTheProtocolError("the body is not JSON") from error
    if not isinstance(elements, list):
        raise NotTheProtocolError("array is neither a list nor null")
    return elements


def _elements(array: bytes) -> Any:
    """Decode JSON that was found to be well-formed; numbers beyond what fits become infinite."""
    try:
        return msgspec.json.decode(array)
    except msgspec.DecodeError:
        return json.loads(array)


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
