"""Pushed reports from their files into the lake: each line once, on the day of its message, whatever happens."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.api.pushes import PushRules, line_of
from pipeline.collect.pushed_reports import has_unread, take_pushed
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.notes import note_forgotten_number
from pipeline.maintain.forget import forget, remove_old_files
from pipeline.model.phone_numbers import NumberPolicy
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, MESSAGES, PUSHED_REPORTS, REJECTED_RECORDS, SENT_MESSAGES
from tests.scenarios.stage import read_table
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY, YESTERDAY = NOON.date(), NOON.date() - timedelta(days=1)
NUMBER = "919856321412"


@pytest.fixture
def chosen(settings: Callable[..., Settings], tmp_path: Path) -> Settings:
    (tmp_path / "pushed").mkdir()
    return settings(pushed_reports=tmp_path / "pushed")


def line(msg_id: str, status: int = 0, *, at: datetime = NOON, **fields: Any) -> bytes:
    """Return the line of a push, as the receiver writes it."""
    pushed = {"appId": "app", "msgid": msg_id, "mobile": NUMBER, "status": status, "mcc": "404", "mnc": "45"} | fields
    return line_of(pushed, PushRules(NumberPolicy(), None, at))[0]


def write(chosen: Settings, *lines: bytes, hour: datetime = NOON, name: str = "a") -> Path:
    """Append lines to a file of an hour."""
    assert chosen.pushed_reports
    path = chosen.pushed_reports / f"pushed-{hour:%Y%m%dT%H}Z-{name.encode().hex()}.jsonl"
    with path.open("ab") as stream:
        stream.write(b"".join(lines))
    os.utime(path, (hour.timestamp(), hour.timestamp()))
    return path


def stored(lake: Lake) -> list[tuple[object, ...]]:
    rows = read_table(lake, PUSHED_REPORTS)
    return sorted(((row["msg_id"], row["status"], row["sent_date"]) for row in rows), key=str)


def take(lake: Lake, chosen: Settings, now: datetime = NOON) -> dict[str, int]:
    tally = take_pushed(lake=lake, settings=chosen, now=now)
    return {name: count for name, count in vars(tally).items() if count}


def test_each_line_is_stored_once_on_the_day_of_its_message(lake: Lake, chosen: Settings) -> None:
    store_sent(lake, [Sent("1", NOON), Sent("2", NOON - timedelta(days=1)), Sent("3", NOON - timedelta(days=40))])
    write(chosen, line("1"), line("2", 1), line("3"))
    assert has_unread(lake=lake, settings=chosen)
    assert take(lake, chosen) == {"reports": 3}
    assert not has_unread(lake=lake, settings=chosen)
    assert take(lake, chosen) == {}
    write(chosen, line("1", 1))
    assert take(lake, chosen) == {"reports": 1}
    old = NOON.date() - timedelta(days=40)
    assert stored(lake) == [
        ("1", "delivered", TODAY), ("1", "failed", TODAY), ("2", "failed", YESTERDAY), ("3", "delivered", old),
    ]  # fmt: skip


def test_a_report_without_a_log_waits_until_a_log_has_its_message(lake: Lake, chosen: Settings) -> None:
    write(chosen, line("1"), line("2"))
    assert take(lake, chosen) == {"reports": 2, "unlogged": 2, "waiting": 2}
    store_sent(lake, [Sent("1", NOON)])
    assert take(lake, chosen) == {"moved": 1, "waiting": 1}
    assert stored(lake) == [("1", "delivered", TODAY), ("2", "delivered", None)]
    store_sent(lake, [Sent("2", NOON, app_id="another")])
    assert take(lake, chosen) == {"waiting": 1}


def test_a_report_follows_a_message_that_is_corrected_to_another_day(lake: Lake, chosen: Settings) -> None:
    store_sent(lake, [Sent("1", NOON), Sent("2", NOON)])
    write(chosen, line("1"), line("2"))
    take(lake, chosen)
    snapshot = lake.snapshot(SENT_MESSAGES)
    lake.commit(snapshot, remove=snapshot.of([TODAY]))
    store_sent(lake, [Sent("1", NOON - timedelta(days=1)), Sent("2", NOON)])
    assert take(lake, chosen) == {"moved": 1}
    assert stored(lake) == [("1", "delivered", YESTERDAY), ("2", "delivered", TODAY)]


def test_half_a_line_waits_for_its_end(lake: Lake, chosen: Settings) -> None:
    whole = line("2")
    path = write(chosen, line("1"), whole[:30])
    assert take(lake, chosen) == {"reports": 1, "unlogged": 1, "waiting": 1}
    write(chosen, whole[30:])
    assert take(lake, chosen)["reports"] == 1
    assert path.exists()


def test_half_a_line_of_a_process_that_died_is_a_reject(lake: Lake, chosen: Settings) -> None:
    write(chosen, line("1"), line("2")[:30])
    take(lake, chosen)
    assert take(lake, chosen, NOON + timedelta(hours=3))["rejected"] == 1
    (reject,) = read_table(lake, REJECTED_RECORDS)
    assert (reject["source"], reject["line"], reject["raw"]) == ("push", 2, None)
    assert str(reject["reason"]).startswith("cut_line: ")


def test_a_broken_line_is_a_reject_and_the_others_are_stored(lake: Lake, chosen: Settings) -> None:
    broken = [b"nonsense\n", b"\xff\n", b"{}\n", line("1").replace(b"delivered", b"lost"), line("x", mobile=NUMBER)]
    path = write(chosen, line("1"), *broken, line("2"))
    assert take(lake, chosen)["rejected"] == 5
    rejects = read_table(lake, REJECTED_RECORDS)
    assert sorted(row["line"] for row in rejects) == [2, 3, 4, 5, 6]
    assert {(row["source"], row["file"]) for row in rejects} == {("push", path.name)}
    assert Counter(str(row["reason"]).partition(":")[0] for row in rejects) == {"broken_line": 4, "bad_id": 1}
    assert [row[0] for row in stored(lake)] == ["1", "2"]


def test_a_file_goes_once_its_hour_is_over_and_it_was_read_unless_a_process_holds_it(
    lake: Lake, chosen: Settings
) -> None:
    path = write(chosen, line("1"))
    take(lake, chosen)
    assert path.exists()
    later = NOON + timedelta(hours=2)
    with path.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        take(lake, chosen, later)
        assert path.exists()
    take(lake, chosen, later)
    assert not path.exists()
    assert len(stored(lake)) == 1


def test_links_and_files_of_other_names_are_left_alone(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    assert chosen.pushed_reports
    (tmp_path / "secret").write_bytes(line("1"))
    (chosen.pushed_reports / "pushed-20260302T12Z-00.jsonl").symlink_to(tmp_path / "secret")
    (chosen.pushed_reports / "other.jsonl").write_bytes(line("1"))
    assert take(lake, chosen) == {}


class Died(Exception):  # noqa: N818 - what a kill is
    """Stands for the end of a process."""


class DyingLake(Lake):
    """A lake whose process dies before or after the commit of reports."""

    is_before = True

    def commit(self, *args: Any, **kwargs: Any) -> None:
        """Die around the commit."""
        if not self.is_before:
            super().commit(*args, **kwargs)
        raise Died


@pytest.mark.parametrize("is_before", [True, False])
def test_a_run_that_dies_around_its_commit_stores_no_line_twice_and_loses_none(
    lake: Lake, chosen: Settings, is_before: bool
) -> None:
    write(chosen, line("1"), b"broken\n", line("2"))
    dying = DyingLake(lake.folder, lake.mode)
    object.__setattr__(dying, "is_before", is_before)
    with pytest.raises(Died):
        take(dying, chosen)
    take(lake, chosen)
    assert [row[0] for row in stored(lake)] == ["1", "2"]


def test_messages_say_why_and_over_which_network(lake: Lake, chosen: Settings) -> None:
    """A reason only where getReport says failed too; the network of a push that agrees with the state."""
    store_sent(lake, [Sent(str(n), NOON - timedelta(hours=1)) for n in range(1, 6)])
    states = {"1": "failed", "2": "delivered", "3": "failed", "4": "sending"}
    store_answers(lake, [(Said(msg_id, status, NOON), TODAY) for msg_id, status in states.items()])
    later = NOON + timedelta(minutes=1)
    write(
        chosen,
        line("1", 1, reason="absent subscriber"), line("1", 0, at=later, mcc="724", mnc="06", reason="forged"),
        line("2", 1, reason="forged"), line("3", 1, reason="old"), line("3", 1, reason="spam", at=later),
        line("4", 1, reason="too early"),
    )  # fmt: skip
    take(lake, chosen)
    derive_messages([], lake=lake, settings=chosen, now=NOON)
    derive_rates([], lake=lake, settings=chosen, now=NOON)
    rows = {row["msg_id"]: row for row in read_table(lake, MESSAGES)}
    assert {n: (row["delivery_status"], row["failure_reason"], row["network"]) for n, row in rows.items()} == {
        "1": ("failed", "absent subscriber", "404-45"),
        "2": ("delivered", None, "404-45"),
        "3": ("failed", "spam", "404-45"),
        "4": ("sending", None, "404-45"),
        "5": ("pending", None, None),
    }
    assert rows["1"]["network_name"] == "Airtel IN"
    counts = {
        (row["dimension"], row["value"]): row["sent"]
        for row in read_table(lake, DELIVERY_ROLLUPS_DAILY)
        if row["dimension"] in {"network", "failure_reason"}
    }
    assert counts == {
        ("network", "404-45"): 4, ("network", None): 1,
        ("failure_reason", "absent subscriber"): 1, ("failure_reason", "spam"): 1, ("failure_reason", None): 3,
    }  # fmt: skip


def test_a_push_derives_its_day_again_and_a_day_without_one_stays_as_it_was(lake: Lake, chosen: Settings) -> None:
    store_sent(lake, [Sent("1", NOON), Sent("2", NOON - timedelta(days=1))])
    derive_messages([], lake=lake, settings=chosen, now=NOON)
    derive_rates([], lake=lake, settings=chosen, now=NOON)
    assert {row["dimension"] for row in read_table(lake, DELIVERY_ROLLUPS_DAILY)} == {
        "all", "app_id", "country", "sender_id",
    }  # fmt: skip
    write(chosen, line("1"))
    take(lake, chosen)
    assert derive_messages([], lake=lake, settings=chosen, now=NOON).replaced == (TODAY,)
    assert derive_messages([TODAY], lake=lake, settings=chosen, now=NOON).replaced == ()


@pytest.mark.parametrize("is_read", [False, True])
def test_a_forgotten_number_is_erased_from_reports_read_or_not(lake: Lake, chosen: Settings, is_read: bool) -> None:
    """The receiver may go on writing to the file: each line keeps its place."""
    other = line("2", mobile="919856321413")
    path = write(chosen, line("1", reason=f"to +{NUMBER}", orderId=NUMBER), other)
    size = path.stat().st_size
    if is_read:
        take(lake, chosen)
    forget(NUMBER, lake=lake, settings=chosen)
    assert remove_old_files(NUMBER, lake=lake, settings=chosen) == 0
    assert path.stat().st_size == size
    assert NUMBER.encode() not in path.read_bytes()
    assert path.read_bytes().endswith(other)
    take(lake, chosen)
    rows = {row["msg_id"]: row for row in read_table(lake, PUSHED_REPORTS)}
    assert NUMBER not in json.dumps(rows, default=str)
    assert (rows["1"]["number"], rows["2"]["number"]) == (None, "919856321413")


def test_a_number_forgotten_between_push_and_run_is_not_stored(lake: Lake, chosen: Settings) -> None:
    write(chosen, line("1", reason=f"to {NUMBER}", orderId=NUMBER))
    note_forgotten_number(lake, NUMBER)
    take(lake, chosen)
    assert NUMBER not in json.dumps(read_table(lake, PUSHED_REPORTS), default=str)


def test_without_the_setting_nothing_is_read(lake: Lake, chosen: Settings) -> None:
    write(chosen, line("1"))
    assert take(lake, chosen.model_copy(update={"pushed_reports": None})) == {}
