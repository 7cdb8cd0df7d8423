"""The settings that say how sent logs are written, as values.

What belongs here: reading the text of `SMS_SENT_LOG_FIELDS` and `SMS_SENT_LOG_TIME_FORMAT`. What does not: where
settings come from (`settings`), reading logs (`collect`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

LOG_FIELDS = ("msg_id", "sent_at", "app_id", "number", "sender_id", "order_id", "response")
"""Fields of a log record that may be given a name."""


def log_fields(value: object) -> object:
    """Return pairs of field and name from `msg_id=Reference, sent_at=Created`; other values as they are.

    Raises:
        ValueError: a field is unknown, or has no name, or a field or a name is there twice.
    """
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    given = tuple((field.strip().lower(), name.strip()) for field, _, name in pairs)
    fields, names = {field for field, _ in given}, {name for _, name in given if name}
    if not fields <= set(LOG_FIELDS) or not len(fields) == len(names) == len(given):
        known = ", ".join(LOG_FIELDS)
        raise ValueError(f"must be pairs such as msg_id=Reference, sent_at=Created; the fields are {known}, each once")
    return given


def time_format(value: str) -> str:
    """Return a `strptime` pattern.

    Raises:
        ValueError: it does not tell a date with a time of day.
    """
    moment = datetime(2026, 11, 27, 22, 33, tzinfo=UTC)
    try:
        read = datetime.strptime(moment.strftime(value), value)  # noqa: DTZ007 - compared by its clock
    except (ValueError, re.error):
        read = datetime.min  # noqa: DTZ901 - differs from any
    if read.replace(tzinfo=None) != moment.replace(tzinfo=None):
        raise ValueError("must be a strptime pattern of a date with a time of day, such as %d/%m/%Y %H:%M:%S")
    return value
