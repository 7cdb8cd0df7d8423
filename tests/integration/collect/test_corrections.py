"""What a log says now stands: messages that it gave otherwise before are corrected, and nothing is doubled or lost."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.collect.corrections import Comparison
from pipeline.collect.log_group import CollectTally
from pipeline.collect.reading import read_sent_log
from pipeline.collect.sent_messages import collect, log_rules
from pipeline.collect.staging import Staging
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.notes import note_forgotten
from pipeline.lake.queries import database
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, DELIVERY_ROLLUPS_DAILY, MESSAGES, SENT_MESSAGES, Table
from tests.scenarios.stage import Killed, Life, MortalLake, read_table
from tests.support.lakes import Said, store_answers
from tests.support.sent_logs import listed

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
TEN = "2026-11-20T10:00:00"


@dataclass
class Logs:
    """Logs that are written and read again, with settings that change."""

    lake: Lake
    settings: Callable[..., Settings]
    folder: Path
    chosen: dict[str, Any] = field(default_factory=lambda: {"sent_logs": "logs/{date}*.jsonl", "app_id": "app"})
    writes: int = 0

    def write(self, name: str, *records: dict[str, object]) -> Path:
        path = self.folder / "logs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        self.writes += 1
        os.utime(path, (1_700_000_000 + self.writes,) * 2)
        return path

    def read(self, *, lake: Lake | None = None, **settings: object) -> CollectTally:
        self.chosen |= settings
        chosen = self.settings(**self.chosen)
        tally = collect([DAY], lake=lake or self.lake, settings=chosen, now=NOW)
        assert tally.records == tally.stored + tally.duplicates + tally.rejected
        return tally

    def sent(self, *names: str) -> list[tuple[object, ...]]:
        rows = read_table(self.lake, SENT_MESSAGES)
        return sorted(tuple(row[name] for name in names or ("app_id", "msg_id")) for row in rows)

    def answers(self, *names: str) -> list[tuple[object, ...]]:
        return sorted(tuple(row[name] for name in names) for row in read_table(self.lake, DELIVERY_REPORTS))

    def derived(self, table: Table) -> list[dict[str, Any]]:
        settings = self.settings(**self.chosen)
        derive_messages([DAY], lake=self.lake, settings=settings, now=NOW)
        derive_rates([DAY], lake=self.lake, settings=settings, now=NOW)
        return read_table(self.lake, table)


@pytest.fixture
def logs(lake: Lake, settings: Callable[..., Settings], tmp_path: Path) -> Logs:
    return Logs(lake, settings, tmp_path)


def message(msg_id: int, sent_at: str = TEN, **more: object) -> dict[str, object]:
    return {"msg_id": str(msg_id), "sent_at": sent_at} | more


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_default_app_that_was_wrong_is_corrected_and_nothing_is_counted_under_it(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", *map(message, (1, 2, 3)))
    logs.read(app_id="wrong")
    logs.derived(MESSAGES)
    tally = logs.read(app_id="right")
    assert (tally.stored, tally.duplicates, tally.corrected) == (0, 3, 3)
    assert logs.sent() == [("right", "1"), ("right", "2"), ("right", "3")]
    rates = logs.derived(DELIVERY_ROLLUPS_DAILY)
    assert {(row["dimension"], row["value"]): row["sent"] for row in rates} == {
        ("all", None): 3, ("app_id", "right"): 3, ("country", None): 3, ("sender_id", None): 3
    }  # fmt: skip


def test_an_app_in_the_log_that_was_wrong_is_corrected_wherever_its_line_is_now(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1, app_id="wrong"), message(2, app_id="b"))
    logs.read()
    logs.write("2026-11-20.jsonl", message(3, app_id="b"), message(1, app_id="a"), message(2, app_id="b"))
    assert logs.read().corrected == 1
    assert logs.sent("app_id", "msg_id", "line") == [("a", "1", 2), ("b", "2", 3), ("b", "3", 1)]


def test_a_zone_that_was_forgotten_moves_messages_to_their_days(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1), message(2, "2026-11-20T00:30:00"))
    logs.read()
    assert logs.read(sent_log_timezone="Asia/Tokyo").corrected == 2
    assert logs.sent("msg_id", "sent_at", "sent_date") == [
        ("1", utc("2026-11-20T01:00:00"), DAY),
        ("2", utc("2026-11-19T15:30:00"), DAY - timedelta(days=1)),
    ]
    days = {row["msg_id"]: row["sent_date"] for row in logs.derived(MESSAGES)}
    assert days == {"1": DAY, "2": DAY - timedelta(days=1)}


def test_a_day_that_loses_its_last_message_is_derived_and_counted_no_more(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1, "2026-11-20T00:30:00"))
    logs.read()
    logs.derived(MESSAGES)
    logs.read(sent_log_timezone="Asia/Tokyo")
    assert [row["sent_date"] for row in logs.derived(MESSAGES)] == [DAY - timedelta(days=1)]
    assert {row["sent_date"] for row in read_table(logs.lake, DELIVERY_ROLLUPS_DAILY)} == {DAY - timedelta(days=1)}


def test_numbers_and_senders_are_what_the_log_says_now(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1, number="4915112345678", sender_id="OLD"), message(2))
    logs.read()
    logs.write("2026-11-20.jsonl", message(1, number="919856321412", sender_id="NEW", order_id="7"), message(2))
    assert logs.read().corrected == 1
    assert logs.sent("msg_id", "number", "country", "sender_id", "order_id") == [
        ("1", "919856321412", "IN", "NEW", "7"),
        ("2", None, None, None, None),
    ]


def test_a_log_without_a_date_corrects_a_time_that_was_months_away(logs: Logs) -> None:
    logs.write("all.jsonl", message(1, "2026-01-05T10:00:00"), message(2))
    logs.read(sent_logs="logs/*.jsonl")
    logs.write("all.jsonl", message(1, "2026-05-01T10:00:00"), message(2))
    assert logs.read().corrected == 1
    assert logs.sent("msg_id", "sent_date") == [("1", date(2026, 5, 1)), ("2", DAY)]


def test_a_log_that_only_grew_rewrites_nothing(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1), message(1, app_id="b"), message(1), message(2))
    logs.read()
    before = {file.path for file in logs.lake.snapshot(SENT_MESSAGES).files}
    logs.write("2026-11-20.jsonl", message(1), message(1, app_id="b"), message(1), message(2), message(3))
    tally = logs.read()
    assert (tally.stored, tally.corrected) == (1, 0)
    assert before < {file.path for file in logs.lake.snapshot(SENT_MESSAGES).files}


@pytest.mark.parametrize("kept", [1, 2])
def test_of_one_id_of_two_apps_none_goes_when_the_log_shrinks(logs: Logs, kept: int) -> None:
    both = [message(1, app_id="a"), message(1, app_id="b")]
    logs.write("2026-11-20.jsonl", *both)
    logs.read()
    logs.write("2026-11-20.jsonl", message(9), both[kept - 1])
    logs.read()
    assert logs.sent() == [("a", "1"), ("app", "9"), ("b", "1")]


def test_a_line_that_repeats_an_id_for_another_app_corrects_nothing(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1, app_id="a"))
    logs.read()
    logs.write("2026-11-20.jsonl", message(1, app_id="a"), message(1, app_id="b"))
    assert logs.read().corrected == 0
    assert logs.sent() == [("a", "1"), ("b", "1")]


def test_a_log_that_breaks_off_corrects_no_app_since_its_rest_may_hold_the_message_as_it_was(logs: Logs) -> None:
    path = logs.write("2026-11-20.jsonl", message(1, app_id="a"))
    logs.read()
    logs.write("2026-11-20.jsonl", message(1, app_id="b"), message(2, app_id="b"))
    chosen, present = logs.settings(**logs.chosen), logs.lake.snapshot(SENT_MESSAGES)
    with database(logs.lake, chosen) as connection, Staging(logs.lake.folder / "staged") as staging:
        for chunk in read_sent_log(listed(path, DAY), log_rules(chosen, NOW)):
            staging.add(chunk.messages)
        staged = staging.files()
        compared = Comparison(
            connection, logs.lake, present, staged=staged, read=[], days=[DAY], is_there=lambda _: True
        )
        change = compared.change()
    assert (change.stored_by_day, change.corrected) == ({DAY: 1}, 0)


def test_another_message_in_the_same_line_of_a_log_that_began_anew_corrects_nothing(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1), message(2))
    logs.read()
    logs.write("2026-11-20.jsonl", message(3, "2026-11-20T12:00:00"))
    assert logs.read().corrected == 0
    assert logs.sent("msg_id") == [("1",), ("2",), ("3",)]


def test_a_message_that_another_log_has_too_stays_when_one_log_corrects_its_app(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1, app_id="a"))
    logs.read()
    logs.write("2026-11-20-copy.jsonl", message(1, app_id="a"))
    logs.read()
    logs.write("2026-11-20.jsonl", message(1, app_id="b"))
    logs.read()
    assert logs.sent("app_id", "msg_id", "line") == [("a", "1", 1), ("b", "1", 1)]


def test_of_several_logs_the_earliest_time_counts_whichever_is_read_or_corrected_last(logs: Logs) -> None:
    first, other = "2026-11-20.jsonl", "2026-11-20-other.jsonl"
    times = {hour: utc(f"2026-11-20T{hour:02}:00:00") for hour in (8, 9, 11)}
    logs.write(first, message(1, "2026-11-20T11:00:00"))
    logs.read()
    logs.write(other, message(1, "2026-11-20T09:00:00"))
    logs.read()
    assert logs.sent("sent_at") == [(times[9],)]
    logs.write(other, message(1, "2026-11-20T12:00:00"))
    logs.read()
    assert logs.sent("sent_at") == [(times[11],)]
    logs.write(first, message(1, "2026-11-20T08:00:00"))
    logs.read()
    assert logs.sent("sent_at") == [(times[8],)]


def test_a_log_that_was_renamed_corrects_what_it_gave_under_its_former_name(logs: Logs) -> None:
    path = logs.write("2026-11-20.jsonl", message(1))
    logs.read()
    path.rename(path.with_name("2026-11-20-old.jsonl"))
    assert logs.read(sent_log_timezone="America/New_York").corrected == 1
    assert logs.sent("sent_at") == [(utc("2026-11-20T15:00:00"),)]


def test_a_log_that_was_rotated_corrects_what_it_gave_under_its_former_name(logs: Logs) -> None:
    path = logs.write("2026-11-20.jsonl", message(1))
    logs.read()
    path.rename(path.with_name("2026-11-20-old.jsonl"))
    logs.write("2026-11-20.jsonl", message(2))
    logs.read()
    logs.read(sent_log_timezone="America/New_York")
    assert logs.sent("msg_id", "sent_at") == [(number, utc("2026-11-20T15:00:00")) for number in ("1", "2")]


def test_a_number_that_was_erased_stays_erased(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1, sender_id="A", number="919856321412"), message(2, number="44"))
    logs.read()
    note_forgotten(logs.lake, {("app", "1")}, treated=lambda key: key)
    logs.read(sent_log_timezone="Asia/Tokyo", app_id="other")
    assert logs.sent("app_id", "msg_id", "number") == [("other", "1", None), ("other", "2", "44")]


def answered(logs: Logs, *said: tuple[str, str]) -> None:
    """Store answers for messages of DAY under the default app."""
    answers = [Said(msg_id, status, NOW - timedelta(hours=1), app_id="app") for msg_id, status in said]
    store_answers(logs.lake, [(answer, DAY) for answer in answers])


def test_answers_follow_a_message_to_its_day(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", message(1, "2026-11-20T00:30:00"), message(2))
    logs.read()
    answered(logs, ("1", "delivered"), ("2", "failed"))
    logs.derived(MESSAGES)
    logs.read(sent_log_timezone="Asia/Tokyo")
    assert logs.answers("msg_id", "status", "sent_date") == [
        ("1", "delivered", DAY - timedelta(days=1)),
        ("2", "failed", DAY),
    ]
    states = {row["msg_id"]: row["delivery_status"] for row in logs.derived(MESSAGES)}
    assert states == {"1": "delivered", "2": "failed"}


def test_reports_follow_a_message_to_its_app_and_what_only_the_former_app_was_told_stays(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", *map(message, (1, 2, 3)))
    logs.read()
    answered(logs, ("1", "delivered"), ("2", "not_found"), ("3", "invalid_id"))
    logs.read(app_id="right")
    assert logs.answers("app_id", "msg_id", "status") == [
        ("app", "2", "not_found"),
        ("app", "3", "invalid_id"),
        ("right", "1", "delivered"),
    ]
    states = {row["msg_id"]: row["delivery_status"] for row in logs.derived(MESSAGES)}
    assert states == {"1": "delivered", "2": "pending", "3": "pending"}


@pytest.mark.parametrize("dies_at", range(12))
def test_whenever_a_correction_is_killed_each_message_is_there_once_and_the_next_run_completes_it(
    logs: Logs, dies_at: int
) -> None:
    logs.write("2026-11-20.jsonl", message(1, "2026-11-20T00:30:00"), message(2))
    logs.read()
    answered(logs, ("1", "delivered"), ("2", "failed"))
    try:
        mortal = MortalLake(logs.lake.folder, logs.lake.mode, life=Life(dies_at))
        logs.read(lake=mortal, sent_log_timezone="Asia/Tokyo", app_id="right")
    except Killed:
        assert Counter(logs.sent("msg_id")) == Counter([("1",), ("2",)])
        assert Counter(logs.answers("msg_id")) == Counter([("1",), ("2",)])
    logs.read()
    assert logs.sent("app_id", "msg_id") == [("right", "1"), ("right", "2")]
    states = {(row["app_id"], row["msg_id"]): row["delivery_status"] for row in logs.derived(MESSAGES)}
    assert states == {("right", "1"): "delivered", ("right", "2"): "failed"}


def test_of_two_runs_at_once_with_other_settings_each_message_is_there_once(logs: Logs) -> None:
    logs.write("2026-11-20.jsonl", *(message(number) for number in range(2000)))
    logs.write("2026-11-21.jsonl", *(message(number) for number in range(1000, 3000)))
    logs.read(app_id="wrong")
    failures: list[Exception] = []

    def run(zone: str, app: str) -> None:
        chosen = logs.settings(**logs.chosen | {"sent_log_timezone": zone, "app_id": app})
        lake = Lake.open(logs.lake.folder, mode=logs.lake.mode, recorded={})
        try:
            collect([DAY], lake=lake, settings=chosen, now=NOW)
        except Exception as error:  # noqa: BLE001 - of any kind, shown below
            failures.append(error)

    runs = [threading.Thread(target=run, args=pair) for pair in (("UTC", "a"), ("Asia/Tokyo", "b"))]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert not failures
    assert Counter(logs.sent("msg_id")) == Counter([(str(number),) for number in range(3000)])
    logs.read(app_id="right")
    assert {app for app, _ in logs.sent()} == {"right"}
