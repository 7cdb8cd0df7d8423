"""Windows of the platform's record: what they ask, and how they are cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs

from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.envelope import decode_envelope
from pipeline.api.windows import Window, counted_rows

START = datetime(2026, 2, 20, tzinfo=UTC)
LONG = Window("app", START, START + timedelta(days=1))


def test_a_window_asks_for_times_with_an_offset_encoded_once() -> None:
    """Source: vendor page, ISO 8601 with offset."""
    query = Window("a b&c", START.astimezone(timezone(timedelta(hours=8))), START + timedelta(hours=1)).after(7).query

    assert "startTime=2026-02-20T00%3A00%3A00%2B00%3A00&" in query
    assert parse_qs(query) == {
        "appId": ["a b&c"],
        "startTime": ["2026-02-20T00:00:00+00:00"],
        "endTime": ["2026-02-20T01:00:00+00:00"],
        "startIndex": ["7"],
    }


@given(st.integers(2, 100_000), st.integers(0, 999_999))
def test_halves_cover_the_window_and_share_a_whole_second(seconds: int, microseconds: int) -> None:
    """Cutting ends: each half is shorter, and both begin at their first row."""
    window = Window("app", START, START + timedelta(seconds=seconds, microseconds=microseconds), start_index=9)

    first, second = window.halves()

    assert (first.start, first.end, second.end) == (window.start, second.start, window.end)
    assert first.end.microsecond == 0
    assert first.start < first.end < second.end
    assert (first.start_index, second.start_index) == (0, 0)


def test_a_second_can_not_be_cut() -> None:
    """Times are written in whole seconds."""
    assert LONG.can_be_cut
    assert not Window("app", START, START + timedelta(seconds=1)).can_be_cut


def test_counts_are_known_only_where_both_are_given() -> None:
    """A platform that gives one alone does not count its messages."""
    assert counted_rows(decode_envelope(b'{"status":0,"success":"3","fail":2}')) == 5
    assert counted_rows(decode_envelope(b'{"status":0,"success":"3"}')) is None
