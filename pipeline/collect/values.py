"""Logged values of text fields to what is stored of them.

Belongs here: for each text field the one function from a logged value to ours, and what counts as empty.
Does not belong here: names of fields (`fields`), times (`times`), the rules that make a record a message (`records`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isnan
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from pipeline.model.phone_numbers import digits_of

LONGEST_ID: Final = 32
"""Digits of a message id."""
LONGEST_TEXT: Final = 200
"""Characters of an app, sender or order that are stored."""
LONGEST_NUMBER: Final = 20
"""Digits of a phone number: 15 by E.164 and a prefix. Longer text is no number, or several."""
EMPTY_TEXTS: Final = ("", "NULL", "null", "\\N", "None", "nan", "NaN")
"""How databases and programs write a value that is missing."""
_EMPTY = frozenset(EMPTY_TEXTS)
_EXTENDED = frozenset({"$oid", "$date", "$numberLong", "$numberInt", "$numberDecimal", "S", "N"})
_WHOLE_FLOATS_BELOW = 2.0**53
BIGGEST_INTEGER_BITS: Final = 256
_BIGGEST_ID_BITS = 107
_WHOLE_FLOAT = re.compile(r"[0-9]+\.0*")
_EXPONENT = re.compile(r"[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+")
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


def extended_value(value: object) -> object:
    """Return the value of `{"$date": …}` of MongoDB, `{"S": "…"}` of DynamoDB and the like; others as they are."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    if kind == "$numberDouble":
        return _float_of(inner)
    return extended_value(inner) if kind in _EXTENDED else None if kind == "NULL" else value


def plain_text(text: str) -> str:
    """Return a text trimmed, without single quotes and Excel's guards `="…"` and `'`; empty where it says missing."""
    text = text.strip()
    if text[:1] == "'":
        text = text[1:].removesuffix("'").strip()
    elif text[:2] == '="' and text[-1:] == '"':
        text = text[2:-1].strip()
    return "" if text in _EMPTY else text


def is_empty(value: object) -> bool:
    """Tell whether a field with this value counts as missing."""
    if isinstance(value, str):
        return not plain_text(value)
    return value is None or (isinstance(value, float) and isnan(value))


def id_of(value: object) -> str | None:
    """Return a message id exactly as it was logged; None where it is none, floats included: they lost digits."""
    if isinstance(value, str):
        text = plain_text(value)
    elif _is_exact_integer(value):
        text = str(value)
    else:
        return None
    return text if text.isdigit() and text.isascii() and len(text) <= LONGEST_ID else None


def text_of(value: object) -> str | None:
    """Return a value as it is stored: trimmed, without NUL and lone surrogates, at most 200 characters.

    Whole numbers become their digits; None where the value is empty or is neither text nor whole number.
    """
    if isinstance(value, str):
        text = plain_text(value)
        if not text.isascii() or "\0" in text:
            text = plain_text(text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8"))
        return text[:LONGEST_TEXT] or None
    whole = _whole_number(value)
    return None if whole is None else str(whole)


def app_of(value: object) -> str | None:
    """Return an app like `text_of`; empty text where the value is there but of no use."""
    return text_of(value) or (None if is_empty(value) else "")


def label_of(value: object) -> str | None:
    """Return a label like `text_of`, and other single values as they are written."""
    if isinstance(value, bool):
        return str(value).lower()
    return text_of(str(value) if isinstance(value, float | Decimal) else value)


def number_of(value: object) -> str | None:
    """Return the digits of a phone number, None where there are none or they can't be right.

    A number that was a float once (`4.9151e+11`) has lost digits and is no number any more.
    """
    text = plain_text(value) if isinstance(value, str) else text_of(value)
    if text is None:
        return None
    if not text.isdecimal():
        if _EXPONENT.fullmatch(text):
            return None
        text = text.partition(".")[0] if _WHOLE_FLOAT.fullmatch(text) else text
    digits = digits_of(text)
    return digits if digits is not None and len(digits) <= LONGEST_NUMBER else None


@dataclass(frozen=True)
class TextField:
    """How a text field is stored.

    Attributes:
        exact: a logged value to what is stored.
        common: texts to the same and whether it is so, told by operations on the column; EMPTY_TEXTS may go wrong.
    """

    exact: Callable[[object], str | None]
    common: Callable[[pa.StringArray], tuple[pa.StringArray, pa.BooleanArray]]


def _common_ids(texts: pa.StringArray) -> tuple[pa.StringArray, pa.BooleanArray]:
    return texts, _is_digits(texts, LONGEST_ID)


def _common_texts(texts: pa.StringArray) -> tuple[pa.StringArray, pa.BooleanArray]:
    """Tell ASCII without blanks around it and without guards in front."""
    trimmed = _pc.ascii_rtrim(_pc.ascii_ltrim(texts, " '="), " ")
    is_short = _pc.less_equal(_pc.binary_length(texts), LONGEST_TEXT)
    return texts, _pc.and_(_pc.and_(_pc.ascii_is_printable(texts), is_short), _pc.equal(trimmed, texts))


def _common_numbers(texts: pa.StringArray) -> tuple[pa.StringArray, pa.BooleanArray]:
    """Tell digits, perhaps behind a plus, without a prefix `00`."""
    digits = _pc.ascii_ltrim(texts, "+")
    return digits, _pc.and_not(_is_digits(digits, LONGEST_NUMBER), _pc.starts_with(digits, "00"))


def _is_digits(texts: pa.StringArray, longest: int) -> Any:
    return _pc.and_(_pc.ascii_is_decimal(texts), _pc.less_equal(_pc.binary_length(texts), longest))


TEXT_FIELDS: Final[Mapping[str, TextField]] = MappingProxyType(
    {
        "msg_id": TextField(id_of, _common_ids),
        "app_id": TextField(app_of, _common_texts),
        "number": TextField(number_of, _common_numbers),
        "sender_id": TextField(text_of, _common_texts),
        "order_id": TextField(text_of, _common_texts),
    }
)


def _float_of(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _is_exact_integer(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() <= _BIGGEST_ID_BITS
    return isinstance(value, Decimal) and value.as_tuple().exponent == 0


def _whole_number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() <= BIGGEST_INTEGER_BITS else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _WHOLE_FLOATS_BELOW else None
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return None
