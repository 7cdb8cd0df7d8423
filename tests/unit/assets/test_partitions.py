"""The days of the assets are those that Dagster itself would list."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from assets.partitions import SentDates


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Africa/Cairo"])
@pytest.mark.parametrize("start", ["2009-12-31", "2026-03-29", "2999-01-01"])
def test_days_are_listed_as_dagster_lists_them(start: str, zone: str) -> None:
    days = SentDates(start_date=start, timezone=zone, end_offset=1)
    by_cron = dg.DailyPartitionsDefinition(start_date=start, timezone=zone, end_offset=1)
    assert days.get_partition_keys() == by_cron.get_partition_keys()
    for moment in (datetime(2011, 12, 31, 9, 59, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC)):
        assert days.get_partition_keys(moment) == by_cron.get_partition_keys(moment)
    assert days == by_cron
