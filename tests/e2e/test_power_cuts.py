"""A power cut at any moment of a run leaves a lake that the next run completes, and takes back nothing committed.

A run is recorded once, call by call. Then each test writes what a disk may hold after a power cut at one of these
calls (`tests/support/power_cuts.py`), and runs the command again: it must end as if the power had never gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from pipeline.lake.damage import LogFiles, footer_damage
from pipeline.lake.lake import Lake
from pipeline.lake.versions import noted
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, LAKE_TABLES, SENT_MESSAGES
from tests.support.disk import Change, Disk
from tests.support.places import COMMAND, Answers, Place, logged_messages, still_place
from tests.support.power_cuts import Survives, any_of_them, everything, nothing, write_what_is_left
from tests.support.processes import UNDISTURBED_SQL, asked_ids, assert_whole, chance_of
from tests.support.syscalls import recorded

PACED = {"SMS_MAX_REQUESTS_PER_SECOND": "150"}
"""A pace at which a run commits answers several times."""
STAY = {SENT_MESSAGES.name: ["msg_id"], DELIVERY_REPORTS.name: ["msg_id", "call_id"], API_CALLS.name: ["call_id"]}
"""Tables whose rows stay, and what doesn't change of a row."""
MAINTAIN = """
from datetime import UTC, datetime, timedelta
from assets.resources import Workspace
from pipeline.derive.messages import derive_messages
from pipeline.maintain.clean import clean
from pipeline.maintain.compact import compact
from pipeline.model.tables import MESSAGES
from pipeline.publish.database import publish

workspace = Workspace()
settings = workspace.settings.model_copy(update={"snapshot_hours": 0})
later = {"lake": workspace.lake, "settings": settings, "now": datetime.now(UTC) + timedelta(days=60)}
derive_messages(workspace.lake.snapshot(MESSAGES).days(), **later)
print(compact(**later))
publish(**later)
print(clean(**later))
"""
"""What maintenance does two months later."""
_ENTRY = re.compile(r"(\w+)/_delta_log/[0-9]{20}\.json$")
Rows = set[tuple[str, ...]]


@dataclass(frozen=True)
class Stored:
    """Rows that a commit added to a table, and the call after which the commit was finished."""

    table: str
    finished: int
    rows: Rows


@dataclass(frozen=True)
class Recording:
    """A run that was recorded, and what it led to.

    Attributes:
        disk: the data before the run, and each change since.
        rows: what was published.
        stored: what its commits stored, and those before it.
        arguments: of the command.
    """

    place: Place
    answers: Answers
    disk: Disk
    rows: list[tuple[object, ...]]
    stored: list[Stored]
    arguments: tuple[str, ...]

    def cut(self, at: int, survives: Survives) -> list[Change]:
        """Leave what a power cut after a call leaves; return what was lost."""
        shutil.rmtree(self.place.folder / "data", ignore_errors=True)
        return write_what_is_left(self.disk, at, survives)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    folder = tmp_path_factory.mktemp("place")
    with still_place(folder, messages=1200, batch=5) as (place, answers):
        yield recording(place, answers, "run")


@pytest.fixture(scope="module")
def later_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """Record a run after which logs were corrected: another app, another day."""
    folder = tmp_path_factory.mktemp("place")
    with still_place(folder, messages=1200, batch=5) as (place, answers):
        place.run("run")
        correct(folder / "logs")
        days = logged_messages(folder / "logs")
        assert days != answers.days
        yield recording(place, Answers(answers.states, days), "run", "--force", "--from", min(days.values()))


def correct(logs: Path) -> None:
    """Change the logs: the app of each tenth record, the day of each seventh."""
    for path in sorted(logs.glob("*.jsonl")):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        for record in records[::10]:
            record["app_id"] = "app2"
        for record in records[::7]:
            record["sent_at"] = (datetime.fromisoformat(record["sent_at"]) - timedelta(days=1)).isoformat()
        path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


def recording(place: Place, answers: Answers, *arguments: str) -> Recording:
    """Run a command, and record it; assert that the model leaves what the run left if nothing is lost."""
    data = place.folder / "data"
    disk = Disk(data)
    disk.replay(recorded(place, place.folder / "calls", COMMAND, *arguments, **PACED), working_folder=place.folder)
    (place.folder / "calls").unlink()
    assert_whole(place, answers)
    whole = Recording(place, answers, disk, place.query(UNDISTURBED_SQL), stored_by(disk), arguments)
    left = state_of(data)
    whole.cut(disk.calls, everything)
    assert state_of(data) == left
    return whole


def state_of(folder: Path) -> dict[str, str]:
    """Return the content of each file, and where links lead."""
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {
        name: str(path.readlink()) if path.is_symlink() else hashlib.blake2b(path.read_bytes()).hexdigest()
        for name, path in paths.items()
        if path.is_symlink() or path.is_file()
    }


def stored_by(disk: Disk) -> list[Stored]:
    """Return what each commit of tables whose rows stay has stored; with its process's next name it is finished."""
    found: list[Stored] = []
    named = [change for change in disk.changes if any(name.node for name in change.names)]
    for change, following in pairwise([*named, Change(disk.calls)]):
        for name in change.names:
            entry = _ENTRY.search(str(name.path))
            if entry and entry[1] in STAY and name.node and "_scratch" not in name.path.parts:
                rows = rows_added(name.path.parents[1], bytes(name.node.content), STAY[entry[1]])
                found.append(Stored(entry[1], following.at, rows))
    return found


def rows_added(folder: Path, entry: bytes, columns: list[str]) -> Rows:
    """Return the rows of the files that an entry adds to the table in a folder."""
    actions = [json.loads(line) for line in entry.splitlines()]
    files = [folder / unquote(action["add"]["path"]) for action in actions if "add" in action]
    tables = [pq.read_table(file, columns=columns, partitioning=None) for file in files]
    return {tuple(row.values()) for table in tables for row in table.to_pylist()}


def rows_now(place: Place, table: str) -> Rows:
    """Return the rows of a table, read without the project's code; none of one that is not there."""
    folder = place.lake / table
    if not (folder / "_delta_log").is_dir() or not list((folder / "_delta_log").glob("*.json")):
        return set()
    return {tuple(row.values()) for row in DeltaTable(folder).to_pyarrow_table(columns=STAY[table]).to_pylist()}


def assert_nothing_taken_back(whole: Recording, at: int) -> None:
    """Assert that each row is there that a finished commit has stored."""
    for table in STAY:
        finished = set[tuple[str, ...]]().union(
            *(each.rows for each in whole.stored if each.finished <= at and each.table == table)
        )
        assert finished <= rows_now(whole.place, table), table


@contextmanager
def told(whole: Recording, at: int, lost: list[Change]) -> Iterator[None]:
    """Tell with a failure what was lost."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"power cut after call {at} of {whole.disk.calls}; lost:")
        for change in lost[-40:]:
            error.add_note(f"  {change.at}: {change}")
        raise


def moment_of(whole: Recording, chance: random.Random) -> int:
    """Choose a call; half of the time one that changed names: most others write some bytes of a data file."""
    of_names = chance.random() < 0.5
    return chance.choice([change.at for change in whole.disk.changes if change.at and (change.names or not of_names)])


def assert_sound(whole: Recording, at: int) -> None:
    """Assert that nothing is taken back, and that all opens that is there."""
    assert_nothing_taken_back(whole, at)
    lake = Lake(whole.place.lake, 0o640)
    for table in LAKE_TABLES:
        if LogFiles.of(lake.folder_of(table)).newest >= 0 or noted(lake, table):
            assert [wrong for file in lake.snapshot(table).files if (wrong := footer_damage(file))] == []
    if whole.place.published.is_symlink():
        whole.place.query("FROM messages")


def assert_completed(whole: Recording, chance: random.Random) -> None:
    """Cut the power at a random moment; assert that a run ends as if it had never gone, and nothing is taken back."""
    place, at = whole.place, moment_of(whole, chance)
    with told(whole, at, whole.cut(at, any_of_them(chance))):
        assert_sound(whole, at)
        answered = {msg_id for msg_id, _ in rows_now(place, DELIVERY_REPORTS.name)}
        calls = len(place.simulator.calls)
        place.run(*whole.arguments)
        assert_whole(place, whole.answers)
        assert place.query(UNDISTURBED_SQL) == whole.rows
        assert_nothing_taken_back(whole, at)
        assert place.query("FROM delivery_reports ANTI JOIN api_calls USING (call_id)") == []
        final = {msg_id for msg_id, state in whole.answers.states.items() if state in {"delivered", "failed"}}
        assert not answered & final & set(asked_ids(place, calls))


SEEDS = [pytest.param(seed, marks=pytest.mark.slow if seed < 10 else pytest.mark.thorough) for seed in range(260)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_in_a_first_run_takes_nothing_back_and_the_next_run_completes_it(
    seed: int, first_run: Recording
) -> None:
    assert_completed(first_run, chance_of(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_in_a_run_that_corrects_takes_nothing_back_and_the_next_run_completes_it(
    seed: int, later_run: Recording
) -> None:
    assert_completed(later_run, chance_of(seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first_run", "later_run"])
def test_after_a_power_cut_at_any_of_a_hundred_moments_the_lake_opens_without_a_repair(
    name: str, request: pytest.FixtureRequest
) -> None:
    whole: Recording = request.getfixturevalue(name)
    for seed in range(100):
        chance = chance_of(1000 + seed)
        at = moment_of(whole, chance)
        with told(whole, at, whole.cut(at, any_of_them(chance))):
            assert_sound(whole, at)


@pytest.mark.slow
def test_a_power_cut_while_files_are_compacted_and_deleted_loses_no_row(tmp_path: Path) -> None:
    """Old files and entries are deleted once nobody needs them, and what replaced them is on the disk."""
    data = tmp_path / "data"
    with still_place(tmp_path, messages=1200, batch=5) as (place, answers):
        place.run("run", status=0, **PACED)
        for entry in place.lake.glob("*/_delta_log/*.json"):
            os.utime(entry, (0, 0))  # old enough to be deleted
        stored = [Stored(table, 0, rows_now(place, table)) for table in STAY]
        before = set(state_of(data))
        disk = Disk(data)
        disk.replay(recorded(place, tmp_path / "calls", sys.executable, "-c", MAINTAIN), working_folder=tmp_path)
        whole = Recording(place, answers, disk, [], stored, ())
        assert {Path(name).suffix for name in before - set(state_of(data))} >= {".parquet", ".json"}
        for seed in range(40):
            chance = chance_of(seed)
            at = moment_of(whole, chance)
            with told(whole, at, whole.cut(at, any_of_them(chance))):
                assert_sound(whole, at)


@pytest.mark.slow
def test_a_power_cut_after_a_number_was_erased_brings_no_file_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with still_place(tmp_path, messages=300, batch=50) as (place, _):
        place.run("run")
        ((number,),) = place.query("SELECT number FROM messages WHERE number IS NOT NULL LIMIT 1")
        disk = Disk(data)
        disk.replay(recorded(place, tmp_path / "calls", COMMAND, "forget", str(number)), working_folder=tmp_path)
    left = state_of(data).items()
    shutil.rmtree(data)
    write_what_is_left(disk, disk.calls, nothing)
    assert state_of(data).items() <= left
