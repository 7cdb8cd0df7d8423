"""A damaged lake stops every command with one line, and `repair` puts it right as far as its files allow."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.lake.lake import Lake
from pipeline.lake.log_entries import write_checkpoint
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, LAKE_TABLES, MESSAGES, SENT_MESSAGES, Table
from tests.support.places import Answers, Place, still_place
from tests.support.processes import UNDISTURBED_SQL, assert_one_clear_line, assert_tables_open, assert_whole

ALL_FILES = {str(table.name): table for table in LAKE_TABLES}


@dataclass(frozen=True)
class Kept:
    """A place where a run was made, its data as they were then, and what it published."""

    place: Place
    answers: Answers
    copy: Path
    rows: list[tuple[object, ...]]

    def restore(self) -> None:
        """Put the data back."""
        shutil.rmtree(self.place.folder / "data")
        shutil.copytree(self.copy, self.place.folder / "data", symlinks=True)

    def entries(self, table: Table) -> list[Path]:
        return sorted((self.place.lake / table.name / "_delta_log").glob("*.json"))

    def lake(self) -> Lake:
        return Lake(self.place.lake, 0o640)


@pytest.fixture(scope="module")
def of_one_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("place")
    with still_place(folder, messages=1200, batch=5) as (place, answers):
        with max((folder / "logs").iterdir()).open("a", encoding="utf-8") as log:
            log.write("{broken\n")  # so that each table has a file
        place.run("run")
        shutil.copytree(folder / "data", folder / "copy", symlinks=True)
        yield Kept(place, answers, folder / "copy", place.query(UNDISTURBED_SQL))


@pytest.fixture
def kept(of_one_run: Kept) -> Kept:
    of_one_run.restore()
    return of_one_run


def state_of(folder: Path) -> dict[str, str]:
    """Return the content of every file but locks and scratch space."""
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not {"_locks", "_scratch"} & set(path.parts)
    }


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def fill_with_zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def remove(path: Path) -> None:
    path.unlink()


INJURIES: dict[str, Callable[[Path], None]] = {"empty": empty, "cut": cut, "zeros": fill_with_zeros, "removed": remove}


def with_checkpoint(kept: Kept, table: Table) -> Path:
    """Write a checkpoint of a table; return its path."""
    with kept.lake().scratch() as scratch:
        write_checkpoint(kept.place.lake / table.name, scratch)
    return max((kept.place.lake / table.name / "_delta_log").glob("*.checkpoint.parquet"))


def steps_in(said: str) -> list[str]:
    """Return what was done, without lines of progress: a machine under load has more of those."""
    return [line for line in said.splitlines() if line.startswith("  ")]


def assert_repaired(kept: Kept, *, whole: bool = True) -> str:
    """Repair; assert that it is safe to say and to repeat, and that a rebuild and a run complete the lake."""
    place = kept.place
    before = state_of(place.lake)
    would = place.run("repair", "--dry-run").stdout
    assert state_of(place.lake) == before
    said = place.run("repair").stdout
    assert len(steps_in(said)) == len(steps_in(would))
    assert "is sound" not in said
    after = state_of(place.lake)
    assert "is sound" in place.run("repair").stdout
    assert state_of(place.lake) == after
    place.run("rebuild")
    first = min(kept.answers.days.values())
    place.run("run", "--from", first)
    assert_tables_open(place)
    if whole:
        assert_whole(place, kept.answers)
        assert place.query(UNDISTURBED_SQL) == kept.rows
    return said


@pytest.mark.parametrize("injury", INJURIES.values(), ids=INJURIES)
def test_each_command_stops_at_a_damaged_newest_entry_and_replaces_nothing(
    injury: Callable[[Path], None], kept: Kept
) -> None:
    entry = kept.entries(DELIVERY_REPORTS)[-1]
    injury(entry)
    data = kept.place.folder / "data"
    before = state_of(data)
    for arguments in (("publish",), ("rebuild",), ("run",), ("status",), ("doctor",), ("forget", "447700900123")):
        done = kept.place.run(*arguments, status=1)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if str(entry) in line]
        assert lines, (arguments, done.stdout, done.stderr)
        assert all("delivery_reports" in line and "sms-delivery repair" in line for line in lines)
        assert "<unknown>" not in done.stdout + done.stderr
        after = state_of(data)
        assert {n: h for n, h in after.items() if n in before} == before
        if arguments[0] in {"publish", "rebuild", "status"}:
            assert_one_clear_line(done.stderr)


@pytest.mark.thorough
@pytest.mark.parametrize("injury", INJURIES.values(), ids=INJURIES)
@pytest.mark.parametrize("table", ALL_FILES.values(), ids=ALL_FILES)
@pytest.mark.parametrize("place_in_log", ["first", "middle", "last"])
def test_an_entry_of_any_table_at_any_place_is_repaired(
    place_in_log: str, table: Table, injury: Callable[[Path], None], kept: Kept
) -> None:
    entries = kept.entries(table)
    injury(entries[{"first": 0, "middle": len(entries) // 2, "last": -1}[place_in_log]])
    if injury is remove and len(entries) == 1:  # of an empty table: whatever opens the lake makes it anew
        kept.place.run("status")
        assert len(kept.entries(table)) == 1
        assert "is sound" in kept.place.run("repair").stdout
    else:
        assert table.name in assert_repaired(kept)


@pytest.mark.thorough
@pytest.mark.parametrize("injury", INJURIES.values(), ids=INJURIES)
@pytest.mark.parametrize("table", [SENT_MESSAGES, DELIVERY_REPORTS, MESSAGES], ids=lambda table: str(table.name))
def test_a_checkpoint_whose_entries_are_there_is_made_again_and_nothing_is_lost(
    table: Table, injury: Callable[[Path], None], kept: Kept
) -> None:
    injury(with_checkpoint(kept, table))
    said = assert_repaired(kept)
    assert "lost" not in said
    assert "derived again" not in said


@pytest.mark.thorough
@pytest.mark.parametrize("injury", INJURIES.values(), ids=INJURIES)
@pytest.mark.parametrize("table", ALL_FILES.values(), ids=ALL_FILES)
def test_a_checkpoint_without_its_entries_is_replaced_by_what_the_data_files_say(
    table: Table, injury: Callable[[Path], None], kept: Kept
) -> None:
    path = with_checkpoint(kept, table)
    for entry in kept.entries(table):
        entry.unlink()
    injury(path)
    assert_repaired(kept)


@pytest.mark.thorough
@pytest.mark.parametrize("injury", INJURIES.values(), ids=INJURIES)
@pytest.mark.parametrize("table", ALL_FILES.values(), ids=ALL_FILES)
def test_a_data_file_that_is_lost_is_named_with_its_day_and_rows(
    table: Table, injury: Callable[[Path], None], kept: Kept
) -> None:
    files = kept.lake().snapshot(table).files
    injury(files[0].path)
    done = kept.place.run("doctor", status=1)
    assert str(files[0].path) in done.stdout
    said = assert_repaired(kept)
    assert f"{files[0].rows:,} rows" in said
    assert str(files[0].sent_date or "lost") in said


@pytest.mark.slow
def test_final_answers_of_a_lost_file_are_kept_as_messages_knows_them_and_not_asked_again(kept: Kept) -> None:
    for file in kept.lake().snapshot(DELIVERY_REPORTS).files:
        file.path.unlink()
    calls = len(kept.place.simulator.calls)
    said = assert_repaired(kept)
    finals = sum(state in {"delivered", "failed"} for state in kept.answers.states.values())
    assert f"{finals:,} rows are kept" in said
    asked = {msg_id for call in kept.place.simulator.calls[calls:] for msg_id in call.msg_ids}
    assert not {msg_id for msg_id in asked if kept.answers.states.get(msg_id) in {"delivered", "failed"}}


@pytest.mark.slow
def test_messages_of_a_log_that_is_gone_are_kept_as_messages_knows_them(kept: Kept) -> None:
    logs = kept.place.folder / "logs"
    for file in kept.lake().snapshot(SENT_MESSAGES).files:
        file.path.unlink()
    logs.rename(logs.with_name("rotated"))
    try:
        kept.place.run("repair")
        kept.place.run("rebuild")
        assert_whole(kept.place, kept.answers)
    finally:
        logs.with_name("rotated").rename(logs)


@pytest.mark.slow
def test_repair_waits_for_no_run_and_says_that_one_is_at_work(kept: Kept) -> None:
    remove(kept.entries(API_CALLS)[-1])
    with kept.lake().scratch():
        done = kept.place.run("repair", status=1)
    assert "at work" in done.stderr
    assert_repaired(kept)
