"""What a clock that was ahead left behind holds nothing back once the clock is right, and is told."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock

from pipeline.lake.lake import Lake
from pipeline.maintain.alerts import Memory
from pipeline.maintain.asking import asking_of
from pipeline.maintain.clean import clean
from pipeline.maintain.doctor import examine
from pipeline.maintain.status import status_text
from pipeline.model.settings import Settings
from pipeline.model.tables import SENT_MESSAGES
from pipeline.publish.database import publish
from tests.support.lakes import Called, Said, Sent, store_answers, store_balance, store_calls, store_sent

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = date(2026, 11, 28)
AHEAD = NOW + timedelta(days=30)


def test_status_and_doctor_say_that_answers_are_ahead_of_now(lake: Lake, settings: Callable[..., Settings]) -> None:
    chosen = settings(lake=lake.folder)
    store_sent(lake, [Sent("1", NOW - timedelta(hours=4))])
    store_answers(lake, [(Said("1", "sending", NOW), DAY)])
    assert "ahead of now" not in status_text(lake=lake, settings=chosen, now=NOW)
    store_answers(lake, [(Said("1", "sending", AHEAD), DAY)])
    text = "answers up to 2026-12-28 12:00:00 UTC are ahead of now, 2026-11-28 12:00:00 UTC"
    assert f"clock        {text}" in status_text(lake=lake, settings=chosen, now=NOW)
    assert any(text in finding.text and not finding.ok for finding in examine(chosen, now=NOW))


def test_a_call_that_failed_under_a_clock_that_was_ahead_is_not_the_latest_for_ever(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    store_calls(lake, [(Called(AHEAD, "gave_up"), DAY)])
    chosen, since = settings(lake=lake.folder), NOW - timedelta(minutes=1)
    assert asking_of([DAY], since=since, now=NOW, lake=lake, settings=chosen).failures
    store_calls(lake, [(Called(NOW), DAY)])
    assert asking_of([DAY], since=since, now=NOW, lake=lake, settings=chosen).failures == []


def test_alerts_of_a_clock_that_was_ahead_hold_no_later_one_back() -> None:
    at = AHEAD.timestamp()
    memory = Memory(at)
    memory.note_said("run", now=at)
    again = Memory.read(memory.text(), now=NOW.timestamp())
    assert again.since == NOW.timestamp()
    assert again.may_say("run", now=NOW.timestamp(), lasts=False)


def test_a_scratch_folder_of_a_clock_that_was_ahead_may_be_of_any_age(lake: Lake) -> None:
    """Files replaced since it was made may still be read."""
    with lake.scratch() as folder:
        made = lake.working_since()
        assert made is not None
        assert abs(made.timestamp() - time.time()) < 60
        ahead = folder.with_name(f"{time.time_ns() // 1_000_000 + 10**9}-ahead")
        ahead.mkdir()
        with FileLock(f"{ahead}.lock"):
            assert lake.working_since() == datetime.fromtimestamp(0, UTC)


def test_a_publication_is_as_of_the_latest_answer_that_is_not_ahead(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    """Before, it was as of next month: nothing showed that polling stood still."""
    chosen = settings(lake=lake.folder)
    store_sent(lake, [Sent("1", NOW - timedelta(hours=4))])
    store_answers(lake, [(Said("1", "sending", AHEAD), DAY)])
    assert publish(lake=lake, settings=chosen, now=NOW).data_as_of is None
    store_answers(lake, [(Said("1", "sending", NOW), DAY)])
    assert publish(lake=lake, settings=chosen, now=NOW + timedelta(hours=2)).data_as_of == NOW
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        assert connection.execute("SELECT DISTINCT data_as_of FROM snapshot_info").fetchall() == [(NOW,)]


JUMPS = [timedelta(days=40), timedelta(hours=30), timedelta(days=-40)]


class Cleaned:
    """A lake whose files are replaced and cleaned by clocks that a test chooses; the platform's is right."""

    def __init__(self, lake: Lake, settings: Settings) -> None:
        self.lake, self.settings = lake, settings
        self.now = datetime.now(UTC)
        store_sent(lake, [Sent(str(number), self.now - timedelta(hours=4)) for number in range(2)])

    def replace_file(self, *, at: datetime) -> Path:
        """Replace a file while this machine's clock says an instant; return its path."""
        store_sent(self.lake, [Sent("replaced", self.now - timedelta(hours=4))])
        present = self.lake.snapshot(SENT_MESSAGES)
        file = max(present.files, key=lambda file: file.added_ms)
        self.lake.commit(present, remove=[file])
        entry = max((self.lake.folder_of(SENT_MESSAGES) / "_delta_log").glob("*.json"))
        stamp = rf"\g<1>{int(at.timestamp() * 1000)}"
        entry.write_text(re.sub(r'("deletionTimestamp": ?)\d+', stamp, entry.read_text()))
        return file.path

    def clean(self, at: datetime) -> None:
        """Clean while this machine's clock says an instant."""
        clean(lake=self.lake, settings=self.settings, now=at)

    def pass_hours(self, hours: float) -> None:
        """Let time pass; the platform answers at its end."""
        self.now += timedelta(hours=hours)
        store_balance(self.lake, self.now)


@pytest.fixture
def cleaned(lake: Lake, settings: Callable[..., Settings]) -> Cleaned:
    return Cleaned(lake, settings(lake=lake.folder))


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize("answers", [True, False])
def test_cleaning_under_a_clock_that_jumped_deletes_nothing_before_its_time(
    cleaned: Cleaned, jump: timedelta, *, answers: bool
) -> None:
    """Before, one under a clock that was fast deleted what was replaced a minute ago."""
    cleaned.pass_hours(1 if answers else 0)
    cleaned.clean(cleaned.now)
    file = cleaned.replace_file(at=cleaned.now)
    cleaned.clean(cleaned.now + jump)
    if answers:
        cleaned.pass_hours(23)
    cleaned.clean(cleaned.now + jump + timedelta(hours=23))
    assert file.exists()


@pytest.mark.parametrize("jump", JUMPS)
def test_a_file_that_was_replaced_under_a_clock_that_jumped_is_kept_for_its_time_and_then_goes(
    cleaned: Cleaned, jump: timedelta
) -> None:
    """Before, it went at once if the clock was slow, and months later if it was fast."""
    cleaned.pass_hours(1)
    cleaned.clean(cleaned.now)
    cleaned.pass_hours(1)
    file = cleaned.replace_file(at=cleaned.now + jump)
    cleaned.pass_hours(1)
    cleaned.clean(cleaned.now)
    assert file.exists()
    for _ in range(2):
        cleaned.pass_hours(24)
        cleaned.clean(cleaned.now)
    assert not file.exists()


def test_files_of_a_lake_that_gets_no_answers_go_after_some_daily_cleanings(cleaned: Cleaned) -> None:
    file = cleaned.replace_file(at=cleaned.now)
    for day in range(2):
        cleaned.clean(cleaned.now + timedelta(days=day))
        assert file.exists()
    cleaned.clean(cleaned.now + timedelta(days=2))
    assert not file.exists()


@pytest.mark.parametrize("jump", [*JUMPS, timedelta(0)])
@pytest.mark.parametrize("hours", [0, 24])
def test_cleaning_keeps_what_a_process_at_work_may_read_whatever_clocks_say(
    cleaned: Cleaned, jump: timedelta, hours: float
) -> None:
    """Before, a file replaced under a slow clock seemed to be older than the process that was reading it."""
    cleaned.settings = cleaned.settings.model_copy(update={"snapshot_hours": hours})
    cleaned.pass_hours(1)
    cleaned.clean(cleaned.now)
    with cleaned.lake.scratch():
        file = cleaned.replace_file(at=cleaned.now + jump)
        for _ in range(4):
            cleaned.pass_hours(24)
            cleaned.clean(cleaned.now)
        assert file.exists()
    with cleaned.lake.scratch():  # it began after a cleaning that found the file
        cleaned.pass_hours(24)
        cleaned.clean(cleaned.now)
    assert not file.exists()


def test_entries_of_a_log_stay_while_the_clock_is_ahead_of_the_platforms(cleaned: Cleaned) -> None:
    """Delta asks this machine's clock for the age of entries, so they may be needed for a repair."""
    log = cleaned.lake.folder_of(SENT_MESSAGES) / "_delta_log"
    for entry in log.glob("*.json"):
        os.utime(entry, (0, 0))
    store_balance(cleaned.lake, cleaned.now - timedelta(days=40))
    before = sorted(log.iterdir())
    cleaned.clean(cleaned.now)
    assert sorted(log.iterdir()) == before
    cleaned.pass_hours(0)
    cleaned.clean(cleaned.now)
    assert not list(log.glob("0*0.json"))


@pytest.mark.parametrize("jump", [timedelta(days=40), timedelta(days=-40)])
def test_forgetting_deletes_what_dead_processes_left_whatever_its_time(lake: Lake, jump: timedelta) -> None:
    """Before, a file written while the clock was fast, and never committed, kept a number for as long."""
    left = lake.new_file(SENT_MESSAGES, DAY)
    left.write_bytes(b"4917011122222")
    at = time.time() + jump.total_seconds()
    os.utime(left, (at, at))
    with lake.scratch():
        os.utime(left)
        lake.delete_unnamed(SENT_MESSAGES)
        assert left.exists()
        os.utime(left, (at, at))
    lake.delete_unnamed(SENT_MESSAGES)
    assert not left.exists()
