"""Times in sent logs to instants in microseconds, and to days.

Belongs here: which forms of a time are read, and what a local time means.
Does not belong here: which times a record may have (`records`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute

from pipeline.collect.values import plain_text

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS_BELOW = 10**11
"""A number below this is Unix seconds (the year 5138), else milliseconds (1973)."""
MILLISECONDS_BELOW = 10**14
MICROSECONDS_BELOW = 10**17
"""A number from this on is nanoseconds."""
_EXPONENTS_FROM = 1e16
"""A float from this on is written with an exponent."""
SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
EARLIEST_US = (datetime(2, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
LATEST_US = (datetime(9998, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""Within these a time has a date in every zone."""
QUARTER_US = 900 * SECOND_US
"""Within a quarter of an hour the date is the same in every zone."""
_FIRST_QUARTER = EARLIEST_US // QUARTER_US
INSTANT: Final = pa.timestamp("us", "UTC")
_CLOCK_TIME: Final = pa.timestamp("us")
_DAY_OF_ANY_YEAR: Final = (
    r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_LOCAL_TIME: Final = (
    rf"^20([0-9]{{2}}-{_DAY_OF_ANY_YEAR}|([02468][048]|[13579][26])-02-29)"
    r"[T ]([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,6})?"
)
"""Only times that exist: Arrow refuses a whole column for 30 February."""
_OFFSET: Final = r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
_UTC: Final = r"[ ]?(UTC|GMT)$"
_SEPARATORS = frozenset("Tt ")
_CLOCK: Final = r"([01]\d|2[0-3])[0-5]\d"
_DATE_DIGITS = re.compile(
    rf"((19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])({_CLOCK}([0-5]\d(\d{{3}})?)?)?)"
    rf"|(\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]){_CLOCK}[0-5]\d)"
)
"""A date written as a number (20261127100001): as Unix time it is before 2002 or after 2500."""
_ZONE_NAME = re.compile(r"(?P<offset>[+-]\d\d:?\d\d|Z)?\s*(?P<name>UTC|GMT|Z|\[[A-Za-z0-9_/+-]+\])", re.IGNORECASE)
_LOOSE = re.compile(r"(\d{4})[/-](\d\d?)[/-](\d\d?)[ T]+(\d\d?)(:\d\d.*?)\s*([+-]\d\d:?\d\d)?")
"""Year first, with slashes, without leading zeros, or with a blank in front of the offset."""
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,20})(?:\.([0-9]*))?")
_EXPONENT = re.compile(r"[1-9]\.[0-9]{1,18}E(9|1[0-8])")
"""Unix time as Java and BigQuery write it, whole: `1.795773601E9`. `1.8E+09` of a spreadsheet has lost digits."""
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


def time_us(value: object, zone: ZoneInfo, time_format: str | None = None) -> int | None:
    """Read a time; return microseconds since 1970 UTC, None where it can't be read.

    Forms:  `time_format`, a pattern of `strptime`; ISO 8601 date and time, with or without an offset or `UTC`, `T` or a
            space between them; Unix seconds to nanoseconds as number or text, with fractions; `datetime`.
    Units:  exact to the microsecond, finer digits are cut off.
    Zones:  without an offset the time is local in `zone`: one that happens twice is the earlier,
            one that does not exist shifts forward by the gap.
    Never:  a date alone, a time alone, a date written as a number, booleans, NaN, infinity, years 1 and 9999.
    """
    found = None
    if time_format is not None and isinstance(value, str | int):
        found = _from_format(plain_text(str(value)), zone, time_format)
    if found is None:
        found = _from_any(value, zone)
    return found if found is not None and EARLIEST_US <= found <= LATEST_US else None


def instants_of(
    texts: pa.StringArray, values: Sequence[object], zone: ZoneInfo, time_format: str | None = None
) -> pa.TimestampArray[Any]:
    """Read many times like `time_us`.

    Shape:  n values, `texts` being those that are text, else null -> n instants or nulls, microseconds, UTC.
    Cost:   Arrow reads the usual ISO forms, pandas `time_format`; each other value costs a call of `time_us`.
    """
    instants = pa.nulls(len(texts), INSTANT)
    for form in [partial(_by_format, time_format)] if time_format else [_absolute, _local, _named_utc]:
        unread = instants.is_null()
        instants = _pc.replace_with_mask(instants, unread, form(texts.filter(unread), zone))
    unread = instants.is_null()
    places = _pc.indices_nonzero(unread).to_pylist()
    exact = pa.array([time_us(values[place], zone, time_format) for place in places], pa.int64()).cast(INSTANT)
    read: pa.TimestampArray[Any] = _pc.replace_with_mask(instants, unread, exact)
    return read


def _absolute(texts: pa.StringArray, _: ZoneInfo) -> Any:
    return _read_as(texts, _LOCAL_TIME + _OFFSET, INSTANT)


def _local(texts: pa.StringArray, zone: ZoneInfo) -> Any:
    return _in_zone(_read_as(texts, _LOCAL_TIME + "$", _CLOCK_TIME), zone)


def _named_utc(texts: pa.StringArray, zone: ZoneInfo) -> Any:
    return _absolute(_pc.replace_substring_regex(texts, _UTC, "Z"), zone)


def _by_format(time_format: str, texts: pa.StringArray, zone: ZoneInfo) -> Any:
    """Read the texts that have the format; null for all where pandas does not know it."""
    import pandas as pd  # noqa: PLC0415 - half a second that a run without new logs does without

    try:
        found: Any = pd.to_datetime(texts.to_pandas(), format=time_format, utc=True, errors="coerce")
    except ValueError:
        return pa.nulls(len(texts), INSTANT)
    instants: Any = pa.array(found, INSTANT)
    return instants if _is_absolute(time_format) else _in_zone(instants, zone)


def _is_absolute(time_format: str) -> bool:
    return "%z" in time_format or "%Z" in time_format


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


def _read_as(texts: pa.StringArray, pattern: str, kind: pa.TimestampType[Any, Any]) -> Any:
    """Parse the texts with a pattern, null for the others."""
    return _pc.if_else(_pc.match_substring_regex(texts, pattern), texts, None).cast(kind)


def _in_zone(clock: pa.TimestampArray[Any], zone: ZoneInfo) -> Any:
    """Read clock times in a zone; null where the clock shows the time twice or never."""
    if clock.null_count == len(clock):
        return pa.nulls(len(clock), INSTANT)  # without pandas, which takes half a second to import
    local: Any = clock.cast(_CLOCK_TIME).to_pandas()
    absolute: Any = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    return pa.array(absolute.dt.tz_convert("UTC"), INSTANT)


def _from_any(value: object, zone: ZoneInfo) -> int | None:
    if isinstance(value, str):
        return _from_text(plain_text(value), zone)
    if isinstance(value, datetime):
        return _from_datetime(value, zone)
    if isinstance(value, int) and not isinstance(value, bool):
        return _from_integer(value)
    return _from_fraction(value) if isinstance(value, float | Decimal) else None


def _from_format(text: str, zone: ZoneInfo, time_format: str) -> int | None:
    try:
        moment = datetime.strptime(text, time_format)  # noqa: DTZ007 - the zone is added below
    except ValueError:
        return None
    if moment.tzinfo is None and _is_absolute(time_format):
        moment = moment.replace(tzinfo=UTC)  # the names that `%Z` reads on every machine are UTC and GMT
    return _from_datetime(moment, zone)


def _from_text(text: str, zone: ZoneInfo) -> int | None:
    if text[4:5] == "-" and text[10:11] in _SEPARATORS:
        found = _from_iso(text, zone)
        return _from_loose(text, zone) if found is None else found
    number = _DECIMAL.fullmatch(text)
    if number is not None:
        return _scaled(number)
    if _EXPONENT.fullmatch(text):
        return _from_fraction(Decimal(text))
    return _from_iso(text, zone) if "T" in text and text[4:5] != "/" else _from_loose(text, zone)


def _from_iso(text: str, zone: ZoneInfo) -> int | None:
    try:
        return _from_datetime(datetime.fromisoformat(text), zone)
    except ValueError:
        return _from_iso(text.upper(), zone) if text.endswith("z") else None


def _from_loose(text: str, zone: ZoneInfo) -> int | None:
    """Read what is ISO 8601 but for slashes, missing zeros, blanks, or the name of UTC."""
    name = _ZONE_NAME.search(text, 10)
    if name is not None and name.end() == len(text):
        if name["name"].startswith("[") and not name["offset"]:
            return None
        text = text[: name.start()].rstrip() + (name["offset"] or "+00:00")
    parts = _LOOSE.fullmatch(text)
    if parts is None:
        return None
    year, month, day, hour, rest, offset = parts.groups()
    return _from_iso(f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}{rest}{offset or ''}", zone)


def _from_datetime(moment: datetime, zone: ZoneInfo) -> int | None:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone, fold=0)
    try:
        since = moment - EPOCH
    except OverflowError:
        return None
    return since.days * DAY_US + since.seconds * SECOND_US + since.microseconds


def _from_integer(value: int) -> int | None:
    if value < SECONDS_BELOW:
        return None if _DATE_DIGITS.fullmatch(str(value)) else value * SECOND_US
    if value > LATEST_US * 1000 or _DATE_DIGITS.fullmatch(str(value)):
        return None
    if value < MILLISECONDS_BELOW:
        return value * 1000
    return value if value < MICROSECONDS_BELOW else value // 1000


def _from_fraction(value: float | Decimal) -> int | None:
    if not isfinite(value) or value > LATEST_US * 1000 or value < EARLIEST_US:
        return None
    is_exponent = isinstance(value, Decimal) or value >= _EXPONENTS_FROM
    number = _DECIMAL.fullmatch(format(value, "f") if is_exponent else repr(value))
    return _scaled(number) if number is not None else None


def _scaled(number: re.Match[str]) -> int | None:
    """Make microseconds of the decimal number that `_DECIMAL` matched; None where it is a date's digits."""
    sign, whole, fraction = number[1], number[2], number[3] or ""
    if sign == "-":
        return -int(whole + fraction.ljust(6, "0")[:6])
    if not fraction.strip("0") and _DATE_DIGITS.fullmatch(whole):
        return None
    if int(whole) >= MILLISECONDS_BELOW:
        return int(whole) if int(whole) < MICROSECONDS_BELOW else int(whole) // 1000
    places = 3 if int(whole) >= SECONDS_BELOW else 6
    return int(whole + fraction.ljust(places, "0")[:places])
