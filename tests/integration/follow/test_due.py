"""Due ids by `messages`, and by sent messages and answers where `messages` is behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Self

import httpx
import pytest

from pipeline.follow.due import Polled, due_parameters
from pipeline.follow.workers import follow
from pipeline.lake.lake import Lake
from pipeline.lake.queries import connect, query, rows_of
from pipeline.model.accounts import load_accounts
from pipeline.model.settings import Settings
from pipeline.model.tables import MESSAGES
from tests.support.lakes import Said, Sent, derive_two_days, store_answers, store_sent

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY, NEXT_DAY = date(2026, 3, 8), date(2026, 3, 9)


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


@pytest.fixture
def derived(lake: Lake, chosen: Settings) -> Lake:
    return derive_two_days(lake, chosen, now=NOW, closed=DAY, still_open=NEXT_DAY)


def due(lake: Lake, settings: Settings, day: date, now: datetime) -> list[str]:
    polled, parameters = Polled.of(lake), due_parameters(settings, now)
    with lake.scratch() as scratch, connect(memory_limit="100MB", scratch=scratch, folders=[lake.folder]) as connection:
        polled.show(connection, [day], now=now)
        return sorted(
            msg_id
            for _, msg_id, _, urgency in rows_of(connection, query("follow/sql/due_ids"), parameters)
            if urgency < 2
        )


@pytest.mark.parametrize("hours", [0, 1, 20, 60, 300])
@pytest.mark.parametrize("day", [DAY, NEXT_DAY])
def test_messages_say_who_is_due_as_logs_and_answers_do(derived: Lake, chosen: Settings, day: date, hours: int) -> None:
    now = NOW + timedelta(hours=hours)
    by_messages = due(derived, chosen, day, now)
    present = derived.snapshot(MESSAGES)
    derived.commit(present, transactions={f"messages/{day}": 0})
    assert due(derived, chosen, day, now) == by_messages


def test_messages_are_not_asked_who_is_due_where_they_are_behind(derived: Lake, chosen: Settings) -> None:
    early = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
    assert due(derived, chosen, NEXT_DAY, NOW) == ["100", "101", "102", "103", "104"]
    store_sent(derived, [Sent("110", early)])
    assert "110" in due(derived, chosen, NEXT_DAY, NOW), "stored and not derived"
    store_answers(derived, [(Said("100", "delivered", NOW), NEXT_DAY)])
    assert "100" not in due(derived, chosen, NEXT_DAY, NOW), "answered and not derived"


def test_messages_that_lost_rows_are_not_asked_who_is_due(derived: Lake, chosen: Settings) -> None:
    before = due(derived, chosen, NEXT_DAY, NOW)
    present = derived.snapshot(MESSAGES)
    derived.commit(present, remove=present.of([NEXT_DAY]))
    assert due(derived, chosen, NEXT_DAY, NOW) == before != []


class NotToBeOpened(httpx.AsyncBaseTransport):
    async def __aenter__(self) -> Self:
        raise AssertionError


def test_where_nothing_is_due_no_connection_is_made_ready(derived: Lake, chosen: Settings) -> None:
    soon = datetime(2026, 3, 9, 13, tzinfo=UTC)
    asked_just_now = [(Said(str(100 + number), "sending", soon), NEXT_DAY) for number in range(5)]
    store_answers(derived, asked_just_now)
    tally = follow(
        [DAY, NEXT_DAY],
        lake=derived,
        accounts=load_accounts(chosen),
        settings=chosen,
        now=soon,
        transport=NotToBeOpened(),
    )
    assert (tally.requests, tally.batches, tally.failures) == (0, 0, [])
