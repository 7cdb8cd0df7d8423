"""A range of days is cut into parts that cover each day once."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from assets.backfill import parts_of


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 400), st.integers(1, 50))
def test_parts_cover_each_day_once_in_order_and_hold_at_most_so_many(first: date, more: int, days_per_run: int) -> None:
    last = first + timedelta(days=more)
    parts = parts_of(first, last, days_per_run=days_per_run)
    covered = [start + timedelta(days=step) for start, end in parts for step in range((end - start).days + 1)]
    assert covered == [first + timedelta(days=step) for step in range(more + 1)]
    assert all((end - start).days < days_per_run for start, end in parts)
    assert len(parts) == -(-(more + 1) // days_per_run)
