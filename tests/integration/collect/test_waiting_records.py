"""Records that are rejected because of when their log was read: looked at again when their time has come."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.collect.sent_messages import collect, days_read
from pipeline.collect.told import stored_rejects
from pipeline.lake.lake import Lake
from pipeline.lake.log_names import rename_transactions
from pipeline.maintain.due import days_waiting, what_is_due
from pipeline.maintain.status import status_text
from pipeline.model.settings import Settings
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
SLOW = NOW - timedelta(days=2)


@pytest.fixture
def chosen(settings: Callable[..., Settings]) -> Settings:
    return settings(sent_logs="logs/all.jsonl", app_id="app")


def write(folder: Path, *sent_at: datetime, name: str = "all.jsonl", later: int = 0) -> Path:
    path = folder / "logs" / name
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps({"msg_id": str(number), "sent_at": at.isoformat()}) for number, at in enumerate(sent_at, 1)]
    path.write_text("\n".join(lines) + "\n")
    os.utime(path, (SLOW.timestamp() - 86_400 + later,) * 2)
    return path


def stored(lake: Lake) -> list[str]:
    from deltalake import DeltaTable  # noqa: PLC0415

    return sorted(map(str, DeltaTable(lake.folder / SENT_MESSAGES.name).to_pyarrow_table()["msg_id"].to_pylist()))


def rejected(lake: Lake) -> int:
    return lake.snapshot(REJECTED_RECORDS).rows


def test_a_record_read_while_the_clock_was_slow_is_stored_once_the_clock_is_right(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    write(tmp_path, SLOW - timedelta(hours=1), NOW - timedelta(hours=1))
    tally = collect([SLOW.date()], lake=lake, settings=chosen, now=SLOW)
    assert (tally.stored, tally.rejected, tally.waiting) == (1, 1, 1)
    tally = collect([DAY], lake=lake, settings=chosen, now=NOW)
    assert (tally.files_read, tally.stored, tally.rejected) == (1, 1, 0)
    assert (stored(lake), rejected(lake)) == (["1", "2"], 0)
    assert collect([DAY], lake=lake, settings=chosen, now=NOW).files_read == 0


def test_a_log_is_read_again_as_each_record_that_waits_is_due_and_not_before(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    """A record 30 hours ahead of now is accepted six hours later."""
    write(tmp_path, NOW, NOW + timedelta(hours=30), NOW + timedelta(hours=40))
    read_at = {}
    for hours in (0, 1, 5.99, 6, 6.5, 15.9, 16, 17):
        now = NOW + timedelta(hours=hours)
        due = what_is_due(lake=lake, settings=chosen, now=now)
        tally = collect([now.date()], lake=lake, settings=chosen, now=now)
        assert due.logs == tally.files_read
        assert days_read([now.date()], lake=lake, settings=chosen, now=now) == [now.date()]
        if tally.files_read:
            read_at[hours] = (tally.stored, tally.rejected)
    assert read_at == {0: (1, 2), 6: (1, 1), 16: (1, 0)}
    assert stored(lake) == ["1", "2", "3"]


def test_who_looks_for_work_finds_the_day_of_an_old_log_whose_record_is_due(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = settings(sent_logs="logs/{date}.jsonl", app_id="app")
    write(tmp_path, NOW - timedelta(hours=1), name="2026-11-20.jsonl")
    collect([SLOW.date() + timedelta(days=1)], lake=lake, settings=chosen, now=SLOW)
    assert (stored(lake), rejected(lake)) == ([], 1)
    assert days_waiting(lake=lake, settings=chosen, now=SLOW) == set()
    for later in (NOW, NOW + timedelta(days=30)):
        assert what_is_due(lake=lake, settings=chosen, now=later).range == (DAY, DAY)
        assert days_waiting(lake=lake, settings=chosen, now=later) == {DAY}


def test_records_that_wait_are_told_as_waiting_with_the_time_when_they_are_looked_at_again(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    write(tmp_path, NOW, NOW + timedelta(hours=30), NOW + timedelta(hours=31))
    tally = collect([DAY], lake=lake, settings=chosen, now=NOW)
    (told,) = tally.told.values()
    line = "in_future: 2 records in 1 file wait, first all.jsonl:2; looked at again from 2026-11-21 00:00 UTC"
    assert told.line == line
    assert [each.line for each in stored_rejects(lake=lake, settings=chosen)] == [line]
    assert f"waiting      {line}" in status_text(lake=lake, settings=chosen, now=NOW).splitlines()


def test_a_log_whose_records_were_corrected_is_not_looked_at_again(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    write(tmp_path, *[NOW] * 6, NOW + timedelta(hours=30), NOW + timedelta(days=400))
    collect([DAY], lake=lake, settings=chosen, now=NOW)
    write(tmp_path, *[NOW] * 8, later=1)
    tally = collect([DAY], lake=lake, settings=chosen, now=NOW)
    assert (tally.files_read, tally.waiting, rejected(lake)) == (1, 0, 0)
    later = NOW + timedelta(days=3)
    assert collect([later.date()], lake=lake, settings=chosen, now=later).files_read == 0


@pytest.mark.parametrize("ahead", [timedelta(days=40), timedelta(days=3), timedelta()])
def test_a_half_written_line_waits_whatever_the_clock_of_its_writer_shows(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path, ahead: timedelta
) -> None:
    """Half of an id would be another id. A file that stays as it is from run to run has rested after ten minutes."""
    chosen = settings(sent_logs="logs/all.csv", app_id="app")
    path = tmp_path / "logs" / "all.csv"
    path.parent.mkdir()
    path.write_text(f"msg_id,sent_at\n1,{SLOW.isoformat()}\n2,{SLOW.isoformat()}")
    os.utime(path, ((NOW + ahead).timestamp(),) * 2)
    seen = []
    for minutes in (0, 5, 9, 11, 15):
        now = NOW + timedelta(minutes=minutes)
        tally = collect([DAY], lake=lake, settings=chosen, now=now)
        seen.append((tally.files_read, stored(lake), tally.waiting))
    assert seen == [(1, ["1"], 1), (1, ["1"], 1), (1, ["1"], 1), (1, ["1", "2"], 0), (0, ["1", "2"], 0)]


def test_a_log_that_an_earlier_version_found_a_record_in_the_future_in_is_read_again(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    """Earlier versions noted no moment for it: without the change to their lake the message was missing for ever."""
    write(tmp_path, SLOW - timedelta(hours=1), NOW - timedelta(hours=1))
    collect([SLOW.date()], lake=lake, settings=chosen, now=SLOW)
    forget_waits(lake)
    assert collect([DAY], lake=lake, settings=chosen, now=NOW).files_read == 0, "the lake is not as it was then"
    forget_waits(lake)
    (lake.folder / "_marks" / "waits_noted").unlink()
    tally = collect([DAY], lake=lake, settings=chosen, now=NOW)
    assert (tally.files_read, tally.stored, tally.rejected) == (1, 1, 0)
    assert (stored(lake), rejected(lake)) == (["1", "2"], 0)
    assert collect([DAY], lake=lake, settings=chosen, now=NOW).files_read == 0


def forget_waits(lake: Lake) -> None:
    """Take the notes of when logs are read again out of the Delta log."""
    rename_transactions(lake, SENT_MESSAGES, lambda name: name.replace("_again", "_unknown_then"))
