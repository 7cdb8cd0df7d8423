"""The fields of a log record: under which names they come, and how their values become text.

Belongs here: spellings, values as text. Does not belong here: what makes a record a message or a
reject (`log_records`), times (`times`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

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
LONGEST_TEXT = 200
"""Characters of an app, sender or order that are stored."""
LONGEST_NUMBER = 20
"""Digits of a phone number: 15 by E.164 and a prefix. What has more is no number, or is several."""
WHOLE_FLOATS_BELOW = 2.0**53
_CACHED_NAMES = 64
_WHOLE_FLOAT = re.compile(r"[0-9]+\.0*")
_EXPONENT = re.compile(r"[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+")
_BIGGEST_INTEGER_BITS = 256


class Fields(NamedTuple):
    """The name under which a record has each field, None where it does not have it."""

    msg_id: str | None
    sent_at: str | None
    app_id: str | None
    number: str | None
    sender_id: str | None
    order_id: str | None
    response: str | None
    rivals: Mapping[str, tuple[str, ...]]
    """Fields that the record has under several names: those names, the preferred first."""

    def names(self) -> dict[str, str | None]:
        """Return field -> name in the record."""
        return {field: getattr(self, field) for field in SPELLINGS}


def fields_among(names: tuple[str, ...]) -> Fields:
    """Find the fields among the names of a record."""
    return _remembered(names) if len(names) <= _CACHED_NAMES else _fields_among(names)


def names_by_field(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return field -> those of `names` that stand for it, the preferred first."""
    fields = fields_among(names)
    return {field: fields.rivals.get(field, (name,)) for field, name in fields.names().items() if name is not None}


def are_ranked(names: tuple[str, ...]) -> bool:
    """Tell whether of names of one field the preferred does not depend on their order in the record.

    Two names of an answer count as not ranked: a record with both is read by itself.
    """
    for field, found in names_by_field(names).items():
        others = [_plain(name) for name in found if name != field]
        if len(set(others)) < len(others) or (field == "response" and len(found) > 1):
            return False
    return True


def settled(record: Mapping[str, object], fields: Fields) -> dict[str, object]:
    """Return `record` with one value under its own name for each field: the first that is not empty."""
    values = {field: record[name] for field, name in fields.names().items() if name is not None}
    for field, names in fields.rivals.items():
        values[field] = next((record[name] for name in names if not is_empty(record[name])), None)
    return values


def recognised(names: tuple[str, ...]) -> list[str]:
    """Return those of `names` that stand for a field, in their order."""
    return [name for name in names if _plain(name) in _FIELD_OF]


def is_empty(value: object) -> bool:
    """Tell whether a field with this value says nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


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


def _whole_number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value.bit_length() <= _BIGGEST_INTEGER_BITS else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < WHOLE_FLOATS_BELOW else None
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return None


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "").replace("-", "")


_FIELD_OF = {_plain(name): field for field, names in SPELLINGS.items() for name in names}
_RANK = {_plain(name): rank for names in SPELLINGS.values() for rank, name in enumerate(names)}


def _fields_among(names: tuple[str, ...]) -> Fields:
    present: dict[str, list[str]] = {field: [] for field in SPELLINGS}
    for name in recognised(names):
        present[_FIELD_OF[_plain(name)]].append(name)
    for field, found in present.items():
        found.sort(key=lambda name: (name != field, _RANK[_plain(name)]))
    first = {field: found[0] if found else None for field, found in present.items()}
    rivals = {field: tuple(found) for field, found in present.items() if len(found) > 1}
    return Fields(**first, rivals=MappingProxyType(rivals))


_remembered = lru_cache(maxsize=256)(_fields_among)
