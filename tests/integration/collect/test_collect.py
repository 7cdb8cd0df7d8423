"""Sent logs into the lake: every record in exactly one place, whatever is read again."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.collect.log_group import CollectTally
from pipeline.collect.sent_messages import collect
from pipeline.collect.told import stored_rejects
from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
Row = dict[str, object]


@pytest.fixture
def chosen(settings: Callable[..., Settings]) -> Settings:
    return settings(sent_logs="logs/{date}.jsonl", app_id="app")


def record(msg_id: int | str, sent_at: str = "2026-11-20T10:00:00Z", **more: object) -> str:
    return json.dumps({"msg_id": str(msg_id), "sent_at": sent_at} | more)


def write(folder: Path, name: str, *lines: str, later: int = 0) -> Path:
    """Write a log; `later` seconds are added to its modification time, so that each write is a change."""
    path = folder / "logs" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    os.utime(path, (1_700_000_000 + later, 1_700_000_000 + later))
    return path


def read(lake: Lake, chosen: Settings, *days: date, now: datetime = NOW) -> CollectTally:
    tally = collect(days or (DAY,), lake=lake, settings=chosen, now=now)
    assert tally.records == tally.stored + tally.duplicates + tally.rejected
    return tally


def rows(lake: Lake, table: object) -> list[Row]:
    from deltalake import DeltaTable  # noqa: PLC0415

    found: list[Row] = DeltaTable(lake.folder / getattr(table, "name")).to_pyarrow_table().to_pylist()  # noqa: B009
    return found


def ids(lake: Lake) -> Counter[object]:
    return Counter(row["msg_id"] for row in rows(lake, SENT_MESSAGES))


def rejects(lake: Lake) -> Counter[tuple[object, object]]:
    return Counter((row["line"], str(row["reason"]).partition(":")[0]) for row in rows(lake, REJECTED_RECORDS))


def test_each_record_ends_in_the_partition_of_its_time_or_among_the_rejects_with_its_place(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    path = write(
        tmp_path, "2026-11-20.jsonl", record(1), "{broken", record(2, "2026-11-21T00:30:00+02:00"), record("x")
    )
    tally = read(lake, chosen)
    assert (tally.records, tally.stored, tally.rejected) == (4, 2, 2)
    stored = {row["msg_id"]: (row["sent_date"], row["file"], row["line"]) for row in rows(lake, SENT_MESSAGES)}
    assert stored == {"1": (DAY, str(path), 1), "2": (DAY, str(path), 3)}
    found = [(r["source"], r["file"], r["line"], r["sent_date"]) for r in rows(lake, REJECTED_RECORDS)]
    assert sorted(found, key=str) == [("sent_log", str(path), 2, DAY), ("sent_log", str(path), 4, DAY)]


def test_files_of_the_day_and_of_either_side_are_read_and_no_others(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    for step in range(-3, 4):
        day = DAY + timedelta(days=step)
        write(tmp_path, f"{day}.jsonl", record(100 + step, f"{day}T10:00:00Z"))
    assert read(lake, chosen, now=NOW + timedelta(days=3)).files_read == 3
    assert ids(lake) == Counter(["99", "100", "101"])


def test_a_log_that_has_not_changed_is_not_read_again(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    write(tmp_path, "2026-11-20.jsonl", record(1), "{broken")
    assert read(lake, chosen).files_read == 1
    versions = [lake.snapshot(table).version for table in (SENT_MESSAGES, REJECTED_RECORDS)]
    tally = read(lake, chosen)
    assert (tally.files_matched, tally.files_read) == (1, 0)
    assert versions == [lake.snapshot(table).version for table in (SENT_MESSAGES, REJECTED_RECORDS)]


def test_a_log_that_vanishes_after_it_was_listed_is_named_and_takes_no_other_with_it(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    write(tmp_path, "2026-11-20.jsonl", *(record(number) for number in range(30_000)))
    gone = write(tmp_path, "2026-11-21.jsonl", record(99_999))

    def remove_once_the_first_is_read() -> None:
        while not any((lake.folder / "_scratch").glob("*/work.duckdb")):  # made after the logs were listed
            time.sleep(0.001)
        gone.unlink()

    remover = threading.Thread(target=remove_once_the_first_is_read)
    remover.start()
    tally = read(lake, chosen)
    remover.join()
    assert (tally.files_matched, tally.files_read, tally.files_gone) == (2, 1, [str(gone)])
    assert len(ids(lake)) == 30_000


@pytest.mark.parametrize("change", ["size", "time", "app"])
def test_a_log_that_has_changed_is_read_again_and_doubles_nothing(
    lake: Lake, chosen: Settings, tmp_path: Path, settings: Callable[..., Settings], change: str
) -> None:
    write(tmp_path, "2026-11-20.jsonl", record(1), "{broken")
    read(lake, chosen)
    more = [record(2)] if change == "size" else []
    write(tmp_path, "2026-11-20.jsonl", record(1), "{broken", *more, later=0 if change == "size" else 5)
    if change == "app":
        write(tmp_path, "2026-11-20.jsonl", record(1), "{broken")
        chosen = settings(sent_logs="logs/{date}.jsonl", app_id="app", sent_log_timezone="Asia/Tokyo")
    assert read(lake, chosen).files_read == 1
    assert ids(lake) == Counter(["1", "2"] if more else ["1"])
    assert rejects(lake) == {(2, "broken_line"): 1}


def test_a_line_that_was_being_written_and_is_whole_now_is_no_longer_a_reject(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path, "2026-11-20.jsonl", record(1))
    path.write_text(record(1) + "\n" + record(2)[:20])
    read(lake, chosen)
    assert list(rejects(lake)) == [(2, "unfinished_line")]
    write(tmp_path, "2026-11-20.jsonl", record(1), record(2), later=9)
    read(lake, chosen)
    assert ids(lake) == Counter(["1", "2"])
    assert rejects(lake) == {}


def test_a_log_that_vanishes_or_shrinks_removes_no_message(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    path = write(tmp_path, "2026-11-20.jsonl", record(1), record(2), "{broken")
    read(lake, chosen)
    write(tmp_path, "2026-11-20.jsonl", record(1), later=3)
    read(lake, chosen)
    path.unlink()
    assert read(lake, chosen).files_matched == 0
    assert ids(lake) == Counter(["1", "2"])


def test_of_one_id_with_several_times_and_attributes_the_earliest_record_counts(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    write(tmp_path, "2026-11-20.jsonl", record(1, "2026-11-20T11:00:00Z", sender_id="late"), record(1, sender_id="mid"))
    write(tmp_path, "2026-11-19.jsonl", record(1, "2026-11-19T23:00:00Z", sender_id="first"))
    tally = read(lake, chosen)
    assert (tally.stored, tally.duplicates) == (1, 2)
    (row,) = rows(lake, SENT_MESSAGES)
    assert (row["sender_id"], row["sent_date"]) == ("first", date(2026, 11, 19))


def test_of_one_id_twice_in_an_answer_the_first_row_counts(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    array = [{"msgId": "7", "number": f"9100000000{place:02}"} for place in range(40)]
    write(
        tmp_path,
        "2026-11-20.jsonl",
        json.dumps({"sent_at": "2026-11-20T10:00:00Z", "response": {"status": "0", "array": array}}),
    )
    assert read(lake, chosen).duplicates == 39
    assert [(row["msg_id"], row["number"]) for row in rows(lake, SENT_MESSAGES)] == [("7", "910000000000")]


def test_an_id_that_another_log_repeats_later_is_a_duplicate_across_midnight(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    write(tmp_path, "2026-11-20.jsonl", record(1, "2026-11-20T23:59:59Z"))
    read(lake, chosen)
    write(tmp_path, "2026-11-21.jsonl", record(1, "2026-11-21T00:00:01Z"))
    assert read(lake, chosen, now=NOW + timedelta(days=1)).duplicates == 1
    assert ids(lake) == Counter(["1"])


def test_the_same_id_of_two_apps_is_two_messages(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    write(tmp_path, "2026-11-20.jsonl", record(1, app_id="one"), record(1, app_id="two"))
    read(lake, chosen)
    assert ids(lake) == Counter({"1": 2})


def test_without_a_date_in_the_pattern_every_file_is_read_and_rejects_have_no_date(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = settings(sent_logs="logs/*.jsonl,logs/b.jsonl", app_id="app")
    first = record(1, content="x" * 300)
    write(tmp_path, "a.jsonl", first, record(2, "2026-01-05T10:00:00Z"), "{broken")
    write(tmp_path, "b.jsonl", record(3))
    tally = read(lake, chosen)
    assert (tally.files_read, tally.stored) == (2, 3)
    assert {row["sent_date"] for row in rows(lake, SENT_MESSAGES)} == {DAY, date(2026, 1, 5)}
    assert [row["sent_date"] for row in rows(lake, REJECTED_RECORDS)] == [None]
    write(tmp_path, "a.jsonl", first, "{broken" + " " * 99, "{broken", later=1)
    read(lake, chosen)
    assert rejects(lake) == {(2, "broken_line"): 1, (3, "broken_line"): 1}


def test_names_with_quotes_spaces_percent_signs_and_brackets_are_read(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = settings(sent_logs="logs/it's 100% [new]-{date}.jsonl", app_id="app")
    path = write(tmp_path, "it's 100% [new]-2026-11-20.jsonl", record(1), "{broken")
    read(lake, chosen)
    assert [row["file"] for row in rows(lake, SENT_MESSAGES)] == [str(path)]
    assert [row["file"] for row in rows(lake, REJECTED_RECORDS)] == [str(path)]
    assert read(lake, chosen).files_read == 0


@pytest.mark.parametrize("mode", ["mask", "hash", "drop"])
def test_no_number_reaches_the_lake_unless_it_is_kept(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path, mode: str
) -> None:
    number, text = "919876543210", "your code is 424242"
    chosen = settings(sent_logs="logs/{date}.jsonl", app_id="app", numbers=mode, numbers_key="k")
    write(
        tmp_path,
        "2026-11-20.jsonl",
        record(1, mobile=number, content=text),
        record("no id", mobile=number, text=text),
        record(2, "no time", mobile="+" + number, message=text),
    )
    assert read(lake, chosen).rejected == 2
    found = [*rows(lake, SENT_MESSAGES), *rows(lake, REJECTED_RECORDS)]
    assert not [row for row in found if any(number in str(v) or text in str(v) for v in row.values())]
    assert [row["country"] for row in rows(lake, SENT_MESSAGES)] == ["IN"]


def test_messages_of_many_days_in_one_log_are_stored_by_day_once_each(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    days = [DAY - timedelta(days=step) for step in range(70)]
    records = [record(number, f"{day}T10:00:00Z") for number, day in enumerate(days)]
    write(tmp_path, "all.jsonl", *records, *records[::2], record(0, f"{days[3]}T10:00:00Z"))
    tally = read(lake, settings(sent_logs="logs/all.jsonl", app_id="app"))
    assert (tally.stored, tally.duplicates) == (70, 36)
    stored = {row["msg_id"]: row["sent_date"] for row in rows(lake, SENT_MESSAGES)}
    assert stored == {str(number): day for number, day in enumerate(days)} | {"0": days[3]}


def test_each_reason_is_told_with_its_records_logs_and_first_place(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    bad = [record("x"), '{"msg_id": "7"}']
    write(tmp_path, "2026-11-20.jsonl", record(1), *bad, record(2), record(3))
    write(tmp_path, "2026-11-19.jsonl", *[record(n, "2026-11-19T10:00:00Z") for n in range(10, 15)], record("y"))
    tally = read(lake, chosen)
    assert tally.failures == []
    lines = {told.line for told in tally.told.values()}
    assert lines == {
        "bad_id: 2 records in 2 files, first 2026-11-19.jsonl:6",
        "no_time: 1 record in 1 file, first 2026-11-20.jsonl:3",
    }
    assert {told.line for told in stored_rejects(lake=lake, settings=chosen)} == lines


def test_a_log_that_is_mostly_unusable_fails_every_run_until_it_is_fixed(
    lake: Lake, chosen: Settings, tmp_path: Path
) -> None:
    path = write(tmp_path, "2026-11-20.jsonl", record(1), '{"id": "2"}', '{"id": "3"}')
    for _ in range(2):
        (failure,) = read(lake, chosen).failures
        assert failure.startswith(f"SMS_SENT_LOGS: {path} is mostly unusable: no_id: 2 records")
        assert "SMS_SENT_LOG_FIELDS (msg_id=NAME)" in failure
    write(tmp_path, "2026-11-20.jsonl", record(1), record(2), record(3), later=7)
    assert read(lake, chosen).failures == []


def write_csv(folder: Path, content: str, changed: datetime) -> None:
    path = folder / "logs" / "2026-11-20.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("msg_id,sent_at,number\n" + content)
    os.utime(path, (changed.timestamp(),) * 2)


def test_a_csv_line_without_its_end_waits_until_it_has_one(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    """Half of an id is an id, and half of a number a number: the line is stored when it is whole."""
    chosen = settings(sent_logs="logs/{date}.csv", app_id="app")
    write_csv(tmp_path, "1,2026-11-20T10:00:00Z,49151\n2,2026-11-20T10:00:00Z,4915", NOW - timedelta(minutes=9))
    tally = read(lake, chosen)
    assert (ids(lake), list(tally.told)) == (Counter({"1": 1}), ["unfinished_line"])
    write_csv(tmp_path, "1,2026-11-20T10:00:00Z,49151\n2,2026-11-20T10:00:00Z,4915112\n", NOW - timedelta(minutes=1))
    assert read(lake, chosen).rejected == 0
    assert {row["number"] for row in rows(lake, SENT_MESSAGES)} == {"49151", "4915112"}
    assert rows(lake, REJECTED_RECORDS) == []


def test_a_csv_line_without_its_end_is_a_line_once_its_file_has_rested(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = settings(sent_logs="logs/{date}.csv", app_id="app")
    write_csv(tmp_path, "1,2026-11-20T10:00:00Z,49151", NOW - timedelta(minutes=9))
    assert read(lake, chosen).rejected == 1
    tally = read(lake, chosen, now=NOW + timedelta(minutes=2))
    assert (tally.files_read, tally.stored, tally.rejected) == (1, 1, 0)
    assert rows(lake, REJECTED_RECORDS) == []
    assert read(lake, chosen, now=NOW + timedelta(minutes=3)).files_read == 0


def test_a_name_of_a_field_that_a_log_lacks_is_said(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings(sent_logs="logs/{date}.jsonl", app_id="app", sent_log_fields="msg_id=Reference, number=Dest")
    line = {"msg_id": "7", "reference": "8", "sent_at": "2026-11-20T10:00:00Z", "to": "4915112345678"}
    write(tmp_path, "2026-11-20.jsonl", json.dumps(line))
    read(lake, chosen)
    assert [(row["msg_id"], row["number"]) for row in rows(lake, SENT_MESSAGES)] == [("8", "4915112345678")]
    assert "2026-11-20.jsonl has no field Dest; fix SMS_SENT_LOG_FIELDS" in caplog.text


def rejected(lake: Lake) -> list[tuple[str, object, str]]:
    found = [
        (Path(str(row["file"])).name, row["line"], str(row["reason"]).split(":")[0])
        for row in rows(lake, REJECTED_RECORDS)
    ]
    return sorted(found, key=str)


def test_a_log_that_was_rotated_is_read_under_its_new_name_and_its_rejects_go_with_it(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = settings(sent_logs="logs/sent.jsonl", app_id="app")
    log = write(tmp_path, "sent.jsonl", record(1), "{broken")
    read(lake, chosen)
    write(tmp_path, "sent.jsonl", record(1), "{broken", record(2), later=1)
    log.rename(log.with_name("sent.jsonl.1"))
    write(tmp_path, "sent.jsonl", record(3), record(4), "{odd", later=2)
    read(lake, chosen)
    assert ids(lake) == Counter("1234")
    assert rejected(lake) == [("sent.jsonl", 3, "broken_line"), ("sent.jsonl.1", 2, "broken_line")]
    assert read(lake, chosen).files_read == 0


@pytest.mark.parametrize("others", [(record(3), record(4)), ("{odd",), (record(1),)])
def test_rejects_of_a_log_that_another_replaced_stay(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path, others: tuple[str, ...]
) -> None:
    chosen = settings(sent_logs="logs/sent.jsonl", app_id="app")
    write(tmp_path, "sent.jsonl", record(1), "{broken", record(2))
    read(lake, chosen)
    for later in (1, 2):
        write(tmp_path, "sent.jsonl", *others, later=later)
        read(lake, chosen)
        former = [each for each in rejected(lake) if "(replaced 2026-11-20T18:00:00Z)" in each[0]]
        assert [each[1:] for each in former] == [(2, "broken_line")]
        assert len(rejected(lake)) == 1 + ("{odd" in others)
    assert {"1", "2"} <= set(ids(lake))


@pytest.mark.parametrize(
    "name",
    ["2026-11-20.jsonl.1", "2026-11-20.1.jsonl", "2026-11-20.jsonl-20261121", "2026-11-20.jsonl.2026-11-21"],
)
def test_a_pattern_finds_its_logs_under_the_names_that_rotation_gives_them(
    lake: Lake, chosen: Settings, tmp_path: Path, name: str
) -> None:
    write(tmp_path, name, record(1))
    write(tmp_path, "2026-11-20.jsonl", record(2))
    assert read(lake, chosen).stored == 2
    assert ids(lake) == {"1": 1, "2": 1}


def test_a_date_in_a_pattern_may_have_a_form_of_its_own(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    write(tmp_path, "sent-20261120.jsonl", record(1))
    write(tmp_path, "sent-20261001.jsonl", record(2))
    tally = read(lake, settings(sent_logs="logs/sent-{date:%Y%m%d}.jsonl", app_id="app"))
    assert (tally.files_read, tally.stored) == (1, 1)


def test_a_hive_folder_names_the_app_of_records_that_name_none(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "logs" / "app_id=marketing1").mkdir(parents=True)
    write(tmp_path, "app_id=marketing1/2026-11-20.jsonl", record(1), record(2, app_id="own"))
    read(lake, settings(sent_logs="logs/*/{date}.jsonl", app_id="default"))
    assert {row["msg_id"]: row["app_id"] for row in rows(lake, SENT_MESSAGES)} == {"1": "marketing1", "2": "own"}
