"""Times in sent logs to instants in microseconds, and to days.

Belongs here: which forms of a time are read, and what a local time means.
Does not belong here: which times a record may have (`records`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute

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
QUARTER_US = 900 * SECOND_US
"""Within a quarter of an hour the date is the same in every zone."""
_FIRST_QUARTER = EARLIEST_US // QUARTER_US
INSTANT: Final = pa.timestamp("us", "UTC")
_LOCAL_TIME: Final = r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,6})?"
_OFFSET: Final = r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
_SEPARATORS = frozenset("Tt ")
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,20})(?:\.([0-9]*))?")
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


def time_us(value: object, zone: ZoneInfo) -> int | None:
    """Read a time; return microseconds since 1970 UTC, None where it can't be read.

    Forms:  ISO 8601 date and time, with or without an offset, `T` or a space between them; Unix
            seconds or milliseconds as number or text, with fractions; `datetime`.
    Units:  exact to the microsecond, finer digits are cut off.
    Zones:  without an offset the time is local in `zone`: one that happens twice is the earlier,
            one that does not exist shifts forward by the gap.
    Never:  a date alone, a time alone, booleans, NaN, infinity, years 1 and 9999.
    """
    if isinstance(value, str):
        found = _from_text(value.strip(), zone)
    elif isinstance(value, datetime):
        found = _from_datetime(value, zone)
    elif isinstance(value, int) and not isinstance(value, bool):
        found = value * (1000 if value >= SECONDS_BELOW else SECOND_US)
    elif isinstance(value, float | Decimal):
        found = _from_fraction(value)
    else:
        return None
    return found if found is not None and EARLIEST_US <= found <= LATEST_US else None


def instants_of(texts: pa.StringArray, values: Sequence[object], zone: ZoneInfo) -> pa.TimestampArray[Any]:
    """Read many times like `time_us`.

    Shape:  n values, `texts` being those that are text, else null -> n instants or nulls, microseconds, UTC.
    Cost:   pandas reads the usual ISO forms; each other value costs a call of `time_us`.
    """
    is_absolute = _matching(texts, _LOCAL_TIME + _OFFSET)
    instants = _parsed(texts, is_absolute)
    if not _pc.all(is_absolute).as_py():
        is_local = _matching(texts, _LOCAL_TIME + "$")
        if _pc.any(is_local).as_py():
            instants = _pc.coalesce(instants, _in_zone(_parsed(texts, is_local), zone))
    is_unread = instants.is_null()
    unread = _pc.indices_nonzero(is_unread).to_pylist()
    exact = pa.array([time_us(values[place], zone) for place in unread], pa.int64()).cast(INSTANT)
    read: pa.TimestampArray[Any] = _pc.replace_with_mask(instants, is_unread, exact) if unread else instants
    return read


def dates_of(instants: pa.TimestampArray[Any], zone: ZoneInfo) -> pa.Date32Array:
    """Return the date in `zone` at each instant, null where there is none."""
    since_first = _pc.subtract(instants.cast(pa.int64()), _FIRST_QUARTER * QUARTER_US)
    encoded = _pc.divide(since_first, QUARTER_US).dictionary_encode()
    quarters = [_FIRST_QUARTER + each for each in encoded.dictionary.to_pylist()]
    days = pa.array([_date_of_quarter(quarter, zone) for quarter in quarters], pa.date32())
    dates: pa.Date32Array = days.take(encoded.indices)
    return dates


@lru_cache(maxsize=1 << 14)
def _date_of_quarter(quarter: int, zone: ZoneInfo) -> date:
    """Return the date in the quarter of an hour: since 1972 no zone's midnight is inside one."""
    return (EPOCH + timedelta(microseconds=quarter * QUARTER_US)).astimezone(zone).date()


def _matching(texts: pa.StringArray, pattern: str) -> pa.BooleanArray:
    found: pa.BooleanArray = _pc.fill_null(_pc.match_substring_regex(texts, pattern), fill_value=False)
    return found


def _parsed(texts: pa.StringArray, wanted: pa.BooleanArray) -> Any:
    """Parse the texts that are wanted, null for the rest and for days that do not exist (30 February)."""
    import pandas as pd  # noqa: PLC0415 - half a second that a run without new logs does without

    written = _pc.if_else(wanted, texts, None).to_pandas()
    found: Any = pd.to_datetime(written, format="ISO8601", utc=True, errors="coerce")
    return pa.array(found, INSTANT)


def _in_zone(clock: pa.TimestampArray[Any], zone: ZoneInfo) -> Any:
    """Read clock times in a zone; null where the clock shows the time twice or never."""
    local: Any = clock.cast(pa.timestamp("us")).to_pandas()
    absolute: Any = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    return pa.array(absolute.dt.tz_convert("UTC"), INSTANT)


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


def _from_fraction(value: float | Decimal) -> int | None:
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
