"""Bins and spans: by mature days, none lost, and every span made of whole bins."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.publish.page.timeline import SINGLE_DAYS, SPANS, timeline

LAST = date(2026, 11, 29)


def days(flags: list[bool]) -> list[tuple[date, bool]]:
    return [(LAST - timedelta(days=number), is_mature) for number, is_mature in enumerate(flags)]


@given(st.lists(st.booleans(), max_size=450))
def test_each_day_is_in_one_bin_and_open_days_are_behind_mature_ones(flags: list[bool]) -> None:
    line = timeline(days(flags))
    assert set(line.bin_of) == {day for day, _ in days(flags)}
    for day, is_mature in days(flags):
        number = line.bin_of[day]
        assert line.bins[number].first <= day <= line.bins[number].last
        assert (number < line.mature) == is_mature
        assert line.bins[number].is_open != is_mature


@given(st.integers(0, 450))
def test_a_span_holds_its_mature_days_and_the_one_before_as_many(mature: int) -> None:
    line = timeline(days([False] * 3 + [True] * mature))
    ranks = [day for day, is_mature in days([False] * 3 + [True] * mature) if is_mature]
    assert [span.days for span in line.spans] == [*(n for n in SPANS if n < mature), mature]
    for span in line.spans:
        if span.days:
            inside = {day for day in ranks if line.bin_of[day] < span.end}
            assert inside == set(ranks[: span.days])
        if span.before_end is not None:
            before = {day for day in ranks if span.end <= line.bin_of[day] < span.before_end}
            assert before == set(ranks[span.days : 2 * span.days])
        assert span.is_all or (span.before_end is not None) == (mature >= 2 * span.days)


@pytest.mark.parametrize(("mature", "opens"), [(0, 0), (5, 5), (13, 13), (14, 7), (39, 7), (56, 28), (400, 28)])
def test_the_page_opens_with_the_longest_span_that_can_be_compared(mature: int, opens: int) -> None:
    line = timeline(days([True] * mature))
    assert line.spans[line.first_span].days == opens


def test_a_year_has_few_bins_and_recent_days_are_single() -> None:
    line = timeline(days([True] * 400))
    assert len(line.bins) < 170
    assert all(one.first == one.last for one in line.bins[:SINGLE_DAYS])


def test_without_a_complete_day_the_span_is_of_the_open_ones() -> None:
    line = timeline(days([False] * 3))
    (span,) = line.spans
    assert (span.days, span.start, span.end, span.is_all) == (0, 0, 3, True)
