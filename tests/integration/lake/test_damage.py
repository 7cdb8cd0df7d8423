"""A log that lost something stops every reader and writer of its table, with one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.lake.damage import DamagedTableError
from pipeline.lake.lake import Lake
from pipeline.lake.log_entries import entry_path, write_checkpoint
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.versions import noted
from pipeline.model.tables import DELIVERY_REPORTS
from tests.support.lakes import Said, answer_rows

DAY = date(2026, 3, 1)
ENTRIES = 5
Injury = Callable[[Path], object]


def reopened(lake: Lake) -> Lake:
    return Lake.open(lake.folder, mode=0o640, recorded={})


def append_one(lake: Lake, number: int) -> None:
    said = Said(str(number), "delivered", datetime(2026, 3, 1, 12, tzinfo=UTC))
    rows = pa.Table.from_pylist(answer_rows([(said, DAY)]), schema=arrow_schema(DELIVERY_REPORTS))
    lake.append(DELIVERY_REPORTS, [lake.write(DELIVERY_REPORTS, rows, DAY)])


@pytest.fixture
def answered(lake: Lake) -> Lake:
    """Give a lake with the entries 1 to ENTRIES of `delivery_reports`, an answer each."""
    for number in range(1, ENTRIES + 1):
        append_one(lake, number)
    return lake


def cut_in_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def cut_between_lines(path: Path) -> None:
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:-1]))


def fill_with_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def zeros_at_the_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100] + bytes(100))


INJURIES: dict[str, Injury] = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut in a line": cut_in_a_line,
    "cut between lines": cut_between_lines,
    "zeros": fill_with_zeros,
    "zeros at the end": zeros_at_the_end,
    "removed": Path.unlink,
}


def assert_stops(lake: Lake, path: Path) -> None:
    for act in (lambda: lake.snapshot(DELIVERY_REPORTS), lambda: append_one(lake, 99)):
        with pytest.raises(DamagedTableError) as stopped:
            act()
        line = str(stopped.value)
        assert "\n" not in line
        assert "delivery_reports" in line
        assert str(path) in line
        assert "sms-delivery repair" in line


@pytest.mark.parametrize("injury", INJURIES.values(), ids=INJURIES)
@pytest.mark.parametrize("version", range(ENTRIES + 1))
def test_an_entry_at_any_place_that_is_not_as_it_was_written_stops_readers_and_writers(
    version: int, injury: Injury, answered: Lake
) -> None:
    path = entry_path(answered.folder_of(DELIVERY_REPORTS) / "_delta_log", version)
    injury(path)
    assert_stops(reopened(answered), path)


def test_a_process_that_read_the_table_before_sees_that_its_newest_entry_is_damaged(answered: Lake) -> None:
    assert answered.snapshot(DELIVERY_REPORTS).rows == ENTRIES
    path = entry_path(answered.folder_of(DELIVERY_REPORTS) / "_delta_log", ENTRIES)
    path.unlink()
    with pytest.raises(DamagedTableError, match=str(path)):
        answered.snapshot(DELIVERY_REPORTS)


@pytest.mark.parametrize("injury", INJURIES.values(), ids=INJURIES)
def test_a_checkpoint_that_is_not_as_it_was_written_stops_readers_and_writers(injury: Injury, answered: Lake) -> None:
    folder = answered.folder_of(DELIVERY_REPORTS)
    with answered.scratch() as scratch:
        write_checkpoint(folder, scratch)
    append_one(answered, 6)
    assert reopened(answered).snapshot(DELIVERY_REPORTS).rows == ENTRIES + 1
    (path,) = folder.glob("_delta_log/*.checkpoint.parquet")
    injury(path)
    assert_stops(reopened(answered), path.with_name("_last_checkpoint") if not path.exists() else path)


def test_a_log_that_is_gone_is_not_taken_for_a_new_table(answered: Lake) -> None:
    log = answered.folder_of(DELIVERY_REPORTS) / "_delta_log"
    log.rename(log.with_name("elsewhere"))
    assert_stops(reopened(answered), entry_path(log, 0))


def test_rows_that_do_not_fit_the_note_of_their_version_stop_readers(answered: Lake) -> None:
    path = entry_path(answered.folder_of(DELIVERY_REPORTS) / "_delta_log", ENTRIES)
    path.write_text(path.read_text().replace('\\"numRecords\\": 1', '\\"numRecords\\": 0'))
    with pytest.raises(DamagedTableError, match="4 rows and had 5"):
        reopened(answered).snapshot(DELIVERY_REPORTS)


def test_each_commit_notes_version_and_rows_and_a_note_never_goes_back(answered: Lake) -> None:
    note = noted(answered, DELIVERY_REPORTS)
    assert note
    assert (note.version, note.rows) == (ENTRIES, ENTRIES)


def test_a_lake_without_notes_is_read_as_before(answered: Lake) -> None:
    (answered.folder / "_versions" / "delivery_reports.json").unlink()
    assert reopened(answered).snapshot(DELIVERY_REPORTS).rows == ENTRIES
    append_one(answered, 6)
    assert noted(answered, DELIVERY_REPORTS)


@pytest.mark.slow
def test_every_hundred_versions_a_checkpoint_is_written_that_opens(lake: Lake) -> None:
    for number in range(201):
        append_one(lake, number)
    log = lake.folder_of(DELIVERY_REPORTS) / "_delta_log"
    assert sorted(path.name[:20].lstrip("0") for path in log.glob("*.checkpoint.parquet")) == ["100", "200"]
    for path in log.glob("*.json"):
        if int(path.name[:20]) <= 200:
            path.unlink()
    assert reopened(lake).snapshot(DELIVERY_REPORTS).rows == 201
