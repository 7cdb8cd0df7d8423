"""Times as sent logs write them: to microseconds since 1970-01-01 UTC, and to days.

Belongs here: which forms of a time are understood, and what a local time means. Does not belong
here: which times a record may have (`log_records`).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_BELOW = 10**11
"""A number below this is Unix seconds, else milliseconds (the year 5138, or 1973)."""
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
EARLIEST_US = (datetime(2, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
LATEST_US = (datetime(9998, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""Within these a time has a date in every zone."""
_SEPARATORS = frozenset("Tt ")
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,20})(?:\.([0-9]*))?")
QUARTER_US = 900 * SECOND_US
"""A quarter of an hour has one date in every zone."""


def time_us(value: object, zone: ZoneInfo) -> int | None:
    """Read a time; return microseconds since 1970 UTC, None where it can't be read.

    Forms:  ISO 8601 date and time, with or without an offset, `T` or a space between them; Unix
            seconds or milliseconds as number or text, with fractions; `datetime`.
    Units:  exact to the microsecond, what is finer is cut off.
    Zones:  without an offset the time is local in `zone`: one that happens twice is the earlier,
            one that does not exist shifts forward by the gap.
    Never:  a date alone, a time alone, booleans, NaN, infinity, years 1 and 9999.
    """
    if isinstance(value, str):
        found = _from_text(value.strip(), zone)
    elif isinstance(value, datetime):
        found = _from_datetime(value, zone)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        found = _from_number(value)
    else:
        return None
    return found if found is not None and EARLIEST_US <= found <= LATEST_US else None


def local_date(moment_us: int, zone: ZoneInfo) -> date:
    """Return the date in `zone` at an instant that `time_us` returned."""
    return _date_of_quarter(moment_us // QUARTER_US, zone)


@lru_cache(maxsize=1 << 14)
def _date_of_quarter(quarter: int, zone: ZoneInfo) -> date:
    """Return the date in the quarter of an hour: since 1972 no zone's midnight is inside one."""
    return (EPOCH + timedelta(microseconds=quarter * QUARTER_US)).astimezone(zone).date()


def _from_text(text: str, zone: ZoneInfo) -> int | None:
    if text[4:5] == "-" and text[10:11] in _SEPARATORS:
        return _from_iso(text, zone)
    number = _DECIMAL.fullmatch(text)
    if number is not None:
        return _scaled(number)
    return _from_iso(text, zone) if "T" in text else None


def _from_iso(text: str, zone: ZoneInfo) -> int | None:
    try:
        return _from_datetime(datetime.fromisoformat(text), zone)
    except ValueError:
        return _from_iso(text.upper(), zone) if text.endswith("z") else None


def _from_datetime(moment: datetime, zone: ZoneInfo) -> int | None:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone, fold=0)
    try:
        since = moment - EPOCH
    except OverflowError:
        return None
    return since.days * DAY_US + since.seconds * SECOND_US + since.microseconds


def _from_number(value: float | Decimal) -> int | None:
    if not isfinite(value) or value > LATEST_US or value < EARLIEST_US:
        return None
    number = _DECIMAL.fullmatch(format(value, "f") if isinstance(value, Decimal) else repr(value))
    return _scaled(number) if number is not None else None


def _scaled(number: re.Match[str]) -> int:
    """Make microseconds of the decimal number that `_DECIMAL` matched."""
    sign, whole, fraction = number[1], number[2], number[3] or ""
    places = 3 if sign != "-" and int(whole) >= SECONDS_BELOW else 6
    microseconds = int(whole + fraction.ljust(places, "0")[:places])
    return -microseconds if sign == "-" else microseconds
