"""What `SMS_NUMBERS` does to phone numbers before anything is stored.

What belongs here: reducing a number to digits; keeping, masking, hashing or dropping it; masking runs of digits in free
text. What does not: the country of a number (`countries.py`), where numbers are found (`collect`).
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute

Mode = Literal["keep", "mask", "hash", "drop"]

SHOWN_DIGITS = 4
"""Digits at the end of a number that `mask` leaves readable."""
MAX_TEXT = 500
"""Characters of free text that are stored."""
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them
_OTHER_THAN_DIGITS = re.compile(r"[^0-9]+")
_TRUNK_ZERO: Final = r"^([ \t]*(?:\+|00)[0-9 .-]*)\(0\)"
"""A zero in brackets behind the calling code (`+49 (0) 151`) is dialled inside the country only."""
_PREFIX: Final = r"^00([1-9][0-9]{6,})$"
"""Before the calling code `00` is dialled, as `+` is."""
_DIGIT_RUN = re.compile(r"\d{7,}")
"""What may be a phone number in free text."""
_LONE_DIGIT_RUN = re.compile(rf"(?<![0-9A-Za-z-]){_DIGIT_RUN.pattern}(?![0-9A-Za-z-])")
"""The same, outside words with letters or dashes, such as ids of calls."""


@dataclass(frozen=True)
class NumberPolicy:
    """How phone numbers are stored.

    Attributes:
        mode: `keep`, `mask`, `hash` or `drop`.
        key: key of the HMAC, needed by `hash`, never shown.

    Raises:
        ValueError: `hash` without a key.
    """

    mode: Mode = "keep"
    key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.mode == "hash" and not self.key:
            raise ValueError("numbers are hashed with a key, and there is none")


def digits_of(text: str) -> str | None:
    """Return the ASCII digits of `text` in their order, without a prefix `00`; None where it has none.

    So `0091 98563-21412`, `+91 (98563) 21412` and `919856321412` are one number.
    """
    digits = text
    if not (text.isascii() and text.isdigit()):
        digits = _OTHER_THAN_DIGITS.sub("", re.sub(_TRUNK_ZERO, r"\1", text))
    return (re.sub(_PREFIX, r"\1", digits) if digits.startswith("00") else digits) or None


def treat_number(text: str | None, policy: NumberPolicy) -> str | None:
    """Return what is stored for the phone number `text`: None where it has no digit."""
    digits = digits_of(text) if text is not None else None
    if digits is None or policy.mode == "drop":
        return None
    if policy.mode == "mask":
        return "*" * (len(digits) - SHOWN_DIGITS) + digits[-SHOWN_DIGITS:]
    return hmac.digest(policy.key, digits.encode("ascii"), "sha256").hex() if policy.mode == "hash" else digits


def treat_numbers(numbers: pa.Array[Any] | pa.ChunkedArray[Any], policy: NumberPolicy) -> pa.StringArray:
    """Return what is stored for each phone number, as `treat_number` does for one.

    Shape:  n texts or nulls -> n texts or nulls.
    """
    digits = digit_array(numbers)
    if policy.mode == "keep":
        return digits
    return pa.array([treat_number(each, policy) for each in digits.to_pylist()], pa.string())


def digit_array(numbers: pa.Array[Any] | pa.ChunkedArray[Any]) -> pa.StringArray:
    """Return `digits_of` each text."""
    whole = numbers.combine_chunks() if isinstance(numbers, pa.ChunkedArray) else numbers
    texts: pa.StringArray = _pc.cast(whole, pa.string())
    if _pc.all(_pc.ascii_is_decimal(texts)).as_py() is False:
        texts = _pc.replace_substring_regex(_pc.replace_substring_regex(texts, _TRUNK_ZERO, r"\1"), "[^0-9]+", "")
        texts = _pc.if_else(_pc.equal(texts, ""), None, texts)
    if _pc.any(_pc.starts_with(texts, "00")).as_py():
        texts = _pc.replace_substring_regex(texts, _PREFIX, r"\1")
    return texts


def mask_text(text: str, policy: NumberPolicy) -> str:
    """Return free text fit for storing: at most 500 characters, runs of 7 and more digits as `*`.

    With `keep` the digits stay.
    """
    return (text if policy.mode == "keep" else mask_digits(text))[:MAX_TEXT]


def mask_digits(text: str, *, in_words: bool = True) -> str:
    """Hide runs of 7 and more digits; without `in_words` those stay that are part of a word with letters or dashes."""
    runs = _DIGIT_RUN if in_words else _LONE_DIGIT_RUN
    return runs.sub(lambda run: "*" * len(run[0]), text)
