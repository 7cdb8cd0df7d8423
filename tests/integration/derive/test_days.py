"""Figures of whole days, read from the Delta log or from the roll-ups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pipeline.derive.days import CountedDay, counted_days
from pipeline.lake.lake import Lake
from pipeline.lake.queries import connect
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY
from tests.support.lakes import derive_two_days

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY, NEXT_DAY = date(2026, 3, 8), date(2026, 3, 9)


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


@pytest.fixture
def derived(lake: Lake, chosen: Settings) -> Lake:
    return derive_two_days(lake, chosen, now=NOW, closed=DAY, still_open=NEXT_DAY)


def test_the_delta_log_and_the_rollups_give_the_same_counts_of_a_day(derived: Lake, chosen: Settings) -> None:
    expected = {DAY: CountedDay(6, is_closed=True), NEXT_DAY: CountedDay(6, is_closed=False)}
    assert all(file.maxima for file in derived.snapshot(DELIVERY_ROLLUPS_DAILY).files)
    with (
        derived.scratch() as scratch,
        connect(memory_limit=chosen.memory_limit, scratch=scratch, folders=[derived.folder]) as connection,
    ):
        assert counted_days(connection, derived) == expected
        present = derived.snapshot(DELIVERY_ROLLUPS_DAILY)
        without_counts = []
        for file in present.files:  # as an older version wrote them, without counts in the log
            again = derived.new_file(DELIVERY_ROLLUPS_DAILY, file.sent_date)
            again.write_bytes(file.path.read_bytes())
            without_counts.append(replace(file, path=again, maxima={}))
        derived.commit(present, add=without_counts, remove=present.files)
        assert counted_days(connection, derived) == expected
