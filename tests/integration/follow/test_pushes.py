"""A push is a hint: its message is due at once, others wait longer where pushes are complete, and getReport decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.api.push_journal import HourFile
from pipeline.api.pushes import PushRules, line_of
from pipeline.collect.pushed_reports import take_pushed
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.due import Polled, due_parameters
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of
from pipeline.maintain.due import open_days, what_is_due
from pipeline.model.phone_numbers import NumberPolicy
from pipeline.model.settings import Settings
from pipeline.model.tables import MESSAGES
from tests.scenarios.stage import read_table
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TODAY, MINUTE = NOW.date(), timedelta(minutes=1)


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake, tmp_path: Path) -> Settings:
    return settings(lake=lake.folder, pushed_reports=tmp_path / "pushed", start_date=TODAY - timedelta(days=30))


def push(chosen: Settings, *msg_ids: str, at: datetime, app: str = "app", status: int = 0) -> None:
    """Let the receiver take a report for each id."""
    assert chosen.pushed_reports
    rules = PushRules(NumberPolicy(), None, at)
    file = HourFile(chosen.pushed_reports, mode=0o600, now=lambda: at)
    file.append(b"".join(line_of({"appId": app, "msgid": i, "status": status}, rules)[0] for i in msg_ids))
    file.close()


def due(lake: Lake, chosen: Settings, now: datetime = NOW) -> dict[str, int]:
    """Return the ids that are due at a moment, and how urgent each is."""
    take_pushed(lake=lake, settings=chosen, now=now)
    with database(lake, chosen) as connection:
        polled = Polled.of(lake)
        polled.show(connection, polled.sent.days(), now=now)
        found = rows_of(connection, query("follow/sql/due_ids"), due_parameters(chosen, now))
    return {msg_id: urgency for _, msg_id, _, urgency in found if urgency < 2}


def store_complete_days(lake: Lake, chosen: Settings, *, app: str = "app", pushed: float = 1, until: datetime) -> None:
    """Store 600 messages of the last two days that were final at once, and the reports of a share of them."""
    sent = [Sent(f"{app[-1] == 'b':d}{n}", until - n * timedelta(minutes=5), app_id=app) for n in range(600)]
    store_sent(lake, sent)
    store_answers(lake, [(Said(m.msg_id, "delivered", m.sent_at, app_id=app), m.sent_at.date()) for m in sent])
    push(chosen, *(m.msg_id for m in sent[: int(600 * pushed)]), at=until, app=app)


@pytest.mark.parametrize("is_derived", [False, True])
def test_a_push_makes_its_message_due_at_once_and_first(lake: Lake, chosen: Settings, is_derived: bool) -> None:
    sent_at = NOW - timedelta(hours=4)
    store_sent(lake, [Sent("1", sent_at), Sent("2", sent_at), Sent("3", sent_at)])
    store_answers(lake, [(Said(n, "sending", NOW - 5 * MINUTE), TODAY) for n in ("1", "2")])
    store_answers(lake, [(Said("3", "failed", NOW - 5 * MINUTE), TODAY)])
    if is_derived:
        derive_messages([], lake=lake, settings=chosen, now=NOW)
        derive_rates([], lake=lake, settings=chosen, now=NOW)
    assert due(lake, chosen) == {}
    push(chosen, "1", "3", at=NOW - MINUTE)
    assert due(lake, chosen) == {"1": 0}, "a final one is asked no more, whatever is pushed"
    if is_derived:
        assert open_days(lake=lake, settings=chosen, now=NOW) == {TODAY}
    store_answers(lake, [(Said("1", "sending", NOW), TODAY)])
    assert due(lake, chosen, NOW + 5 * MINUTE) == {}, "getReport was asked since, and decides"


def test_a_forged_push_decides_nothing(lake: Lake, chosen: Settings) -> None:
    store_sent(lake, [Sent("1", NOW - timedelta(hours=1)), Sent("2", NOW - timedelta(hours=1))])
    store_answers(lake, [(Said("1", "failed", NOW), TODAY), (Said("2", "sending", NOW), TODAY)])
    push(chosen, "1", "2", "404", at=NOW)
    take_pushed(lake=lake, settings=chosen, now=NOW)
    derive_messages([], lake=lake, settings=chosen, now=NOW)
    states = {row["msg_id"]: row["delivery_status"] for row in read_table(lake, MESSAGES)}
    assert states == {"1": "failed", "2": "sending"}


def test_where_pushes_are_complete_a_message_without_one_waits_and_not_for_long(lake: Lake, chosen: Settings) -> None:
    store_complete_days(lake, chosen, until=NOW)
    store_sent(lake, [Sent("901", NOW - 10 * MINUTE), Sent("902", NOW - 30 * MINUTE)])
    push(chosen, "902", at=NOW)
    assert due(lake, chosen) == {"902": 0}
    assert set(due(lake, chosen, NOW + 50 * MINUTE)) == {"901", "902"}


def test_where_no_pushes_come_a_message_is_due_at_once(lake: Lake, chosen: Settings) -> None:
    """Another app's pushes say nothing of it, nor do few, nor half of them."""
    store_complete_days(lake, chosen, until=NOW)
    store_complete_days(lake, chosen, app="app-b", pushed=0.4, until=NOW)
    store_sent(lake, [Sent("903", NOW - 10 * MINUTE, app_id="app-b"), Sent("904", NOW - 10 * MINUTE, app_id="new")])
    assert set(due(lake, chosen)) == {"903", "904"}


def test_a_receiver_that_stands_still_is_noticed_within_hours(lake: Lake, chosen: Settings) -> None:
    """Two days were complete; of the last three hours nothing was pushed."""
    store_complete_days(lake, chosen, until=NOW - timedelta(hours=3))
    quiet = [Sent(f"8{n}", NOW - n * MINUTE) for n in range(1, 170)]
    store_sent(lake, quiet)
    assert set(due(lake, chosen)) == {message.msg_id for message in quiet}


def test_reports_that_no_run_has_read_are_work_for_one(lake: Lake, chosen: Settings) -> None:
    assert what_is_due(lake=lake, settings=chosen, now=NOW).range is None
    push(chosen, "1", at=NOW)
    found = what_is_due(lake=lake, settings=chosen, now=NOW)
    assert found.range == (TODAY - timedelta(days=2), TODAY)
    assert found.reason == "reports that the platform pushed"
    take_pushed(lake=lake, settings=chosen, now=NOW)
    assert what_is_due(lake=lake, settings=chosen, now=NOW).range is None
