"""What a clock that was ahead left behind holds nothing back once the clock is right, and is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

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
from tests.support.lakes import Called, Said, Sent, store_answers, store_calls, store_sent

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


@pytest.mark.parametrize("jump", [timedelta(days=40), timedelta(days=-40)])
def test_cleaning_under_a_clock_that_jumped_keeps_what_a_process_at_work_reads(
    lake: Lake, settings: Callable[..., Settings], jump: timedelta
) -> None:
    now = datetime.now(UTC)
    chosen = settings(lake=lake.folder)
    with lake.scratch():
        store_sent(lake, [Sent("1", now - timedelta(hours=4))])
        present = lake.snapshot(SENT_MESSAGES)
        (file,) = present.files
        lake.commit(present, remove=[file])
        clean(lake=lake, settings=chosen, now=now + jump)
        assert file.path.exists()
    clean(lake=lake, settings=chosen, now=now + timedelta(days=2))
    assert not file.path.exists()
