"""Compacting and cleaning keep rows and readers and delete unneeded files, through kills and concurrent writers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import IN_FLIGHT, Lake
from pipeline.maintain.clean import CleanTally, clean
from pipeline.maintain.compact import CompactTally, compact
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import DELIVERY_REPORTS, LAKE_TABLES, MESSAGES, SENT_MESSAGES, Table
from pipeline.publish.database import publish
from tests.support.lakes import Said, Sent, store_answers, store_balance, store_sent

NOW = datetime.now(UTC)
SENT_AT = (NOW - timedelta(days=20)).replace(hour=12)
DAY = SENT_AT.date()
LATER = timedelta(hours=30)
"""Longer than files are kept by default, and than a partition must rest."""


class World:
    """A lake with a day of many small files, and what may be done to it."""

    def __init__(self, folder: Path) -> None:
        self.settings: Settings = given_settings(folder)
        self.lake = Lake.open(self.settings.lake, mode=0o640, recorded={})
        for number in range(6):
            self.send(f"{number}")
            self.answer(f"{number}", "delivered" if number % 2 else "failed")
        self.derive()

    def send(self, msg_id: str) -> None:
        store_sent(self.lake, [Sent(msg_id, SENT_AT, country="IN")])

    def answer(self, msg_id: str, status: str) -> None:
        store_answers(self.lake, [(Said(msg_id, status, SENT_AT + timedelta(minutes=9)), DAY)])

    def derive(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        messages = derive_messages([DAY], lake=self.lake, settings=self.settings, now=NOW)
        rates = derive_rates([DAY], lake=self.lake, settings=self.settings, now=NOW)
        return messages.replaced, rates.replaced

    def publish(self) -> None:
        publish(lake=self.lake, settings=self.settings, now=NOW)

    def compact(self, now: datetime = NOW + LATER) -> CompactTally:
        return compact(lake=self.lake, settings=self.settings, now=now)

    def clean(self, *, hours: float = 24, now: datetime = NOW + LATER, others: Collection[str] = ()) -> CleanTally:
        """Clean when the platform's clock and this machine's say the same."""
        store_balance(self.lake, now)
        settings = self.settings.model_copy(update={"snapshot_hours": hours})
        return clean(lake=self.lake, settings=settings, now=now, others=others)

    def files(self, table: Table) -> list[Path]:
        return [file.path for file in self.lake.snapshot(table).files]

    def rows(self, table: Table) -> list[tuple[object, ...]]:
        names = [str(path) for path in self.files(table)]
        return duckdb.read_parquet(names, hive_partitioning=True).order("ALL").fetchall()


@pytest.fixture
def world(tmp_path: Path) -> World:
    before = os.umask(0o077)
    made = World(tmp_path)
    os.umask(before)
    return made


def test_a_closed_partition_becomes_one_file_with_the_same_rows(world: World) -> None:
    before = {table: world.rows(table) for table in (SENT_MESSAGES, DELIVERY_REPORTS)}
    latest = world.lake.snapshot(DELIVERY_REPORTS).latest
    tally = world.compact()
    assert tally.partitions == {"sent_messages": 1, "delivery_reports": 1}
    assert (tally.files_before, tally.files_after, tally.left) == (12, 2, 0)
    for table, rows in before.items():
        (path,) = world.files(table)
        assert path.stat().st_mode & 0o777 == 0o640
        assert world.rows(table) == rows
        assert DeltaTable(world.lake.folder_of(table)).to_pyarrow_table().num_rows == len(rows)
    assert world.lake.snapshot(DELIVERY_REPORTS).latest == latest
    assert world.compact().partitions == {}


def test_nothing_is_derived_again_for_a_partition_that_was_compacted(world: World) -> None:
    version = world.lake.snapshot(MESSAGES).version
    tables = (SENT_MESSAGES, DELIVERY_REPORTS)
    added = {table: max(f.added_ms for f in world.lake.snapshot(table).files) for table in tables}
    world.compact()
    assert {table: world.lake.snapshot(table).files[0].added_ms for table in added} == added
    assert world.derive() == ((), ())
    assert world.lake.snapshot(MESSAGES).version == version


def test_an_answer_that_comes_after_compacting_is_derived(world: World) -> None:
    world.compact()
    world.send("late")
    world.answer("late", "delivered")
    assert world.derive() == ((DAY,), (DAY,))
    assert len(world.rows(MESSAGES)) == 7


@pytest.mark.parametrize(
    ("sent_days_ago", "status", "closed"),
    [(20, "sending", True), (3, "sending", False), (20, "delivered", True), (1, "delivered", False)],
)
def test_only_partitions_in_which_no_message_may_change_are_closed(
    tmp_path: Path, sent_days_ago: int, status: str, *, closed: bool
) -> None:
    settings = given_settings(tmp_path)
    lake = Lake.open(settings.lake, mode=0o640, recorded={})
    rested = NOW + timedelta(hours=2)  # perhaps on the next day: days count from here
    sent_at = rested - timedelta(days=sent_days_ago)
    for number in "12":
        store_sent(lake, [Sent(number, sent_at)])
        store_answers(lake, [(Said(number, status, sent_at), sent_at.date())])
    assert compact(lake=lake, settings=settings, now=rested).partitions == {}  # not derived yet
    derive_messages([sent_at.date()], lake=lake, settings=settings, now=NOW)
    tally = compact(lake=lake, settings=settings, now=rested)
    assert bool(tally.partitions) == closed


def test_a_message_never_asked_for_keeps_its_partition_open_while_the_platform_remembers_it(tmp_path: Path) -> None:
    settings = given_settings(tmp_path)
    lake = Lake.open(settings.lake, mode=0o640, recorded={})
    for number in "12":
        store_sent(lake, [Sent(number, SENT_AT)])
    derive_messages([DAY], lake=lake, settings=settings, now=NOW)
    assert compact(lake=lake, settings=settings, now=NOW + LATER).partitions == {}
    assert compact(lake=lake, settings=settings, now=NOW + timedelta(days=80)).partitions == {"sent_messages": 1}


def test_a_partition_is_not_compacted_while_files_are_added_to_it(world: World) -> None:
    assert world.compact(NOW).partitions == {}


def test_replaced_files_are_kept_for_open_connections_and_then_go(world: World) -> None:
    world.publish()
    old = {path for table in LAKE_TABLES for path in world.files(table)}
    count = "SELECT count(*) FROM messages SEMI JOIN delivery_reports USING (msg_id)"
    with duckdb.connect(world.settings.duckdb, read_only=True) as reader:
        world.compact()
        assert world.clean().files == 0  # the published file names them
        world.publish()
        tally = world.clean(now=NOW + timedelta(hours=23))
        assert (tally.files, tally.kept) == (0, 12)
        assert reader.execute(count).fetchall() == [(6,)]
    tally = world.clean(now=NOW + LATER)
    assert (tally.files, tally.kept) == (12, 0)
    named = {path for table in LAKE_TABLES for path in world.files(table)}
    assert {path for path in old if path.exists()} == old & named
    assert all(path.exists() for path in named)


def test_files_written_and_not_committed_are_not_deleted_even_with_zero_snapshot_hours(world: World) -> None:
    written = world.lake.new_file(SENT_MESSAGES, DAY)
    written.write_bytes(b"not committed yet")
    assert world.clean(hours=0, now=NOW + LATER).files == 0
    long_ago = (NOW - IN_FLIGHT - timedelta(minutes=1)).timestamp()
    os.utime(written, (long_ago, long_ago))
    assert world.clean(hours=24, now=NOW).files == 0
    assert written.exists()
    assert world.clean(hours=0, now=NOW).files == 1
    assert not written.exists()


def test_files_replaced_while_a_run_is_at_work_stay_until_it_ends(world: World) -> None:
    with world.lake.scratch():
        world.compact()
        assert world.clean(hours=0).files == 0
        assert world.clean(hours=0).kept == 12
    assert world.clean(hours=0).files == 12


def test_files_replaced_while_a_run_of_another_machine_is_at_work_stay_until_it_ends(world: World) -> None:
    world.compact()
    assert world.clean(hours=0, others=["run 1"]).kept == 12
    assert world.clean(hours=0, others=["run 1", "run 2"]).kept == 12
    assert world.clean(hours=0, others=["run 2"]).files == 12  # it began when they had been replaced


def test_no_file_is_deleted_while_the_published_file_can_not_be_read(world: World) -> None:
    world.settings.duckdb.write_bytes(b"this is no database at all" * 1000)
    world.compact()
    with pytest.raises(LakeError, match="SMS_DUCKDB"):
        world.clean(hours=0)


def test_logs_are_shortened_and_a_replaced_file_is_still_known_afterwards(world: World) -> None:
    world.compact()
    log = world.lake.folder_of(SENT_MESSAGES) / "_delta_log"
    for entry in log.glob("*.json"):
        os.utime(entry, (0, 0))
    assert world.clean(now=NOW - timedelta(days=1)).files == 0
    assert len(list(log.glob("*.checkpoint.parquet"))) == 1
    assert len(list(log.glob("*.json"))) < 6
    assert len(world.rows(SENT_MESSAGES)) == 6
    world.send("more")
    tally = world.clean(hours=0, now=NOW + LATER)
    assert tally.files == 12
    assert len(world.rows(SENT_MESSAGES)) == 7


COMPACTING = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pipeline.maintain.compact import compact
from pipeline.lake.lake import Lake
from pipeline.model.settings import given_settings
settings = given_settings(Path(sys.argv[1]))
lake = Lake.open(settings.lake, mode=0o640, recorded={})
print("compacting", flush=True)
compact(lake=lake, settings=settings, now=datetime.now(UTC) + timedelta(hours=30))
"""


@pytest.mark.parametrize("moment_ms", [0, *(pytest.param(later, marks=pytest.mark.slow) for later in (25, 60))])
def test_kill_9_while_compacting_loses_nothing_and_what_it_left_goes(
    tmp_path: Path, world: World, moment_ms: int
) -> None:
    before = {table: world.rows(table) for table in LAKE_TABLES if world.files(table)}
    process = subprocess.Popen([sys.executable, "-c", COMPACTING, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout
    with process.stdout:
        process.stdout.readline()
        time.sleep(moment_ms / 1000)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert {table: world.rows(table) for table in before} == before
    Lake.open(world.settings.lake, mode=0o640, recorded={})  # a run's beginning clears scratch space
    world.compact()
    for table in (SENT_MESSAGES, DELIVERY_REPORTS):
        for path in world.lake.folder_of(table).glob("sent_date=*/*.parquet"):
            os.utime(path, (0, 0))
    world.clean(now=NOW + LATER)
    assert {table: world.rows(table) for table in before} == before
    there = {path for table in LAKE_TABLES for path in world.lake.folder_of(table).glob("sent_date=*/*.parquet")}
    assert there == {path for table in LAKE_TABLES for path in world.files(table)}


@pytest.mark.slow
def test_a_run_at_the_same_time_loses_and_doubles_nothing(tmp_path: Path, world: World) -> None:
    process = subprocess.Popen([sys.executable, "-c", COMPACTING, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout
    with process.stdout:
        process.stdout.readline()
        for number in range(100, 103):
            world.send(f"{number}")
            world.answer(f"{number}", "delivered")
            world.derive()
            world.publish()
            world.clean(hours=0, now=NOW + LATER)
        assert process.wait(60) == 0
    world.derive()
    assert len(world.rows(SENT_MESSAGES)) == len(world.rows(DELIVERY_REPORTS)) == len(world.rows(MESSAGES)) == 9
