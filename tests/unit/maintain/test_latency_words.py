"""A median latency that can't be right names the day, the setting and the offset that would make it plausible."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from pipeline.maintain.audits.delivery_rates import latency_words

DAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("zone", "seconds", "offset"),
    [
        ("UTC", -3587.0, "UTC+01:00"),
        ("UTC", -3602.0, "UTC+01:00"),
        ("UTC", -19_790.0, "UTC+05:30"),
        ("Europe/Berlin", -25_195.0, "UTC+08:00"),
        ("America/New_York", -17_990.0, "UTC+00:00"),
        ("Pacific/Kiritimati", 90_005.0, "UTC-11:00"),
    ],
)
def test_the_offset_is_the_one_with_which_the_median_is_the_shortest_possible(
    zone: str, seconds: float, offset: str
) -> None:
    words = latency_words(DAY, 4000, seconds, ZoneInfo(zone))
    assert words.startswith(f"2026-11-27: the median latency of 4,000 delivered messages is {seconds:,.0f} s")
    assert f"SMS_SENT_LOG_TIMEZONE is {zone}" in words
    assert f"{offset} would make it plausible" in words


@pytest.mark.parametrize("seconds", [-16 * 3600.0, 30 * 86_400.0])
def test_where_no_zone_explains_it_the_words_say_so(seconds: float) -> None:
    assert "no SMS_SENT_LOG_TIMEZONE would make it plausible" in latency_words(DAY, 100, seconds, ZoneInfo("UTC"))
