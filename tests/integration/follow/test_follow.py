"""Following on a real lake, against the simulator: whom it asks, what it records, and how it ends."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from pipeline.api.batches import Batch
from pipeline.api.client import FAILURES_IN_A_ROW, Clock, GoodResponse, Ledger
from pipeline.api.envelope import decode_envelope
from pipeline.api.simulator.calls import Call
from pipeline.api.simulator.faults import Faults
from pipeline.api.simulator.rules import fate_of, make_msg_id, report_at
from pipeline.api.simulator.server import Running, utc_now
from pipeline.follow.recorder import Recorder
from pipeline.follow.workers import FollowTally, follow
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.model.accounts import Account, Accounts, load_accounts
from pipeline.model.phone_numbers import Mode, NumberPolicy
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, LAKE_TABLES, REJECTED_RECORDS, SENT_MESSAGES, Table
from tests.support.lakes import Called, Said, store_answers, store_calls

DAY = date(2026, 3, 2)
YESTERDAY = DAY - timedelta(days=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When `clock` begins."""
KEY, SECRET = "bDqJFiq9", "s3cret-of-nobody"
ABNORMAL_ID = "9" * 35
FINAL = ("delivered", "failed", "invalid_id")
Simulate = Callable[..., Running]
Follow = Callable[..., FollowTally]


def ids_sent(sent_at: datetime, count: int, *, first: int = 0) -> list[str]:
    return [make_msg_id(sent_at, first + number) for number in range(count)]


def send(
    lake: Lake, msg_ids: Iterable[str], *, sent_at: datetime = NOON - timedelta(hours=3), app_id: str = "app"
) -> None:
    """Store sent messages, as collecting would."""
    rows = [
        {"app_id": app_id, "msg_id": msg_id, "sent_at": sent_at, "sent_date": sent_at.date(), "file": "log", "line": 1}
        for msg_id in msg_ids
    ]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(SENT_MESSAGES))
    lake.append(SENT_MESSAGES, [lake.write(SENT_MESSAGES, table, sent_at.date())])


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def stored(lake: Lake, table: Table) -> list[dict[str, Any]]:
    """Return all rows of a table of the lake."""
    rows = []
    for file in lake.snapshot(table).files:
        rows += [row | {"sent_date": file.sent_date} for row in pq.ParquetFile(file.path).read().to_pylist()]
    return rows


def statuses(lake: Lake) -> dict[str, str]:
    """Return the status of each id, of which there is one answer."""
    rows = stored(lake, DELIVERY_REPORTS)
    assert len({(row["app_id"], row["msg_id"]) for row in rows}) == len(rows)
    return {row["msg_id"]: row["status"] for row in rows}


def asked_ids(calls: Iterable[Call]) -> list[str]:
    return [msg_id for call in calls for msg_id in call.msg_ids]


@pytest.fixture
def go(lake: Lake, clock: Clock, settings: Callable[..., Settings]) -> Follow:
    """Follow the day at noon, unless told otherwise."""

    def run(
        server: Running,
        *days: date,
        now: datetime = NOON,
        force: bool = False,
        accounts: Accounts | None = None,
        max_requests: int | None = None,
        apps: tuple[str, ...] = (),
        **values: Any,
    ) -> FollowTally:
        chosen = settings(**({"api_base_url": server.base_url, "max_requests_per_second": 0} | values))
        return follow(
            days or [DAY],
            lake=lake,
            accounts=accounts or load_accounts(chosen),
            settings=chosen,
            now=now,
            force=force,
            max_requests=max_requests,
            apps=apps,
            clock=clock,
        )

    return run


# Whom it asks


def test_the_first_pass_asks_for_each_id_once_in_as_few_calls_as_can_be(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    sent = {
        (app_id, day): ids_sent(datetime(day.year, day.month, day.day, 9, tzinfo=UTC), count, first=first)
        for app_id, day, count, first in [
            ("app", DAY, 450, 0),
            ("app", YESTERDAY, 200, 0),
            ("other", DAY, 1, 1_000),
            ("other", YESTERDAY, 201, 1_000),
        ]
    }
    for (app_id, day), ids in sent.items():
        send(lake, ids, sent_at=datetime(day.year, day.month, day.day, 9, tzinfo=UTC), app_id=app_id)
    server = simulator()
    tally = go(server, DAY, YESTERDAY)

    assert len(server.calls) == math.ceil((450 + 200) / 200) + math.ceil((1 + 201) / 200)
    assert sorted(asked_ids(server.calls)) == sorted(msg_id for ids in sent.values() for msg_id in ids)
    assert (tally.requests, tally.batches, tally.retries, tally.failures) == (6, 6, 0, [])
    assert tally.record.answers_by_day == {DAY: 451, YESTERDAY: 401}
    assert Counter((row["app_id"], row["sent_date"]) for row in stored(lake, DELIVERY_REPORTS)) == {
        key: len(ids) for key, ids in sent.items()
    }


def test_what_is_recorded_is_what_the_platform_said(lake: Lake, simulator: Simulate, go: Follow) -> None:
    """Mistake 3: ids that were not returned are recorded, and asked again later."""
    sent_at = NOON - timedelta(seconds=10)
    ids = ids_sent(sent_at, 400)
    send(lake, ids, sent_at=sent_at)
    server = simulator(now=lambda: NOON)
    tally = go(server)

    expected: dict[str, tuple[str, str | None]] = {}
    for msg_id in ids:
        report = report_at(msg_id, NOON)
        words = {"0": "delivered", "1": "failed", "-1": "sending"}
        expected[msg_id] = (words[report.status], report.number) if report else ("not_found", None)
    assert {row["msg_id"]: (row["status"], row["number"]) for row in stored(lake, DELIVERY_REPORTS)} == expected
    assert {"delivered", "sending", "not_found"} <= {status for status, _ in expected.values()}
    assert tally.record.answers == Counter(status for status, _ in expected.values())


def test_a_second_run_asks_only_for_what_is_due(lake: Lake, simulator: Simulate, go: Follow) -> None:
    sent_at = NOON - timedelta(minutes=10)
    send(lake, ids_sent(sent_at, 600), sent_at=sent_at)
    server = simulator()
    go(server)
    open_ids = sorted(msg_id for msg_id, status in statuses(lake).items() if status not in FINAL)
    assert 0 < len(open_ids) < 600

    server.calls.clear()
    go(server, now=NOON + timedelta(minutes=4))
    assert server.calls == []  # answered at an age of ten minutes: due after five more

    go(server, now=NOON + timedelta(minutes=6))
    assert sorted(asked_ids(server.calls)) == open_ids


def test_force_asks_for_all_that_is_not_final_but_no_more(lake: Lake, simulator: Simulate, go: Follow) -> None:
    sent_at = NOON - timedelta(minutes=10)
    send(lake, ids_sent(sent_at, 200), sent_at=sent_at)
    server = simulator()
    go(server)
    open_ids = sorted(msg_id for msg_id, status in statuses(lake).items() if status not in FINAL)

    server.calls.clear()
    go(server, now=NOON + timedelta(seconds=1), force=True)
    assert sorted(asked_ids(server.calls)) == open_ids

    server.calls.clear()
    go(server, now=NOON + timedelta(days=8), force=True)
    assert server.calls == []


def test_a_request_holds_ids_of_several_days_and_is_stored_under_the_earliest(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    for day, count in ((YESTERDAY, 3), (DAY, 9)):
        send(lake, ids_sent(NOON - timedelta(hours=3), count, first=day.day * 100), sent_at=midnight(day))
    tally = go(simulator(), YESTERDAY, DAY)
    (call,) = stored(lake, API_CALLS)
    assert (call["sent_date"], call["days"], call["ids"]) == (YESTERDAY, 2, 12)
    assert tally.record.answers_by_day == {YESTERDAY: 3, DAY: 9}
    assert tally.requests_by_day == {YESTERDAY: 0.25, DAY: 0.75}
    assert {row["call_id"] for row in stored(lake, DELIVERY_REPORTS)} == {call["call_id"]}


def test_a_run_over_one_day_keeps_to_its_day(lake: Lake, simulator: Simulate, go: Follow) -> None:
    for day in (YESTERDAY, DAY):
        send(lake, ids_sent(NOON - timedelta(hours=3), 5, first=day.day * 100), sent_at=midnight(day))
    go(simulator(), DAY)
    assert {row["sent_date"] for row in stored(lake, DELIVERY_REPORTS)} == {DAY}


def test_room_in_a_request_goes_to_the_open_ids_that_are_due_soonest(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    server, asked_at = simulator(), NOON - timedelta(minutes=5)
    waiting = {age: f"26030207000000000{age:02}" for age in (30, 40, 50, 60)}
    for age, msg_id in waiting.items():
        send(lake, [msg_id], sent_at=asked_at - timedelta(minutes=age))
        store_answers(lake, [(Said(msg_id, "sending", asked_at), DAY)])
    assert go(server, batch_size=4).requests == 0  # no request is made for these alone
    new = ids_sent(NOON - timedelta(minutes=1), 2)
    send(lake, new, sent_at=NOON - timedelta(minutes=1))
    go(server, batch_size=4)
    (call,) = server.calls
    assert call.msg_ids == (*new, waiting[30], waiting[40])


def test_an_id_that_was_asked_for_within_a_minute_fills_no_room(lake: Lake, simulator: Simulate, go: Follow) -> None:
    server, just_now = simulator(), NOON - timedelta(seconds=59)
    send(lake, ["1"], sent_at=NOON - timedelta(hours=3))
    store_answers(lake, [(Said("1", "sending", just_now), DAY)])
    send(lake, ["2"])
    go(server)
    assert asked_ids(server.calls) == ["2"]


def test_a_cap_cuts_off_what_is_least_urgent(lake: Lake, simulator: Simulate, go: Follow) -> None:
    """New ids come first, then those that are due again, the longest overdue first, whatever their day."""
    server = simulator()
    overdue = {"1": midnight(YESTERDAY), "2": midnight(DAY), "3": midnight(YESTERDAY) + timedelta(hours=9)}
    for msg_id, sent_at in overdue.items():
        send(lake, [msg_id], sent_at=sent_at)
        store_answers(lake, [(Said(msg_id, "sending", sent_at + timedelta(minutes=5)), sent_at.date())])
    new = ids_sent(NOON - timedelta(hours=1), 2)
    send(lake, new, sent_at=NOON - timedelta(hours=1))
    go(server, YESTERDAY, DAY, batch_size=2, max_requests=2, max_concurrency=1)
    assert [call.msg_ids for call in server.calls] == [tuple(new), ("1", "3")]


def test_a_cap_on_calls_holds_and_the_next_run_asks_for_what_was_left(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    server, ids = simulator(), ids_sent(NOON - timedelta(hours=3), 50)
    send(lake, ids)
    tally = go(server, batch_size=10, max_requests=3)
    assert len(server.calls) == tally.requests == tally.batches == 3
    assert (tally.left, tally.failures) == (20, [])
    assert go(server, batch_size=10).left == 0
    assert sorted(asked_ids(server.calls)) == sorted(ids)


@pytest.mark.parametrize("cap", [1, 2, 4])
def test_repeated_calls_count_for_the_cap_too_and_reaching_it_is_no_failure(
    lake: Lake, simulator: Simulate, go: Follow, cap: int
) -> None:
    server = simulator(faults=Faults.from_specs(["http-500=1"]))
    send(lake, ids_sent(NOON - timedelta(hours=3), 20))
    tally = go(server, batch_size=10, max_requests=cap, max_attempts=9)
    assert len(server.calls) == cap
    assert (tally.left, tally.failures) == (20, [])


def test_a_cap_in_the_midst_of_refused_batches_blames_nobody(lake: Lake, simulator: Simulate, go: Follow) -> None:
    server = simulator()
    send(lake, [ABNORMAL_ID[:-number] for number in range(1, 3)])
    send(lake, [ABNORMAL_ID])
    tally = go(server, max_requests=1)
    assert (tally.left, tally.failures) == (3, [])


def test_only_the_apps_that_are_named_are_asked_for(lake: Lake, simulator: Simulate, go: Follow) -> None:
    server = simulator()
    for app_id in ("one", "two", "three"):
        send(lake, ids_sent(NOON - timedelta(hours=3), 3), app_id=app_id)
    go(server, apps=("one", "three"))
    assert {row["app_id"] for row in stored(lake, DELIVERY_REPORTS)} == {"one", "three"}


def test_days_that_the_platform_has_forgotten_are_not_asked_for_and_said_to_be(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    server = simulator()
    days = [DAY - timedelta(days=days) for days in (91, 90)]
    for day in days:
        send(lake, ids_sent(NOON, 2), sent_at=datetime(day.year, day.month, day.day, 23, tzinfo=UTC))
    tally = go(server, *days)
    assert tally.not_asked == (days[0],)
    assert {row["sent_date"] for row in stored(lake, DELIVERY_REPORTS)} == {days[1]}


def test_a_day_without_messages_costs_nothing(simulator: Simulate, go: Follow) -> None:
    server = simulator()

    assert go(server, DAY, YESTERDAY).requests == 0
    assert server.calls == []


# Ids that the platform refuses


def test_one_bad_id_is_found_by_halving_and_the_others_get_their_answers(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    ids = ids_sent(NOON - timedelta(hours=3), 199)
    send(lake, [*ids[:77], ABNORMAL_ID, *ids[77:]])
    server = simulator()
    tally = go(server)

    found = statuses(lake)
    assert found[ABNORMAL_ID] == "invalid_id"
    assert sorted(found) == sorted([*ids, ABNORMAL_ID])
    assert Counter(found.values())["invalid_id"] == 1
    assert len(server.calls) - 1 <= 2 * math.ceil(math.log2(200))
    assert tally.failures == []
    outcomes = Counter(row["outcome"] for row in stored(lake, API_CALLS))
    assert outcomes["refused"] == 1  # the bad id alone
    assert outcomes["split"] == 8

    server.calls.clear()
    go(server, now=NOON + timedelta(hours=1), force=True)
    assert ABNORMAL_ID not in asked_ids(server.calls)


def test_bad_ids_in_several_batches_are_all_found(lake: Lake, simulator: Simulate, go: Follow) -> None:
    ids = ids_sent(NOON - timedelta(hours=3), 1_190)
    bad = [f"{number}{ABNORMAL_ID}" for number in range(10)]
    send(lake, sorted([*ids, *bad], key=lambda msg_id: msg_id[-5:]))
    server = simulator()
    tally = go(server)

    found = statuses(lake)
    assert sorted(msg_id for msg_id, status in found.items() if status == "invalid_id") == sorted(bad)
    assert len(found) == 1_200
    assert tally.failures == []


@pytest.mark.parametrize(("count", "batch_size"), [(5_000, 50), (1_000, 200), (200, 200), (20, 1)])
def test_if_everything_is_refused_it_is_not_the_ids(
    count: int, batch_size: int, lake: Lake, simulator: Simulate, go: Follow
) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), count))
    server = simulator(apps=frozenset({"another"}))
    tally = go(server, batch_size=batch_size)

    assert stored(lake, DELIVERY_REPORTS) == []
    assert len(tally.failures) == 1
    assert "SMS_APP_ID" in tally.failures[0]
    assert "app" in tally.failures[0]
    assert len(server.calls) <= 8 + 5 * 8  # what was under way at once, and five ways down to a single id
    assert {row["outcome"] for row in stored(lake, API_CALLS)} == {"refused", *(["split"] if batch_size > 1 else [])}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_if_the_few_ids_of_an_app_are_refused_it_is_not_the_ids_either(
    count: int, lake: Lake, simulator: Simulate, go: Follow
) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), count))
    tally = go(simulator(apps=frozenset({"another"})))

    assert stored(lake, DELIVERY_REPORTS) == []
    assert "SMS_APP_ID" in tally.failures[0]


def test_an_app_whose_first_batch_is_all_bad_ids_is_still_followed(lake: Lake, simulator: Simulate, go: Follow) -> None:
    """The first batch is split to its single ids before the app has had an answer; the second proves the app."""
    bad = [f"{number:05d}{ABNORMAL_ID}" for number in range(20)]
    send(lake, bad, sent_at=NOON - timedelta(days=1))
    send(lake, ids_sent(NOON - timedelta(hours=3), 20))
    tally = go(simulator(), YESTERDAY, DAY, batch_size=20, max_concurrency=1)

    assert Counter(statuses(lake).values())["invalid_id"] == 20
    assert len(statuses(lake)) == 40
    assert tally.failures == []


@pytest.mark.parametrize(("days_ago", "is_known"), [(29, True), (31, False)])
def test_an_app_that_was_answered_lately_is_not_wrong_if_its_only_due_id_is_a_bad_one(
    days_ago: int, is_known: bool, lake: Lake, simulator: Simulate, go: Follow
) -> None:
    store_calls(lake, [(Called(NOON - timedelta(days=days_ago)), DAY)])
    send(lake, [ABNORMAL_ID])
    tally = go(simulator())

    assert statuses(lake) == ({ABNORMAL_ID: "invalid_id"} if is_known else {})
    assert [("SMS_APP_ID" in line) for line in tally.failures] == [True] * (not is_known)


# Apps that the platform refuses


def test_a_wrong_secret_stops_its_app_alone(lake: Lake, simulator: Simulate, go: Follow) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 2_000), app_id="wrong")
    send(lake, ids_sent(NOON - timedelta(hours=3), 400, first=5_000), app_id="right")
    server = simulator()
    accounts = Accounts(
        Account(server.base_url, SecretStr(KEY), SecretStr(SECRET)),
        {"wrong": Account(server.base_url, SecretStr(KEY), SecretStr("not-" + SECRET))},
    )
    tally = go(server, accounts=accounts)

    assert {row["app_id"] for row in stored(lake, DELIVERY_REPORTS)} == {"right"}
    assert len(statuses(lake)) == 400
    assert len(tally.failures) == 1
    assert "app wrong was stopped" in tally.failures[0]
    assert "SMS_API_SECRET" in tally.failures[0]
    assert SECRET not in tally.failures[0]
    assert sum(call.app_id == "wrong" for call in server.calls) <= 8  # what was under way at once


def test_an_app_without_credentials_is_named_and_costs_nothing(lake: Lake, simulator: Simulate, go: Follow) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 10), app_id="nobody's")
    server = simulator()
    tally = go(server, accounts=Accounts(None))

    assert server.calls == []
    assert "nobody's" in tally.failures[0]
    assert "SMS_ACCOUNTS" in tally.failures[0]


def test_an_app_without_a_price_does_not_stop_the_others(lake: Lake, simulator: Simulate, go: Follow) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 10), app_id="unpriced")
    send(lake, ids_sent(NOON - timedelta(hours=3), 10, first=50), app_id="priced")
    tally = go(simulator(unpriced_apps=frozenset({"unpriced"})))

    assert {row["app_id"] for row in stored(lake, DELIVERY_REPORTS)} == {"priced"}
    assert "pricing" in tally.failures[0]


def test_a_base_url_that_is_wrong_stops_its_apps_and_not_those_of_another(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 4_000), app_id="lost")
    send(lake, ids_sent(NOON - timedelta(hours=3), 10, first=9_000), app_id="found")
    wrong = simulator(faults=Faults(script=lambda _, __: "http-404"))
    right = simulator()
    accounts = Accounts(
        Account(right.base_url, SecretStr(KEY), SecretStr(SECRET)),
        {"lost": Account(wrong.base_url, SecretStr(KEY), SecretStr(SECRET))},
    )
    tally = go(right, accounts=accounts)

    assert {row["app_id"] for row in stored(lake, DELIVERY_REPORTS)} == {"found"}
    assert len(wrong.calls) <= 8
    assert len(tally.failures) == 1
    assert wrong.base_url in tally.failures[0]
    assert "SMS_API_BASE_URL" in tally.failures[0]


# Answers that don't come


def test_a_batch_given_up_is_a_failure_and_what_arrived_is_committed(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    ids = ids_sent(NOON - timedelta(hours=3), 100)
    send(lake, ids)
    server = simulator(faults=Faults(script=lambda _, call: "-18" if ids[42] in call.msg_ids else None))
    tally = go(server, batch_size=10)

    assert len(statuses(lake)) == 90
    assert ids[42] not in statuses(lake)
    assert len(tally.failures) == 1
    assert "1 batches were given up" in tally.failures[0]
    assert "-18" in tally.failures[0]
    assert {(row["outcome"], row["attempts"]) for row in stored(lake, API_CALLS)} == {("ok", 1), ("gave_up", 5)}

    server.calls.clear()
    go(server, now=NOON + timedelta(seconds=30), batch_size=10)
    assert ids[42] in asked_ids(server.calls)
    assert len(set(asked_ids(server.calls))) == 10


def test_a_platform_that_is_down_costs_a_bounded_number_of_calls(lake: Lake, simulator: Simulate, go: Follow) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 5_000))
    server = simulator(faults=Faults(script=lambda _, __: "http-503"))
    tally = go(server, batch_size=10)

    assert stored(lake, DELIVERY_REPORTS) == []
    assert len(server.calls) <= FAILURES_IN_A_ROW + 8
    stopped = [failure for failure in tally.failures if "asking was stopped" in failure]
    assert len(stopped) == 1
    assert "seems to be down" in stopped[0]
    assert server.base_url in stopped[0]


def test_a_platform_that_goes_down_in_the_middle_leaves_what_arrived(
    lake: Lake, simulator: Simulate, go: Follow
) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 1_000))
    server = simulator(faults=Faults(down=(21, 10_000)))
    tally = go(server, batch_size=10)

    assert len(statuses(lake)) == 200
    assert tally.failures


# What is recorded of the calls


def test_api_calls_has_one_row_a_batch_with_its_attempts(lake: Lake, simulator: Simulate, go: Follow) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 60))
    met: Counter[str] = Counter()

    def twice(_: int, call: Call) -> str | None:
        met[call.joined_ids] += 1
        return "-18" if met[call.joined_ids] < 3 else None

    server = simulator(faults=Faults(script=twice))
    tally = go(server, batch_size=20)
    calls = stored(lake, API_CALLS)

    assert [(row["ids"], row["attempts"], row["outcome"]) for row in calls] == [(20, 3, "ok")] * 3
    assert {(row["http_status"], row["status"], row["app_id"], row["error"]) for row in calls} == {
        (200, "0", "app", None)
    }
    assert all(row["elapsed_ms"] >= 1_500 for row in calls)
    assert all(row["success"] + row["fail"] + row["sending"] + row["not_found"] == 20 for row in calls)
    assert {row["call_id"] for row in calls} == {row["call_id"] for row in stored(lake, DELIVERY_REPORTS)}
    assert all(NOON <= row["requested_at"] < NOON + timedelta(minutes=5) for row in calls)
    assert (tally.requests, tally.batches, tally.retries) == (9, 3, 6)


@pytest.mark.parametrize("fault", ["stranger", "contradiction", "bad-counts"])
def test_answers_that_dont_add_up_are_mismatches_and_no_failure(
    fault: str, lake: Lake, simulator: Simulate, go: Follow
) -> None:
    ids = ids_sent(NOON - timedelta(hours=3), 30)
    send(lake, ids)
    tally = go(simulator(faults=Faults(script=lambda _, __: fault)))
    (call,) = stored(lake, API_CALLS)

    assert call["outcome"] == "mismatch"
    assert call["error"]
    assert sorted(statuses(lake)) == sorted(ids)
    assert (tally.record.mismatches, tally.failures) == (1, [])


@pytest.mark.parametrize(("odd", "fails"), [(1, False), (2, False), (3, True), (40, True)])
def test_a_run_whose_answers_disagree_too_often_with_what_was_asked_fails_and_keeps_them(
    lake: Lake, simulator: Simulate, go: Follow, odd: int, *, fails: bool
) -> None:
    """Two of 40 batches are 5 %."""
    ids = ids_sent(NOON - timedelta(hours=3), 120)
    send(lake, ids)
    tally = go(simulator(faults=Faults(script=lambda n, _: "stranger" if n <= odd else None)), batch_size=3)
    assert (tally.record.mismatches, tally.record.calls_answered) == (odd, 40)
    assert sorted(statuses(lake)) == sorted(ids)
    assert [line.split(" got ")[0] for line in tally.failures] == ([f"{odd} of 40 batches"] if fails else [])
    assert all("rows for ids that were not asked" in line for line in tally.failures)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("odd-status", "undocumented_status"), ("bad-time", "bad_receive_time"), ("no-offset", "bad_receive_time")],
)
def test_odd_rows_are_set_aside_and_reported_all_the_same(
    fault: str, reason: str, lake: Lake, simulator: Simulate, go: Follow
) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 30))
    tally = go(simulator(faults=Faults(script=lambda _, __: fault)))
    (reject,) = stored(lake, REJECTED_RECORDS)
    (call,) = stored(lake, API_CALLS)

    assert reject["reason"].startswith(f"{reason}:")
    assert (reject["source"], reject["file"], reject["item"]) == ("api", call["call_id"], 0)
    assert len(statuses(lake)) == 30
    assert (tally.record.rejected, tally.failures) == (1, [])


def test_fields_that_nobody_documented_are_kept(lake: Lake, simulator: Simulate, go: Follow) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 30))
    go(simulator(price_details=True))
    kept = [row["extra"] for row in stored(lake, DELIVERY_REPORTS) if row["status"] != "not_found"]

    assert kept
    assert all('"currency":"USD"' in extra for extra in kept)


def test_progress_is_told_after_each_commit(
    lake: Lake, clock: Clock, simulator: Simulate, settings: Callable[..., Settings]
) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 300))
    server = simulator()
    chosen = settings(api_base_url=server.base_url)
    told: list[tuple[int, int]] = []
    follow(
        [DAY],
        lake=lake,
        accounts=load_accounts(chosen),
        settings=chosen,
        now=NOON,
        clock=clock,
        on_progress=lambda answered, due: told.append((answered, due)),
    )

    assert told[-1] == (300, 300)


# Phone numbers


def bytes_below(folder: Path) -> bytes:
    """Return all that can be read below a folder: files as they are, and Parquet files unpacked."""
    found = b""
    for path in folder.rglob("*"):
        if path.is_file():
            found += path.read_bytes()
        if path.suffix == ".parquet":
            found += repr(pq.ParquetFile(path).read().to_pylist()).encode()
    return found


@pytest.mark.parametrize("numbers", ["mask", "hash", "drop"])
@pytest.mark.parametrize("fault", [None, "odd-status", "bad-time", "stranger", "numbers", "extra-fields"])
def test_no_number_is_found_below_the_lake_unless_numbers_are_kept(
    numbers: str, fault: str | None, lake: Lake, simulator: Simulate, go: Follow
) -> None:
    ids = ids_sent(NOON - timedelta(hours=3), 60)
    send(lake, ids)
    faults = Faults(script=lambda _, __: fault)
    go(simulator(faults=faults), numbers=numbers, numbers_key="k")

    found = bytes_below(lake.folder)
    for msg_id in ids:
        assert fate_of(msg_id).number.encode() not in found
    rows = [row for row in stored(lake, DELIVERY_REPORTS) if row["status"] != "not_found"]
    assert all((row["number"] is None) is (numbers == "drop") for row in rows)
    assert {row["country"] for row in rows} == {fate_of(row["msg_id"]).country for row in rows}


def test_numbers_that_are_kept_are_there(lake: Lake, simulator: Simulate, go: Follow) -> None:
    """The other side of the test above: it would be green, too, if nothing were recorded."""
    send(lake, ids_sent(NOON - timedelta(hours=3), 60))
    go(simulator())
    rows = [row for row in stored(lake, DELIVERY_REPORTS) if row["status"] != "not_found"]

    assert rows
    assert {row["msg_id"]: row["number"] for row in rows} == {
        row["msg_id"]: fate_of(row["msg_id"]).number for row in rows
    }


PHONE = "91856321412"
ECHOING = {
    "status": "0",
    "array": [
        {
            "msgId": "2108021054011000095",
            "number": f"+{PHONE}",
            "receiveTime": f"at {PHONE}",
            "status": PHONE,
            "to": f"tel:{PHONE}",
            PHONE: "as a name",
            "inside": [{"deeper": int(PHONE)}, float(PHONE)],
            "price": "0.05",
            "text": "long " * 200,
        },
        {"msgId": f"x{PHONE}", "number": [PHONE], "receiveTime": None, "status": "0"},
    ],
}
"""An answer that has a phone number wherever one can be."""


@pytest.mark.parametrize("mode", ["mask", "hash", "drop"])
def test_a_number_in_an_odd_place_is_hidden_and_what_is_kept_stays_json(mode: Mode, lake: Lake) -> None:
    recorder = Recorder(lake, NumberPolicy(mode, key=b"k"), lambda _: None)
    batch, envelope = Batch("app", [("2108021054011000095", DAY)]), decode_envelope(json.dumps(ECHOING).encode())
    recorder.answer(batch, "call", Ledger(), GoodResponse(envelope, 200, NOON))
    recorder.close()
    (report,) = stored(lake, DELIVERY_REPORTS)
    rejects = stored(lake, REJECTED_RECORDS)

    assert PHONE.encode() not in bytes_below(lake.folder)
    assert len(rejects) == 2
    assert json.loads(rejects[0]["raw"])["msgId"] == "2108021054011000095"
    assert all(isinstance(json.loads(reject["raw"]), dict) for reject in rejects)
    extra = json.loads(report["extra"])
    assert (extra["price"], extra["to"]) == ("0.05", "tel:***********")
    assert len(report["extra"]) <= 500


def test_fields_of_an_answer_that_are_too_long_are_left_out_and_the_others_kept(lake: Lake) -> None:
    """`extra` is read as JSON in SQL, where text cut in the middle ends the query."""
    recorder = Recorder(lake, NumberPolicy(), lambda _: None)
    batch, envelope = Batch("app", [("2108021054011000095", DAY)]), decode_envelope(json.dumps(ECHOING).encode())
    recorder.answer(batch, "call", Ledger(), GoodResponse(envelope, 200, NOON))
    recorder.close()
    (report,) = stored(lake, DELIVERY_REPORTS)
    extra = json.loads(report["extra"])

    assert extra.keys() == {"to", PHONE, "inside", "price"}
    assert extra["inside"] == [{"deeper": int(PHONE)}, float(PHONE)]


# Ends


INTERRUPTIBLE = """
import sys
from datetime import date, datetime
from pathlib import Path
from pipeline.model.accounts import load_accounts
from pipeline.model.errors import Interrupted
from pipeline.follow.workers import follow
from pipeline.lake.lake import Lake
from pipeline.model.settings import given_settings

folder, base_url, now = Path(sys.argv[1]), sys.argv[2], datetime.fromisoformat(sys.argv[3])
settings = given_settings(
    folder, api_base_url=base_url, api_key="bDqJFiq9", api_secret="s3cret-of-nobody",
    batch_size=1, max_requests_per_second=0, max_concurrency=4,
)
lake = Lake.open(folder / "lake", mode=0o640, recorded={})
try:
    follow([now.date()], lake=lake, accounts=load_accounts(settings), settings=settings, now=now)
except Interrupted as error:
    sys.exit(f"interrupted: {error}")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_ends_the_run_soon_with_what_had_arrived_committed(
    number: signal.Signals, lake: Lake, tmp_path: Path, simulator: Simulate, settings: Callable[..., Settings]
) -> None:
    now = datetime.now(UTC)
    sent_at = now - timedelta(minutes=1) if now.time().hour or now.time().minute > 1 else now
    ids = ids_sent(sent_at, 1_000)
    send(lake, ids, sent_at=sent_at)
    server = simulator(now=utc_now, latency_ms=20)
    command = [sys.executable, "-c", INTERRUPTIBLE, str(tmp_path), server.base_url, sent_at.isoformat()]

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while len(server.calls) < 120 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)

    assert process.returncode == 1, told
    assert "interrupted: stopped by a signal" in told
    committed = set(statuses(lake))
    answered = set(asked_ids(server.calls))
    assert committed <= answered
    assert len(answered - committed) <= 4  # what was under way when the signal came
    assert 100 < len(committed) < 500  # soon: most ids were left

    server.calls.clear()
    chosen = settings(api_base_url=server.base_url, max_requests_per_second=0)
    follow([sent_at.date()], lake=lake, accounts=load_accounts(chosen), settings=chosen, now=sent_at)
    assert sorted(asked_ids(server.calls)) == sorted(set(ids) - committed)


def test_a_run_leaves_nothing_behind_but_the_tables(lake: Lake, simulator: Simulate, go: Follow) -> None:
    send(lake, ids_sent(NOON - timedelta(hours=3), 10))
    go(simulator())

    tables = {table.name for table in LAKE_TABLES}
    others = {path.name for path in lake.folder.iterdir()} - tables
    assert others <= {"settings.json", "_locks", "_scratch", "_slices", "_versions"}
    assert [path for name in ("_scratch", "_slices") for path in (lake.folder / name).iterdir()] == []
