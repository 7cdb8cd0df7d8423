"""Forms of time that logs come with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.collect.times import EPOCH, dates_of, instants_of, time_us

BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")
FIRST, LAST = (edge.replace(tzinfo=UTC) for edge in (datetime.min, datetime.max))  # noqa: DTZ901 - made aware here
MOMENT = datetime(2025, 6, 1, 12, 30, 45, 123456, tzinfo=UTC)


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "written",
    [
        "2025-06-01T12:30:45.123456Z",
        "2025-06-01t12:30:45.123456z",
        " 2025-06-01 12:30:45.123456+00:00 ",
        "2025-06-01T18:00:45.123456+05:30",
        "2025-06-01T05:30:45.123456-0700",
        "2025-06-01T14:30:45,123456+02",
        "2025-06-01T12:30:45.1234569Z",
        "20250601T123045.123456Z",
        "2025-W22-7T12:30:45.123456Z",
        "2025-06-01 14:30:45.123456",
        "2025-06-01 12:30:45.123456 UTC",
        "2025-06-01 12:30:45.123456 gmt",
        "2025-06-01 12:30:45.123456 +0000 UTC",
        "2025-06-01 05:30:45.123456 -0700",
        "2025-06-01T14:30:45.123456+02:00[Europe/Berlin]",
        "2025/06/01 14:30:45.123456",
        "2025/6/1 14:30:45.123456",
        '="2025-06-01T12:30:45.123456Z"',
        "'2025-06-01T12:30:45.123456Z",
        1748781045123456,
        "1748781045123456",
        1748781045123456789,
        "1748781045123456789",
        1748781045123456.0,
        1748781045.123456,
        1748781045123.456,
        "1748781045.123456",
        "1748781045123.4569",
        Decimal("1748781045.123456"),
        MOMENT,
        MOMENT.astimezone(timezone(timedelta(hours=9))),
        datetime(2025, 6, 1, 14, 30, 45, 123456),  # noqa: DTZ001 - Parquet without a zone
    ],
)
def test_one_instant_is_read_in_every_form(written: object) -> None:
    assert time_us(written, BERLIN) == us(MOMENT)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0, 0),
        (99_999_999_999, 99_999_999_999_000_000),
        (100_000_000_000, 100_000_000_000_000),
        ("99999999999.9", 99_999_999_999_900_000),
        ("100000000000", 100_000_000_000_000),
        (-1.5, -1_500_000),
        ("+1748781045", 1_748_781_045_000_000),
        ("1748781045.", 1_748_781_045_000_000),
    ],
)
def test_numbers_below_1e11_are_seconds_and_others_milliseconds(written: object, expected: int) -> None:
    assert time_us(written, UTC_ZONE) == expected


@pytest.mark.parametrize(
    "written",
    [
        None, "", "now", "2025-06-01", "2025-06-01T", "2025-06-01x12:30", "12:30:45", "2025-02-30T00:00:00Z",
        "2025-06-01T25:00:00Z", "infinity", "inf", "nan", "NaN", "1.7e9", "1.7E+09", float("inf"), float("nan"),
        True, False, 10**21, "9" * 22, "9" * 5000,
        20250601123045, "20250601123045", 202506011230, 20250601, 250601123045,
        20250601123045000, "27/11/26 10:00:01", "11/27/2026 10:00:01", "2026-11-27 10:00:01 CET",
        "2026-11-27T10:00:01[Europe/Berlin]",
        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "202\u0665-06-01T00:00:00Z",
        "1 748 781 045", "0x10", date(2025, 6, 1), [1748781045], {"time": 1}, b"2025-06-01T00:00:00Z", 1e300,
        Decimal("NaN"), FIRST, LAST,
    ],
)  # fmt: skip
def test_what_is_not_a_date_with_a_time_is_not_read(written: object) -> None:
    assert time_us(written, BERLIN) is None


@pytest.mark.parametrize(
    ("written", "time_format", "zone", "expected"),
    [
        ("01/06/2025 02:30:45 PM", "%d/%m/%Y %I:%M:%S %p", BERLIN, datetime(2025, 6, 1, 12, 30, 45, tzinfo=UTC)),
        ("06/01/25 14:30", "%m/%d/%y %H:%M", UTC_ZONE, datetime(2025, 6, 1, 14, 30, tzinfo=UTC)),
        ("01 Jun 2025 14:30 +0200", "%d %b %Y %H:%M %z", UTC_ZONE, datetime(2025, 6, 1, 12, 30, tzinfo=UTC)),
        ("01.06.2025 14:30:45 UTC", "%d.%m.%Y %H:%M:%S %Z", BERLIN, datetime(2025, 6, 1, 14, 30, 45, tzinfo=UTC)),
        (20250601143045, "%Y%m%d%H%M%S", BERLIN, datetime(2025, 6, 1, 12, 30, 45, tzinfo=UTC)),
        ("26.10.2025 02:30", "%d.%m.%Y %H:%M", BERLIN, datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        ("30.03.2025 02:30", "%d.%m.%Y %H:%M", BERLIN, datetime(2025, 3, 30, 1, 30, tzinfo=UTC)),
        ("2025-06-01T12:30:45Z", "%d.%m.%Y %H:%M", BERLIN, datetime(2025, 6, 1, 12, 30, 45, tzinfo=UTC)),
        (1748781045, "%d.%m.%Y %H:%M", BERLIN, datetime(2025, 6, 1, 12, 30, 45, tzinfo=UTC)),
        (" 01.06.2025 14:30 ", "%d.%m.%Y %H:%M", UTC_ZONE, datetime(2025, 6, 1, 14, 30, tzinfo=UTC)),
        ("1.6.2025 14:30", "%d.%m.%Y %H:%M", UTC_ZONE, datetime(2025, 6, 1, 14, 30, tzinfo=UTC)),
    ],
)
def test_a_format_reads_its_own_times_alone_and_in_a_column(
    written: object, time_format: str, zone: ZoneInfo, expected: datetime
) -> None:
    assert time_us(written, zone, time_format) == us(expected)
    texts = pa.array([written if isinstance(written, str) else None, None], pa.string())
    assert instants_of(texts, [written, None], zone, time_format).to_pylist() == [expected, None]


WRITTEN = st.sampled_from(
    [
        "2025-06-01T12:30:45Z", "2025-06-01 12:30:45", "2025-06-01 12:30:45 UTC", "2025-06-01 12:30:45GMT",
        "noon", None,
        "2025-06-01 12:30:45 +0200", "1748781045", "1748781045123", "2025-10-26 02:30:00", "2025-03-30 02:30:00", "UTC",
        "2025/06/01 12:30", "", "2025-06-01T12:30:45+02:00", "'2025-06-01 12:30:45", "20250601123045",
    ]
)  # fmt: skip


@given(st.lists(WRITTEN, max_size=6), st.sampled_from([None, "%d.%m.%Y %H:%M", "%Y%m%d%H%M%S", "%Y-%m-%d %H:%M:%S"]))
def test_a_column_of_times_is_read_like_each_of_them(written: list[str | None], time_format: str | None) -> None:
    found = instants_of(pa.array(written, pa.string()), written, BERLIN, time_format).cast(pa.int64()).to_pylist()
    assert found == [time_us(each, BERLIN, time_format) for each in written]


def test_a_column_has_each_day_that_exists_and_no_other() -> None:
    days = [
        f"20{year:02}-{month:02}-{day:02}"
        for year in (0, 1, 24, 25, 26, 27, 99)
        for month in range(14)
        for day in range(33)
    ]
    texts = [f"{day} 12:30:45+02:00" for day in days]
    found = instants_of(pa.array(texts, pa.string()), texts, BERLIN).cast(pa.int64()).to_pylist()
    assert found == [time_us(each, BERLIN) for each in texts]


def test_a_local_time_that_happens_twice_is_the_earlier() -> None:
    assert time_us("2025-10-26T02:30:00", BERLIN) == us(datetime(2025, 10, 26, 0, 30, tzinfo=UTC))


def test_a_local_time_that_does_not_exist_shifts_forward() -> None:
    assert time_us("2025-03-30T02:30:00", BERLIN) == us(datetime(2025, 3, 30, 1, 30, tzinfo=UTC))


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_iso_text_is_exact_to_the_microsecond(moment: datetime) -> None:
    assert time_us(moment.isoformat(), BERLIN) == us(moment)


@given(st.integers(0, 10**17))
def test_unix_text_is_exact_to_the_microsecond(microseconds: int) -> None:
    seconds, fraction = divmod(microseconds, 10**6)
    if seconds < 10**11:
        assert time_us(f"{seconds}.{fraction:06}", UTC_ZONE) == microseconds


@given(st.integers(10**14, 4 * 10**15))
def test_json_floats_of_seconds_and_of_milliseconds_are_exact_to_the_microsecond(microseconds: int) -> None:
    assert time_us(float(f"{microseconds // 10**6}.{microseconds % 10**6:06}"), UTC_ZONE) == microseconds
    assert time_us(float(f"{microseconds // 1000}.{microseconds % 1000:03}"), UTC_ZONE) == microseconds


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
    st.sampled_from(["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"]),
)
def test_the_date_is_that_of_the_zone(moment: datetime, zone: str) -> None:
    instants: Any = pa.array([moment], pa.timestamp("us", "UTC"))
    assert dates_of(instants, ZoneInfo(zone)).to_pylist() == [moment.astimezone(ZoneInfo(zone)).date()]
