"""Reading the platform's own record into a real lake, against the simulator: windows, pages, faults, kills."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from pipeline.api.client import Clock
from pipeline.api.simulator.faults import Faults
from pipeline.api.simulator.rules import DELIVERED, FAILED, fate_of, make_msg_id
from pipeline.api.simulator.server import Running
from pipeline.follow.reconcile import ReconcileTally, reconcile
from pipeline.follow.record_days import unread_days
from pipeline.lake.lake import Lake
from pipeline.lake.notes import record_reading_since
from pipeline.maintain.forget import forget
from pipeline.model.accounts import Account, Accounts, load_accounts
from pipeline.model.settings import Settings
from pipeline.model.tables import PLATFORM_RECORD, RECORD_READS, REJECTED_RECORDS, Table
from tests.support.lakes import Sent, store_sent

pytestmark = pytest.mark.slow

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When `clock` begins."""
DAY = date(2026, 2, 20)
EIGHT = datetime(2026, 2, 20, 8, tzinfo=UTC)
Simulate = Callable[..., Running]
Reconcile = Callable[..., ReconcileTally]


def ids_of(sent_at: datetime, count: int, *, first: int = 0) -> list[str]:
    """Return ids that have become final, sent a second apart."""
    numbers = range(first, first + count * 2)
    ids = (make_msg_id(sent_at + timedelta(seconds=number), number) for number in numbers)
    return [msg_id for msg_id in ids if fate_of(msg_id).final_at][:count]


def stored(lake: Lake, table: Table) -> list[dict[str, Any]]:
    return [
        row | {"sent_date": file.sent_date}
        for file in lake.snapshot(table).files
        for row in pq.ParquetFile(file.path).read().to_pylist()
    ]


def recorded_ids(lake: Lake) -> list[str]:
    return sorted(row["msg_id"] for row in stored(lake, PLATFORM_RECORD))


@pytest.fixture
def go(lake: Lake, clock: Clock, settings: Callable[..., Settings]) -> Reconcile:
    """Read the record of the day at noon, unless told otherwise."""

    def run(server: Running, *days: date, accounts: Accounts | None = None, **more: Any) -> ReconcileTally:
        values = {name: more.pop(name) for name in list(more) if name in Settings.model_fields}
        chosen = settings(
            **{"api_base_url": server.base_url, "max_requests_per_second": 0, "app_id": "app", "max_attempts": 2}
            | values
        )
        return reconcile(
            days or [DAY],
            lake=lake,
            accounts=accounts or load_accounts(chosen),
            settings=chosen,
            clock=clock,
            **{"now": clock.now()} | more,
        )

    return run


# What is stored


def test_each_message_of_the_record_is_stored_once_with_its_state_and_time(
    lake: Lake, simulator: Simulate, go: Reconcile
) -> None:
    """A day that was read is noted with its span and the number of its messages."""
    sent = ids_of(EIGHT, 60)

    tally = go(simulator(sent={"app": sent}))

    rows = {row["msg_id"]: row for row in stored(lake, PLATFORM_RECORD)}
    assert sorted(rows) == sent
    for msg_id, row in rows.items():
        fate = fate_of(msg_id)
        assert row["status"] == {DELIVERED: "success", FAILED: "failed"}[fate.status]
        assert (row["receive_time"], row["number"], row["country"]) == (fate.final_at, fate.number, fate.country)
        assert (row["app_id"], row["sent_date"]) == ("app", DAY)
    (read,) = stored(lake, RECORD_READS)
    assert (read["recorded"], read["missing"]) == (60, 0)
    assert read["ends_at"] - read["starts_at"] == timedelta(days=1)
    assert (tally.read, tally.rows_by_day[DAY], tally.failures) == (1, 60, [])


def test_a_full_window_is_cut_until_its_parts_are_not_full(lake: Lake, simulator: Simulate, go: Reconcile) -> None:
    """However many rows a day has, and wherever they lie in it, none is lost and none is doubled."""
    sent = ids_of(EIGHT, 300)
    server = simulator(sent={"app": sent}, page_rows=50)

    go(server, most_rows=50)

    assert recorded_ids(lake) == sent
    assert len(server.others) > 12


def test_pages_of_fewer_rows_are_followed_to_the_last(lake: Lake, simulator: Simulate, go: Reconcile) -> None:
    """A platform that gives fewer rows a call than it says is followed by `startIndex`."""
    sent = ids_of(EIGHT, 100)
    server = simulator(sent={"app": sent}, page_rows=30)

    tally = go(server)

    assert recorded_ids(lake) == sent
    assert len(server.others) == 5
    assert (tally.failures, [read["missing"] for read in stored(lake, RECORD_READS)]) == ([], [0])


def test_a_day_of_more_than_a_full_page_of_the_platform_is_read_in_two_windows(
    lake: Lake, simulator: Simulate, go: Reconcile
) -> None:
    """52,000 messages: a page of 50,000 rows is full, each of its halves is not."""
    ids = (make_msg_id(EIGHT + timedelta(seconds=number // 2), number) for number in range(80_000))
    sent = list(itertools.islice((msg_id for msg_id in ids if fate_of(msg_id).final_at), 52_000))
    server = simulator(sent={"app": sent})

    tally = go(server)

    assert (tally.rows_by_day[DAY], tally.failures) == (52_000, [])
    assert recorded_ids(lake) == sent
    assert len(server.others) == 5  # the full page, then of each half its page and the empty one behind it


@pytest.mark.parametrize("counts_end_in", [True, False])
def test_a_platform_that_knows_no_index_gives_all_by_windows_whichever_end_it_counts_in(
    lake: Lake, simulator: Simulate, go: Reconcile, *, counts_end_in: bool
) -> None:
    """It gives the first 50 rows of a window: one with so many is cut, and those that follow share an end."""
    sent = ids_of(EIGHT, 100)

    def answer(request: httpx.Request) -> httpx.Response:
        asked = parse_qs(request.extensions["target"].partition(b"?")[2].decode())
        start, end = (f"{datetime.fromisoformat(asked[name][0]):%y%m%d%H%M%S}" for name in ("startTime", "endTime"))
        found = [i for i in sent if start <= i[:12] and (i[:12] < end or (counts_end_in and i[:12] == end))]
        rows = [{"msgId": i, "number": "", "receiveTime": "", "status": "0"} for i in found[:50]]
        page = json.dumps({"status": "0", "reason": "success", "array": rows}).encode()
        return httpx.Response(200, stream=httpx.ByteStream(page))

    go(simulator(), transport=httpx.MockTransport(answer), most_rows=50)

    assert recorded_ids(lake) == sent


def test_more_messages_of_one_second_than_a_window_holds_are_followed_by_index(
    lake: Lake, simulator: Simulate, go: Reconcile
) -> None:
    """A window of a second can't be cut."""
    sent = [msg_id for n in range(130) if fate_of(msg_id := make_msg_id(EIGHT, n)).final_at]

    go(simulator(sent={"app": sent}, page_rows=40), most_rows=40)

    assert recorded_ids(lake) == sent


def test_days_that_follow_one_another_hold_a_message_of_midnight_once(
    lake: Lake, simulator: Simulate, go: Reconcile
) -> None:
    """Whether the platform counts the ends of a window in is not said."""
    midnight = datetime(2026, 2, 21, tzinfo=UTC)
    sent = ids_of(midnight - timedelta(seconds=5), 10)
    server = simulator(sent={"app": sent})

    following = DAY + timedelta(days=1)
    go(server, following)
    for days in ([DAY], [DAY, following], [following]):
        go(server, *days)
        assert recorded_ids(lake) == sent


def test_a_day_that_is_read_again_is_replaced_and_other_apps_stay(
    lake: Lake, simulator: Simulate, go: Reconcile
) -> None:
    """A record that the platform corrected is the one that counts."""
    first, second, other = ids_of(EIGHT, 20), ids_of(EIGHT, 30, first=100), ids_of(EIGHT, 5, first=500)
    key = SecretStr("bDqJFiq9")

    def accounts(server: Running) -> Accounts:
        account = Account(server.base_url, key, SecretStr("s3cret-of-nobody"))
        return Accounts(account, {"other": account})

    before = simulator(sent={"app": first, "other": other})
    go(before, accounts=accounts(before))
    for table in (PLATFORM_RECORD, RECORD_READS):  # as compaction does
        present = lake.snapshot(table)
        both = pa.concat_tables([pq.ParquetFile(file.path).read() for file in present.files])
        lake.commit(present, add=[lake.write(table, both, DAY)], remove=present.files)
    after = simulator(sent={"app": second})
    go(after)

    rows = stored(lake, PLATFORM_RECORD)
    assert sorted(row["msg_id"] for row in rows if row["app_id"] == "app") == second
    assert sorted(row["msg_id"] for row in rows if row["app_id"] == "other") == other
    assert sorted((row["app_id"], row["recorded"]) for row in stored(lake, RECORD_READS)) == [("app", 30), ("other", 5)]


def test_an_empty_day_is_noted_as_read(lake: Lake, simulator: Simulate, go: Reconcile) -> None:
    """Otherwise a day of which the platform has no record would look like one that nobody read."""
    go(simulator())

    assert stored(lake, PLATFORM_RECORD) == []
    assert [read["recorded"] for read in stored(lake, RECORD_READS)] == [0]


def test_an_odd_row_is_rejected_or_kept_with_what_it_says(lake: Lake, simulator: Simulate, go: Reconcile) -> None:
    """A status that the vendor does not document, `1` among them, is never taken for one that it does."""
    server = simulator(sent={"app": ids_of(EIGHT, 3)}, faults=Faults(script=lambda *_: "odd-status"))

    tally = go(server)

    assert max(row["status"] for row in stored(lake, PLATFORM_RECORD)) == "undocumented"
    assert [row["reason"].split(":")[0] for row in stored(lake, REJECTED_RECORDS)] == ["undocumented_status"]
    assert tally.rejected == 1


# What goes wrong


@pytest.mark.parametrize("fault", ["twice", "numbers", "extra-fields", "gzip", "bad-time", "contradiction"])
def test_odd_answers_lose_no_message(lake: Lake, simulator: Simulate, go: Reconcile, fault: str) -> None:
    """Each row of the record is stored once, whatever its form."""
    sent = ids_of(EIGHT, 20)

    go(simulator(sent={"app": sent}, faults=Faults(script=lambda *_: fault)))

    assert recorded_ids(lake) == sent


def test_the_first_row_of_a_message_counts(lake: Lake, simulator: Simulate, go: Reconcile) -> None:
    """A page that says two things of one message is no reason to take the later one."""
    sent = ids_of(EIGHT, 5)

    go(simulator(sent={"app": sent}, faults=Faults(script=lambda *_: "contradiction")))

    says = {DELIVERED: "success", FAILED: "failed"}
    shown = {row["msg_id"]: row["status"] for row in stored(lake, PLATFORM_RECORD)}
    assert shown == {msg_id: says[fate_of(msg_id).status] for msg_id in sent}


@pytest.mark.parametrize("fault", ["-18", "http-429", "reset", "truncated"])
def test_a_passing_fault_is_repeated_and_nothing_is_lost(
    lake: Lake, simulator: Simulate, go: Reconcile, fault: str
) -> None:
    """The record is read by the one client, with its retries."""
    sent = ids_of(EIGHT, 20)
    faults = Faults(script=lambda number, _: fault if number == 1 else None)

    tally = go(simulator(sent={"app": sent}, faults=faults))

    assert (recorded_ids(lake), tally.failures) == (sent, [])


def test_a_gap_is_told_by_the_platforms_own_counts(lake: Lake, simulator: Simulate, go: Reconcile) -> None:
    """What came is stored; the note of the day says how many are missing, and the run fails."""
    server = simulator(sent={"app": ids_of(EIGHT, 20)}, faults=Faults(script=lambda *_: "gap"))

    tally = go(server)

    assert len(recorded_ids(lake)) == 19
    assert [read["missing"] for read in stored(lake, RECORD_READS)] == [1]
    assert "counts 1 messages more than it gives" in tally.failures[0]
    again = go(simulator(sent={"app": ids_of(EIGHT, 20)}))
    assert (again.read, again.failures, len(recorded_ids(lake))) == (1, [], 20)


def test_an_outage_in_the_middle_keeps_what_was_read_and_the_next_run_reads_the_rest(
    lake: Lake, simulator: Simulate, go: Reconcile
) -> None:
    """A day is stored whole or not at all; a day that was read is not read again by the run that goes on."""
    days = [DAY + timedelta(days=step) for step in range(4)]
    sent = [msg_id for step in range(4) for msg_id in ids_of(EIGHT + timedelta(days=step), 10)]
    down = Faults(script=lambda number, _: "http-503" if number > 4 else None)

    broken = go(simulator(sent={"app": sent}, faults=down), *days)

    assert recorded_ids(lake) == sent[:20]
    assert any("record of 2 days was not got whole" in line for line in broken.failures), broken.failures
    healthy = simulator(sent={"app": sent})
    again = go(healthy, *days)
    assert recorded_ids(lake) == sent
    assert (again.read, again.left, again.failures) == (2, 2, [])
    assert len(healthy.others) == 4


@pytest.mark.parametrize(("code", "word"), [("-1", "SMS_API_KEY"), ("-2", "allowed addresses"), ("-19", "pricing")])
def test_an_app_that_is_refused_is_asked_once_and_others_are_read(
    lake: Lake, simulator: Simulate, go: Reconcile, code: str, word: str
) -> None:
    """A refusal says what to fix."""
    faults = Faults(script=lambda _, call: code if call.app_id == "bad" else None)
    server = simulator(sent={"app": ids_of(EIGHT, 5)}, faults=faults)
    store_sent(lake, [Sent("1", EIGHT, app_id="bad")])

    tally = go(server, DAY, DAY + timedelta(days=1))

    assert len([call for call in server.others if call.app_id == "bad"]) == 1
    assert len(recorded_ids(lake)) == 5
    assert [line for line in tally.failures if "app bad was stopped" in line and word in line] == tally.failures


def test_an_app_without_credentials_is_named(simulator: Simulate, go: Reconcile) -> None:
    """Its record is not read, and the run says so."""
    tally = go(simulator(), accounts=Accounts(None, {}))

    assert "app app was stopped: no credentials" in tally.failures[0]


def test_the_same_page_whatever_the_index_is_the_end_and_no_loop(
    lake: Lake, simulator: Simulate, go: Reconcile
) -> None:
    """A platform that ignores `startIndex` gives the first page for ever."""
    rows = [
        {"msgId": str(number), "number": "", "receiveTime": "", "status": "0"} for number in range(10**18, 10**18 + 5)
    ]
    page = {"status": "0", "reason": "success", "array": rows}
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(page).encode()))

    go(simulator(), transport=httpx.MockTransport(answer))

    assert len(recorded_ids(lake)) == 5
    assert len(asked) == 2


# Which days are read


def test_settled_days_are_read_once_by_the_schedule(
    lake: Lake, simulator: Simulate, go: Reconcile, settings: Callable[..., Settings], clock: Clock
) -> None:
    """Days from the first that was logged to the last on which no message is under way."""
    store_sent(lake, [Sent("1", datetime(2026, 2, 24, 9, tzinfo=UTC))])
    chosen = settings(app_id="app")

    def unread(now: datetime) -> list[date]:
        return unread_days(lake=lake, accounts=load_accounts(chosen), settings=chosen, now=now)

    first = unread(clock.now())
    go(simulator(), *first, only_unread=True)

    assert first == [date(2026, 2, day) for day in (24, 25, 26)]
    assert unread(clock.now()) == []
    assert unread(clock.now() + timedelta(days=1)) == [date(2026, 2, 27)]


def test_a_day_that_goes_on_is_read_up_to_now_and_is_not_settled(
    lake: Lake, simulator: Simulate, go: Reconcile, clock: Clock
) -> None:
    """Such a day is read again once it is over."""
    tally = go(simulator(sent={"app": ids_of(NOON - timedelta(hours=2), 5)}), NOON.date())

    (read,) = stored(lake, RECORD_READS)
    assert tally.rows_by_day[NOON.date()] == 5
    assert NOON <= read["ends_at"] <= clock.now()
    assert read["settled_before"] < read["starts_at"]


def test_days_that_the_platform_does_not_keep_are_not_asked_for(simulator: Simulate, go: Reconcile) -> None:
    """It keeps 90 days."""
    server = simulator()

    assert go(server, NOON.date() - timedelta(days=90), NOON.date() + timedelta(days=1)).read == 0
    assert server.others == []


# Two at once, numbers


def test_two_at_once_store_each_message_once(lake: Lake, simulator: Simulate, go: Reconcile) -> None:
    """Both read the same days; the last one's rows stay."""
    days = [DAY + timedelta(days=step) for step in range(3)]
    sent = [msg_id for step in range(3) for msg_id in ids_of(EIGHT + timedelta(days=step), 40)]
    server = simulator(sent={"app": sent})
    others = [threading.Thread(target=lambda: go(server, *days)) for _ in range(3)]

    for thread in others:
        thread.start()
    go(server, *days)
    for thread in others:
        thread.join()

    assert recorded_ids(lake) == sent
    assert sorted(read["recorded"] for read in stored(lake, RECORD_READS)) == [40, 40, 40]
    assert record_reading_since(lake) is None


def test_a_number_that_was_erased_does_not_come_back_by_the_record(
    lake: Lake, simulator: Simulate, go: Reconcile, settings: Callable[..., Settings]
) -> None:
    """`forget` erases it from the record, and a later reading drops it again, for all messages of that number."""
    sent = ids_of(EIGHT, 10)
    server = simulator(sent={"app": sent})
    go(server)
    number = fate_of(sent[3]).number

    erased = forget(number, lake=lake, settings=settings(lake=lake.folder))
    tally = go(server)

    assert erased[PLATFORM_RECORD.name] == 1
    assert tally.forgotten == 1
    assert {row["msg_id"] for row in stored(lake, PLATFORM_RECORD) if row["number"] is None} == {sent[3]}


@pytest.mark.parametrize(("mode", "kept"), [("mask", "*"), ("drop", None)])
def test_numbers_are_treated_before_they_touch_the_disk(
    lake: Lake, simulator: Simulate, go: Reconcile, mode: str, kept: str | None
) -> None:
    """As everywhere; the country is found before."""
    sent = ids_of(EIGHT, 10)

    go(simulator(sent={"app": sent}), numbers=mode)

    rows = stored(lake, PLATFORM_RECORD)
    assert all((row["number"] or "")[:1] == (kept or "") for row in rows)
    assert all(row["country"] for row in rows)
