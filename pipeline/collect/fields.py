"""The fields of a log record: their names in logs, and the text that is stored for their values.

Belongs here: spellings of names, and for each text field the one function from a logged value to ours.
Does not belong here: times (`times`), the rules that make a record a message (`records`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from pipeline.model.phone_numbers import digits_of

SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "msg_id": ("msg_id", "message_id", "sms_id"),
        "sent_at": (
            "sent_at", "sent_time", "send_time", "send_at", "submitted_at", "submit_time", "created_at",
            "create_time", "timestamp", "@timestamp", "datetime", "time", "ts",
        ),
        "app_id": ("app_id",),
        "number": (
            "number", "phone_number", "mobile_number", "mobile", "msisdn", "phone", "recipient", "receiver",
            "destination", "to_number", "to",
        ),
        "sender_id": ("sender_id", "sender", "from"),
        "order_id": ("order_id",),
        "response": ("response",),
    }
)  # fmt: skip
"""Field -> names it is known by, the preferred first. Case, `_` and `-` make no difference."""
LONGEST_ID: Final = 32
"""Digits of a message id."""
LONGEST_TEXT: Final = 200
"""Characters of an app, sender or order that are stored."""
LONGEST_NUMBER: Final = 20
"""Digits of a phone number: 15 by E.164 and a prefix. Longer text is no number, or several."""
_CACHED_NAMES = 64
_WHOLE_FLOATS_BELOW = 2.0**53
_BIGGEST_INTEGER_BITS = 256
_BIGGEST_ID_BITS = 107
_WHOLE_FLOAT = re.compile(r"[0-9]+\.0*")
_EXPONENT = re.compile(r"[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+")


class RawFields(NamedTuple):
    """The logged values of one record by field, None where the record does not have the field."""

    msg_id: object = None
    sent_at: object = None
    app_id: object = None
    number: object = None
    sender_id: object = None
    order_id: object = None
    response: object = None
    labels: object = None
    """A tuple of the values of the fields that `FieldNames.labels` names; None where there are no labels."""


Picker = Callable[[Sequence[object]], Sequence[object]]
"""Picks the values of `RawFields`, in their order, from the values of a record and a None behind them."""


class FieldNames:
    """What the names in one log stand for.

    Attributes:
        labels: fields that are kept as labels (`SMS_SENT_LOG_LABELS`); one may be another field, too.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        """Start with the spellings."""
        self.labels = tuple(labels)
        self._known = {*_FIELD_OF, *map(_plain, self.labels)}
        self._cached = lru_cache(maxsize=256)(self._picker_of)

    def picker(self, names: tuple[str, ...]) -> Picker:
        """Return the picker for records with these names.

        Where a field has several, the first that is not empty counts: the name of the field itself comes first, then
        the order of SPELLINGS. Of equal names the first is read.
        """
        return self._cached(names) if len(names) <= _CACHED_NAMES else self._picker_of(names)

    def recognised(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that stand for a field or a label, in their order."""
        return [name for name in names if _plain(name) in self._known]

    def fields_among(self, names: Iterable[str]) -> set[str]:
        """Return the fields that some of `names` stand for."""
        return {_FIELD_OF[_plain(name)] for name in names if _plain(name) in _FIELD_OF}

    def _picker_of(self, names: tuple[str, ...]) -> Picker:
        pick = _picker_of(names)
        if not self.labels:
            return pick
        plain = [_plain(name) for name in names]
        places = [plain.index(_plain(label)) if _plain(label) in plain else -1 for label in self.labels]
        return lambda values: (*pick(values)[:-1], tuple(values[place] for place in places))


def is_empty(value: object) -> bool:
    """Tell whether a field with this value counts as missing."""
    return value is None or (isinstance(value, str) and not value.strip())


def id_of(value: object) -> str | None:
    """Return a message id exactly as it was logged; None where it is none, floats included: they lost digits."""
    if isinstance(value, str):
        text = value.strip()
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
        text = value.strip()
        if not text.isascii() or "\0" in text:
            text = text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8").strip()
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
    text = value if isinstance(value, str) else text_of(value)
    if text is None:
        return None
    if not text.isdecimal():
        text = text.strip()
        if _EXPONENT.fullmatch(text):
            return None
        text = text.partition(".")[0] if _WHOLE_FLOAT.fullmatch(text) else text
    digits = digits_of(text)
    return digits if digits is not None and len(digits) <= LONGEST_NUMBER else None


@dataclass(frozen=True)
class TextField:
    """How a text field is stored.

    Attributes:
        stored: pattern of texts that `exact` would return as they are.
        exact: a logged value to what is stored.
    """

    stored: str
    exact: Callable[[object], str | None]


_PLAIN_TEXT: Final = r"^[!-~]([ -~]{0,198}[!-~])?$"
TEXT_FIELDS: Final[Mapping[str, TextField]] = MappingProxyType(
    {
        "msg_id": TextField(r"^[0-9]{1,32}$", id_of),
        "app_id": TextField(_PLAIN_TEXT, app_of),
        "number": TextField(r"^[0-9]{1,20}$", number_of),
        "sender_id": TextField(_PLAIN_TEXT, text_of),
        "order_id": TextField(_PLAIN_TEXT, text_of),
    }
)


def _is_exact_integer(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() <= _BIGGEST_ID_BITS
    return isinstance(value, Decimal) and value.as_tuple().exponent == 0


def _whole_number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() <= _BIGGEST_INTEGER_BITS else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _WHOLE_FLOATS_BELOW else None
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return None


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "").replace("-", "")


_FIELD_OF = {_plain(name): field for field, names in SPELLINGS.items() for name in names}
_RANK = {_plain(name): rank for names in SPELLINGS.values() for rank, name in enumerate(names)}


def _picker_of(names: tuple[str, ...]) -> Picker:
    places: dict[str, list[int]] = {field: [] for field in RawFields._fields}
    for name in dict.fromkeys(name for name in names if _plain(name) in _FIELD_OF):
        places[_FIELD_OF[_plain(name)]].append(names.index(name))
    for field, found in places.items():
        found.sort(key=lambda place: (names[place] != field, _RANK[_plain(names[place])]))
    if all(len(found) <= 1 for found in places.values()):
        single: Picker = itemgetter(*(found[0] if found else -1 for found in places.values()))
        return single
    ranked = list(places.values())
    return lambda values: [_first_said(values, found) for found in ranked]


def _first_said(values: Sequence[object], places: Sequence[int]) -> object:
    return next((values[place] for place in places if not is_empty(values[place])), None)
