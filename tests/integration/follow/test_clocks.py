"""A clock that was ahead: what it stored makes nobody wait, and its verdicts are taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.due import Polled, due_parameters
from pipeline.lake.lake import Lake
from pipeline.lake.queries import connect, query, rows_of
from pipeline.maintain.due import open_days
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, MESSAGES
from tests.scenarios.stage import read_table
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = date(2026, 11, 28)
AHEAD = NOW + timedelta(days=30)
SENT_AT = NOW - timedelta(hours=4)


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


def derive(lake: Lake, settings: Settings, now: datetime) -> dict[str, object]:
    """Derive all, and return the one message."""
    derive_messages([DAY], lake=lake, settings=settings, now=now)
    derive_rates([DAY], lake=lake, settings=settings, now=now)
    (row,) = read_table(lake, MESSAGES)
    return row


def due(lake: Lake, settings: Settings, now: datetime) -> bool:
    polled, parameters = Polled.of(lake), due_parameters(settings, now)
    with lake.scratch() as scratch, connect(memory_limit="100MB", scratch=scratch, folders=[lake.folder]) as connection:
        polled.show(connection, [DAY], now=now)
        return any(urgency < 2 for *_, urgency in rows_of(connection, query("follow/sql/due_ids"), parameters))


def say(lake: Lake, status: str, at: datetime) -> None:
    store_answers(lake, [(Said("1", status, at), DAY)])


@pytest.fixture
def poisoned(lake: Lake) -> Lake:
    """A message that a clock 30 days ahead asked for: its only answer lies in the future."""
    store_sent(lake, [Sent("1", SENT_AT)])
    say(lake, "sending", AHEAD)
    return lake


@pytest.mark.parametrize("derived", [True, False])
def test_a_message_whose_answer_lies_ahead_is_due_and_once_asked_again_waits_like_any_other(
    poisoned: Lake, chosen: Settings, *, derived: bool
) -> None:
    if derived:
        derive(poisoned, chosen, AHEAD)
    assert due(poisoned, chosen, NOW)
    say(poisoned, "not_found", NOW)
    if derived:
        row = derive(poisoned, chosen, NOW)
        assert (row["delivery_status"], row["last_polled_at"], row["poll_count"]) == ("not_found", NOW, 2)
    assert not due(poisoned, chosen, NOW + timedelta(hours=1))
    assert due(poisoned, chosen, NOW + timedelta(hours=2, seconds=1))


def test_an_answer_a_little_ahead_counts_as_given_just_now(lake: Lake, chosen: Settings) -> None:
    """A run that began earlier sees what another stored meanwhile."""
    store_sent(lake, [Sent("1", SENT_AT)])
    say(lake, "sending", NOW + timedelta(minutes=59))
    assert not due(lake, chosen, NOW)


def test_who_looks_for_work_finds_the_day_whose_answers_lie_ahead(poisoned: Lake, chosen: Settings) -> None:
    derive(poisoned, chosen, AHEAD)
    assert open_days(lake=poisoned, settings=chosen, now=NOW) == {DAY}


def test_a_verdict_of_silence_by_a_clock_that_was_ahead_is_taken_back(lake: Lake, chosen: Settings) -> None:
    store_sent(lake, [Sent("1", SENT_AT)])
    say(lake, "sending", NOW)
    assert derive(lake, chosen, AHEAD)["delivery_status"] == "unknown"
    soon = NOW + timedelta(minutes=1)
    assert open_days(lake=lake, settings=chosen, now=soon) == {DAY}
    assert derive(lake, chosen, soon)["delivery_status"] == "sending"
    assert not any(row["is_mature"] for row in read_table(lake, DELIVERY_ROLLUPS_DAILY))


@pytest.mark.parametrize("days", [30, -30])
def test_days_mature_when_they_have_ended_whatever_a_wrong_clock_said_before(
    lake: Lake, chosen: Settings, days: int
) -> None:
    store_sent(lake, [Sent("1", SENT_AT)])
    say(lake, "delivered", NOW)
    for now, mature in ((NOW + timedelta(days=days), days > 0), (NOW, False), (NOW + timedelta(days=1), True)):
        derive_messages([], lake=lake, settings=chosen, now=now)
        derive_rates([], lake=lake, settings=chosen, now=now)
        assert {row["is_mature"] for row in read_table(lake, DELIVERY_ROLLUPS_DAILY)} == {mature}


def test_what_was_stored_after_a_clock_went_back_is_derived_on_every_day(lake: Lake, chosen: Settings) -> None:
    """No run covers the day: it is found because its files are new, not because of when they were written."""
    store_sent(lake, [Sent("1", SENT_AT)])
    derive(lake, chosen, NOW)
    for reader in ("messages", "delivery_rates"):  # as a clock that was ahead left them
        mark = lake.folder / "_marks" / reader
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(str(10**15))
    say(lake, "delivered", NOW)
    derive_messages([], lake=lake, settings=chosen, now=NOW)
    derive_rates([], lake=lake, settings=chosen, now=NOW)
    assert [row["delivery_status"] for row in read_table(lake, MESSAGES)] == ["delivered"]
    assert {row["delivered"] for row in read_table(lake, DELIVERY_ROLLUPS_DAILY)} == {1}
