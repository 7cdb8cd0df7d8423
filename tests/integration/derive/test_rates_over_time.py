"""Rates that time alone, or another version of the pipeline, outgrows: a run is due for them, once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.notes import note_rates_formula, rates_formula
from pipeline.maintain.due import open_days, what_is_due
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_RATES_HOURLY, DELIVERY_ROLLUPS_HOURLY
from tests.scenarios.stage import read_table
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SENT_AT = NOON + timedelta(minutes=10)
DAY = NOON.date()


@pytest.fixture
def quiet_day(lake: Lake, settings: Callable[..., Settings]) -> Settings:
    """One message, sent ten minutes after noon and delivered a minute later; rates derived before the hour ends."""
    chosen = settings(start_date=DAY - timedelta(days=5))
    store_sent(lake, [Sent("1", SENT_AT)])
    answered = SENT_AT + timedelta(minutes=1)
    store_answers(lake, [(Said("1", "delivered", answered), DAY)])
    derive(lake, chosen, answered)
    return chosen


def derive(lake: Lake, settings: Settings, now: datetime) -> set[object]:
    derive_messages([DAY], lake=lake, settings=settings, now=now)
    return set(derive_rates([], lake=lake, settings=settings, now=now).replaced)


def mature_hours(lake: Lake) -> list[bool]:
    return [bool(row["is_mature"]) for row in read_table(lake, DELIVERY_RATES_HOURLY)]


def test_an_hour_that_ends_on_a_quiet_day_is_due_until_a_run_has_called_it_mature(
    lake: Lake, quiet_day: Settings
) -> None:
    assert mature_hours(lake) == [False]
    assert open_days(lake=lake, settings=quiet_day, now=NOON + timedelta(minutes=59)) == set()
    ended = NOON + timedelta(minutes=61)
    assert what_is_due(lake=lake, settings=quiet_day, now=ended).range == (DAY, DAY)
    assert derive(lake, quiet_day, ended) == {DAY}
    assert mature_hours(lake) == [True]
    assert open_days(lake=lake, settings=quiet_day, now=ended + timedelta(minutes=15)) == set()


def test_a_day_that_ends_is_due_until_a_run_has_called_it_mature(lake: Lake, quiet_day: Settings) -> None:
    derive(lake, quiet_day, NOON + timedelta(minutes=61))
    midnight = NOON + timedelta(hours=12)
    assert open_days(lake=lake, settings=quiet_day, now=midnight - timedelta(minutes=1)) == set()
    assert open_days(lake=lake, settings=quiet_day, now=midnight) == {DAY}
    derive(lake, quiet_day, midnight)
    assert open_days(lake=lake, settings=quiet_day, now=midnight + timedelta(minutes=15)) == set()


def test_days_before_those_that_a_run_covers_anyway_are_named_alone(lake: Lake, quiet_day: Settings) -> None:
    later = NOON + timedelta(days=2)
    assert open_days(lake=lake, settings=quiet_day, now=later, before=DAY) == set()
    assert open_days(lake=lake, settings=quiet_day, now=later, before=DAY + timedelta(days=1)) == {DAY}


def test_rates_that_another_version_made_by_other_queries_are_derived_anew_once(
    lake: Lake, quiet_day: Settings
) -> None:
    before = read_table(lake, DELIVERY_ROLLUPS_HOURLY)
    (file,) = lake.snapshot(DELIVERY_ROLLUPS_HOURLY).files
    (other,) = lake.snapshot(DELIVERY_RATES_HOURLY).files
    lake.commit(lake.snapshot(DELIVERY_ROLLUPS_HOURLY), add=[], remove=[file], transactions={})
    now = SENT_AT + timedelta(minutes=2)
    assert derive(lake, quiet_day, now) == set()  # its inputs have not changed
    note_rates_formula(lake, "of another version")
    assert derive(lake, quiet_day, now) == {DAY}
    assert read_table(lake, DELIVERY_ROLLUPS_HOURLY) == before
    assert lake.snapshot(DELIVERY_RATES_HOURLY).files == (other,)  # the same rows: not written again
    assert derive(lake, quiet_day, now) == set()


def test_a_lake_without_the_note_derives_its_rates_anew(lake: Lake, quiet_day: Settings) -> None:
    (lake.folder / "_marks" / "rates_formula").unlink()
    assert rates_formula(lake) is None
    derive(lake, quiet_day, SENT_AT + timedelta(minutes=2))
    assert rates_formula(lake)
