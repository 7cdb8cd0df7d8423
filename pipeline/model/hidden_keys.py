"""Keys that hold a phone number: app ids, message ids and names of logs, and what is stored in their place.

Belongs here: when a key counts as a number, and its other form, the same each time, so that rows still find each other.
Does not belong here: numbers in other columns (`phone_numbers`), which rows are rewritten (`maintain/forget.py`).
"""

from __future__ import annotations

import hmac
import re
from typing import Any, Final

import pyarrow as pa

from pipeline.model.forgotten_numbers import ForgottenNumbers
from pipeline.model.phone_numbers import (
    NumberPolicy,
    digits_of,
    is_number,
    mask_digits,
    may_hold_number,
    without_forgotten,
)

_MARK: Final = re.compile(r"~[a-p]{12}\Z")
"""Ends the stored name of a log that holds a number: tells it from others whose names are hidden alike."""
_UNIX_SECONDS: Final = re.compile(r"(?<=[a-z][.-])1[0-9]{9}(?=\Z|\.(?:gz|zst)\Z)", re.IGNORECASE)
"""What rotation puts behind an ending."""
_AS_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


def is_number_as_app(app_id: str, policy: NumberPolicy) -> bool:
    """Say whether an app id is a phone number, or holds a forgotten one."""
    return (policy.mode != "keep" and is_number(app_id)) or app_without_forgotten(app_id, policy.forgotten) != app_id


def app_without_forgotten(app_id: str, forgotten: ForgottenNumbers) -> str:
    """Return an app id with the digits of forgotten numbers hidden."""
    return without_forgotten(app_id, forgotten)


def id_without_forgotten(msg_id: str, forgotten: ForgottenNumbers) -> str:
    """Return a message id; of one that is a forgotten number another id of 32 digits.

    Ids are numbers themselves: one that only has the digits of a number among others says nothing of a person.
    """
    digits = digits_of(msg_id) or ""
    return forgotten.id_in_place_of(digits) if forgotten.is_one(digits) else msg_id


def ids_without_forgotten(
    ids: pa.ChunkedArray[Any], forgotten: ForgottenNumbers
) -> pa.Array[Any] | pa.ChunkedArray[Any]:
    """Return what is stored of each message id."""
    if not forgotten:
        return ids
    return pa.array([each and id_without_forgotten(each, forgotten) for each in ids.to_pylist()], pa.string())


def holds_hidden(name: str, policy: NumberPolicy) -> bool:
    """Say whether the name of a log, a path, holds a number that is not stored."""
    return may_hold_number(name) and _hidden_name(name, policy) != name


def stored_log_name(name: str, policy: NumberPolicy, key: bytes) -> str:
    """Return what is stored of the name of a log, a path: its numbers hidden, as `SMS_NUMBERS` says.

    A name that changed gets a mark of its former text, by an HMAC with `key`: two logs never get one name.
    """
    mark = _MARK.search(name)
    text = name[: mark.start()] if mark else name
    hidden = _hidden_name(text, policy)
    if hidden == text:
        return name
    return hidden + (
        mark[0] if mark else f"~{hmac.digest(key, text.encode(), 'sha256').hex()[:12].translate(_AS_LETTERS)}"
    )


def _hidden_name(name: str, policy: NumberPolicy) -> str:
    name = without_forgotten(name, policy.forgotten)
    return name if policy.mode == "keep" else "/".join(map(_hidden_part, name.split("/")))


def _hidden_part(part: str) -> str:
    """Hide numbers in the name of a file or folder; dates and what rotation adds stay."""
    rotated = _UNIX_SECONDS.search(part)
    if rotated is None:
        return mask_digits(part, is_own=True)
    return mask_digits(part[: rotated.start()], is_own=True) + part[rotated.start() :]
