"""What dies, is stopped, finds no room or meets another run leaves a lake that opens, and the next run puts it right.

The real command in processes of its own, each ended by its own handle, against a simulator whose answers never change.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from deltalake import DeltaTable

from assets.cli.signals import STOPPED
from pipeline.api.simulator.sample_logs import write_sent_logs
from pipeline.collect.sent_messages import CollectTally, collect
from pipeline.derive.messages import derive_messages, derive_rates
from pipeline.follow.recorder import SLICE_CALLS
from pipeline.lake.lake import Lake, Snapshot
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, LAKE_TABLES, MESSAGES, SENT_MESSAGES, Table
from tests.support.lakes import Said, Sent, store_answers, store_sent
from tests.support.places import COMMAND, Answers, Place, still_place

MANY = 20_000
PACE: Final = {"SMS_MAX_REQUESTS_PER_SECOND": "150"}
"""So that a slice is about as long as `recording.py` wants it, on a fast machine too."""
CONCURRENCY = 8
END_SECONDS = 10.0
"""Longest time from a signal to the end of the process."""
WITH_A_LIMIT = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2); "
    "from assets.cli.main import main; main()"
)
"""Runs the command where no file can grow beyond a size: to write more fails as on a full disk."""
AT_A_SIGN = (
    "import sys, assets.cli.run; from assets.cli.main import main; print(flush=True); sys.stdin.readline(); main()"
)
"""Runs the command once all is loaded and a line comes: two that get it at the same moment run at the same moment."""
MIXED: Final = (
    """
    SELECT sent_date, value FROM delivery_rollups_daily
    WHERE sent <> delivered + failed + sending + not_found + pending + unknown + invalid_id
    """,
    """
    SELECT counted.n, rates.sent FROM (SELECT count(*) AS n FROM messages) AS counted,
    (SELECT coalesce(sum(sent), 0) AS sent FROM delivery_rates_daily) AS rates
    WHERE counted.n <> rates.sent
    """,
    "SELECT table_name FROM snapshot_info WHERE table_name = 'messages' AND rows <> (SELECT count(*) FROM messages)",
)
"""Queries on the published file that find nothing, unless one connection sees parts of two snapshots."""
READER = """
import os, sys, duckdb
path, stop, *queries = sys.argv[1:]
readings = 0
while readings == 0 or not os.path.exists(stop):
    with duckdb.connect(path, read_only=True) as connection:
        for query in queries:
            found = connection.execute(query).fetchall()
            assert not found, (query, found)
    readings += 1
print(readings)
"""


def chance_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - moments that can be had again


def wait_for(moment: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Return when the moment has come or the process has ended."""
    while not moment() and process.poll() is None:
        time.sleep(0.002)


def calls_made(place: Place, calls: int) -> Callable[[], bool]:
    """The moment at which so many more calls than now were made."""
    calls += len(place.simulator.calls)
    return lambda: len(place.simulator.calls) >= calls


def committed(place: Place, table: Table) -> Callable[[], bool]:
    """The moment of the first commit to a table after the one that makes it."""
    return (place.lake / table.name / "_delta_log" / f"{1:020}.json").is_file


def end(process: subprocess.Popen[str], number: int) -> str:
    """Send a signal to a process of ours; return what it said before its end, which must be near."""
    began = time.monotonic()
    process.send_signal(number)
    said = said_until_end(process)
    assert time.monotonic() - began < END_SECONDS
    return said


def said_until_end(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a process of ours; return what it said on standard error."""
    try:
        return process.communicate(timeout=120)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def asked_ids(place: Place, first_call: int = 0) -> list[str]:
    return [msg_id for call in place.simulator.calls[first_call:] for msg_id in call.msg_ids]


def final_twice(place: Place, answers: Answers) -> int:
    """Count the final answers that the simulator gave for ids that it had given one for."""
    final = [msg_id for msg_id in asked_ids(place) if answers.states[msg_id] in {"delivered", "failed"}]
    return len(final) - len(set(final))


def most_lost(batch: int) -> int:
    """Answers that a process which dies takes with it: the slice that it writes, the next one, calls under way."""
    return (2 * SLICE_CALLS + CONCURRENCY) * batch


def stored_ids(place: Place) -> set[str]:
    """Ids of the answers in the lake, read without our code."""
    table = DeltaTable(place.lake / "delivery_reports").to_pyarrow_table(columns=["msg_id"])
    return {str(msg_id) for msg_id in table["msg_id"].to_pylist()}


def assert_tables_open(place: Place) -> None:
    """Each table opens with deltalake and with DuckDB, and every file that it names is whole."""
    for table in LAKE_TABLES:
        folder = place.lake / table.name
        if not list(folder.glob("_delta_log/*.json")):
            continue  # the run had not come to make it
        delta = DeltaTable(folder)
        with duckdb.connect() as plain:
            files = ", ".join(f"'{uri}'" for uri in delta.file_uris())
            rows = plain.execute(f"SELECT count(*) FROM read_parquet([{files}])").fetchall() if files else [(0,)]
        assert rows == [(delta.to_pyarrow_table().num_rows,)]


def assert_whole(place: Place, answers: Answers) -> None:
    """Every message is there once, in its state by the rules; the rates count the same; nothing is left over."""
    for table in ("sent_messages", "messages"):
        assert place.query(f"SELECT count(*), count(DISTINCT msg_id) FROM {table}") == [(len(answers.states),) * 2]
    states = place.query("SELECT msg_id, delivery_status FROM messages")
    assert {msg_id: state for msg_id, state in states} == answers.states  # noqa: C416 - mypy knows no pairs
    counts = Counter((answers.days[msg_id], state) for msg_id, state in answers.states.items())
    for table in ("delivery_rates_daily", "delivery_rates_hourly"):
        rates = place.query(
            f"UNPIVOT (SELECT sent_date::VARCHAR AS day, delivered, failed, sending, not_found, pending, unknown, "
            f"invalid_id FROM {table}) ON COLUMNS(* EXCLUDE day) INTO NAME state VALUE n"
        )
        counted: Counter[tuple[object, object]] = Counter()
        for day, state, n in rates:
            assert isinstance(n, int)
            counted[day, state] += n
        assert +counted == counts
    assert_tables_open(place)
    assert leftovers(place) == []


def leftovers(place: Place) -> list[Path]:
    """Temporary files: scratch folders, and what is written beside its place and moved there."""
    data = place.folder / "data"
    return [*place.lake.glob("_scratch/*"), *data.glob("**/.*.tmp*"), *data.glob("**/*.tmp"), *data.glob("**/*.wal")]


def assert_one_clear_line(said: str, line: str = "sms-delivery: ") -> None:
    assert len(said.splitlines()) == 1, said
    assert said.startswith(line)


# --- kill -9


def test_kill_9_at_three_moments_and_one_clean_rerun_leave_every_message_once(tmp_path: Path) -> None:
    chance = chance_of(9)
    with still_place(tmp_path, messages=MANY, batch=40) as (place, answers):
        for moment, most_seconds in (
            (place.lake.is_dir, 0.5),
            (calls_made(place, chance.randrange(3 * SLICE_CALLS, MANY // 40)), 0.0),
            (committed(place, MESSAGES), 0.5),
        ):
            process = place.start(COMMAND, "run", **PACE)
            wait_for(moment, process)
            time.sleep(chance.uniform(0, most_seconds))
            end(process, signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
            assert_tables_open(place)
        place.run("run")
        assert_whole(place, answers)
        assert final_twice(place, answers) <= most_lost(batch=40)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody disturbed: its logs, the seconds from the lake's first sign to its end, what it published."""

    logs: Path
    seconds: float
    messages: list[tuple[object, ...]]


UNDISTURBED_SQL = """
SELECT * EXCLUDE (poll_count, first_polled_at, last_polled_at) FROM messages ORDER BY app_id, msg_id
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    with still_place(folder, messages=MANY, batch=50) as (place, answers):
        process = place.start(COMMAND, "run", **PACE)
        wait_for(place.lake.is_dir, process)
        began = time.monotonic()
        said_until_end(process)
        seconds = time.monotonic() - began
        assert_whole(place, answers)
        return Undisturbed(folder / "logs", seconds, place.query(UNDISTURBED_SQL))


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(50))
def test_kill_9_at_any_moment_and_one_clean_rerun_come_to_what_an_undisturbed_run_does(
    seed: int, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    shutil.copytree(undisturbed.logs, tmp_path / "logs")
    with still_place(tmp_path, messages=MANY, batch=50) as (place, answers):
        process = place.start(COMMAND, "run", **PACE)
        wait_for(place.lake.is_dir, process)
        time.sleep(chance_of(seed).uniform(0, undisturbed.seconds))
        end(process, signal.SIGKILL)
        assert_tables_open(place)
        place.run("run")
        assert_whole(place, answers)
        assert final_twice(place, answers) <= most_lost(batch=50)
        assert place.query(UNDISTURBED_SQL) == undisturbed.messages


def test_what_a_run_that_died_had_not_derived_the_next_one_does_whatever_its_days(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ours, now = settings(), noon + timedelta(days=5)
    store_sent(lake, [Sent("1", noon), Sent("2", noon)])

    def run(day: date) -> None:
        derive_messages([day], lake=lake, settings=ours, now=now)
        derive_rates([day], lake=lake, settings=ours, now=now)

    def published(table: str) -> list[Any]:
        files = [str(file.path) for t in LAKE_TABLES if t.name == table for file in lake.snapshot(t).files]
        return duckdb.read_parquet(files).project("*").fetchall() if files else []

    run(noon.date())
    # It dies between messages and rates.
    store_answers(lake, [(Said("1", "delivered", now), noon.date())])
    derive_messages([noon.date()], lake=lake, settings=ours, now=now)
    run(date(2026, 3, 4))
    assert sum(row.count("delivered") for row in published("messages")) == 1
    rates = duckdb.read_parquet([str(f.path) for f in lake.snapshot(LAKE_TABLES[-2]).files])
    assert rates.filter("dimension = 'all'").project("delivered").fetchall() == [(1,)]
    # It dies between answers and messages.
    store_answers(lake, [(Said("2", "delivered", now), noon.date())])
    run(date(2026, 3, 4))
    assert sum(row.count("delivered") for row in published("messages")) == 2


def test_what_delta_left_beside_its_log_goes_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", mode=0o640, recorded={})
    old, young = (lake.folder / "messages" / "_delta_log" / f"{1:020}.json#{n}" for n in (1, 2))
    for path in (old, young):
        path.write_text('{"half')
    os.utime(old, (0, 0))
    Lake.open(lake.folder, mode=0o640, recorded={})
    assert not old.exists()
    assert young.exists()
    assert lake.snapshot(MESSAGES).version == 0


# --- SIGINT and SIGTERM


@pytest.mark.slow
def test_signals_commit_what_arrived_and_a_rerun_asks_for_the_rest(tmp_path: Path) -> None:
    with still_place(tmp_path, messages=3000, batch=10, latency_ms=40.0) as (place, answers):
        process = place.start(COMMAND, "run")
        wait_for(calls_made(place, 130), process)
        assert_one_clear_line(end(process, signal.SIGTERM), STOPPED)
        assert process.returncode == 1
        stored, answered = stored_ids(place), asked_ids(place)
        assert len(answered) - CONCURRENCY * 10 <= len(stored) < len(answers.states)

        process = place.start(COMMAND, "run")
        wait_for(committed(place, MESSAGES), process)
        assert_one_clear_line(end(process, signal.SIGINT), STOPPED)
        assert process.returncode == 1
        assert not stored & set(asked_ids(place, len(answered) // 10))

        place.run("run")
        assert_whole(place, answers)
        assert final_twice(place, answers) <= CONCURRENCY * 10


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(16))
def test_a_signal_at_any_moment_ends_a_run_with_status_1_and_one_line_or_comes_too_late(
    seed: int, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    chance = chance_of(seed)
    shutil.copytree(undisturbed.logs, tmp_path / "logs")
    with still_place(tmp_path, messages=MANY, batch=50) as (place, answers):
        process = place.start(COMMAND, "run", **PACE)
        wait_for(place.lake.is_dir, process)
        time.sleep(chance.uniform(0, undisturbed.seconds))
        said = end(process, (signal.SIGINT, signal.SIGTERM)[seed % 2])
        if process.returncode:
            assert process.returncode == 1
            assert_one_clear_line(said, STOPPED)
        else:
            assert said == ""
        place.run("run")
        assert_whole(place, answers)
        assert final_twice(place, answers) <= CONCURRENCY * 50


@pytest.mark.thorough
@pytest.mark.parametrize(
    "step",
    [
        "duckdb.execute('SELECT sum(a.range * b.range) FROM range(10_000_000) AS a, range(10_000_000) AS b')",
        "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",  # in C without the GIL, as delta-rs and pyarrow are
    ],
)
def test_a_signal_during_a_step_without_end_ends_the_process_in_time(step: str, tmp_path: Path) -> None:
    imports = "import duckdb, hashlib; from assets.cli.main import said_plainly"
    program = f"{imports}\nwith said_plainly():\n print(flush=True); {step}"
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert_one_clear_line(end(process, signal.SIGTERM), STOPPED)
    assert process.returncode == 1


# --- no room, no lake


@pytest.mark.parametrize(
    "limit",
    [pytest.param(limit, marks=pytest.mark.thorough) for limit in (100, 5_000, 20_000, 150_000, 500_000, 1_000_000)],
)
def test_a_full_disk_fails_the_run_with_one_line_and_a_rerun_with_room_completes_it(limit: int, tmp_path: Path) -> None:
    with still_place(tmp_path, messages=4000, batch=20) as (place, answers):
        process = place.start(sys.executable, "-c", WITH_A_LIMIT, str(limit), "run", **PACE)
        said = said_until_end(process)
        assert process.returncode == 1
        assert_one_clear_line(said)
        assert_tables_open(place)
        before = stored_ids(place) if (place.lake / "delivery_reports" / "_delta_log").is_dir() else set()
        calls = len(place.simulator.calls)

        place.run("run")
        assert_whole(place, answers)
        assert not before & set(asked_ids(place, calls))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.thorough
@pytest.mark.parametrize("size", ["64k", "400k", "900k", "1500k", "2500k"])
def test_a_disk_that_is_really_full_does_no_lasting_harm(size: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", size), still_place(tmp_path, messages=8000, batch=20) as (place, answers):
        done = place.run("run", status=1, **PACE)
        assert_one_clear_line(done.stderr)
        assert_tables_open(place)
        subprocess.run(["mount", "-o", "remount,size=200m", tmp_path / "data"], check=True)
        place.run("run")
        assert_whole(place, answers)


def test_a_commit_that_failed_names_no_file(lake: Lake) -> None:
    rows = DeltaTable(lake.folder / "api_calls").to_pyarrow_table()
    snapshot, file = lake.snapshot(API_CALLS), lake.write(API_CALLS, rows, None)
    log = lake.folder / "api_calls" / "_delta_log"
    log.rename(log.with_name("gone"))
    log.write_text("a file where the log's folder was")
    with pytest.raises(LakeError):
        lake.commit(snapshot, add=[file])
    log.unlink()
    log.with_name("gone").rename(log)
    assert lake.snapshot(API_CALLS).files == ()


@pytest.mark.thorough
def test_a_lake_lost_between_two_runs_is_made_anew_from_the_logs(tmp_path: Path) -> None:
    with still_place(tmp_path, messages=1000, batch=200) as (place, answers):
        place.run("run")
        shutil.rmtree(place.lake)
        place.run("run")
        assert_whole(place, answers)
        assert final_twice(place, answers) > 0


@pytest.mark.parametrize("calls", [pytest.param(calls, marks=pytest.mark.thorough) for calls in (5, 60, 280)])
def test_a_lake_lost_while_asking_ends_the_run_with_one_line_and_the_next_run_puts_it_right(
    calls: int, tmp_path: Path
) -> None:
    with still_place(tmp_path, messages=3000, batch=10, latency_ms=40.0) as (place, answers):
        process = place.start(COMMAND, "run")
        wait_for(calls_made(place, calls), process)
        while place.lake.exists():
            shutil.rmtree(place.lake, ignore_errors=True)
        said = said_until_end(process)
        assert process.returncode == 1
        assert_one_clear_line(said)
        place.run("run")
        assert_whole(place, answers)


# --- two at once


@dataclass(frozen=True)
class CrowdedLake(Lake):
    """A lake where another run does something just before the first commit to one of its tables."""

    table: Table = MESSAGES
    others: list[Callable[[], object]] = field(default_factory=list)

    def commit(self, snapshot: Snapshot, **changes: Any) -> None:
        while snapshot.table is self.table and self.others:
            self.others.pop()()
        super().commit(snapshot, **changes)


def test_two_runs_that_read_the_same_logs_at_the_same_moment_store_them_once(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    write_sent_logs(tmp_path / "logs", messages=100, days=[now.date()], now=now, app_id="app1")
    ours = settings(sent_logs=str(tmp_path / "logs" / "sent-{date}.jsonl"))

    def collect_all(lake: Lake) -> CollectTally:
        return collect([now.date()], lake=lake, settings=ours, now=now)

    crowded = CrowdedLake(lake.folder, lake.mode, table=SENT_MESSAGES, others=[lambda: collect_all(lake)])
    assert (collect_all(crowded).stored, crowded.others) == (0, [])
    assert lake.snapshot(SENT_MESSAGES).rows == 100


def test_an_answer_that_arrives_while_a_day_is_derived_is_not_undone(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    day, now, ours = noon.date(), noon + timedelta(hours=1), settings()
    store_sent(lake, [Sent("1", noon)])

    def other_run() -> None:
        store_answers(lake, [(Said("1", "delivered", now), day)])
        derive_messages([day], lake=lake, settings=ours, now=now)

    crowded = CrowdedLake(lake.folder, lake.mode, table=MESSAGES, others=[other_run])
    derive_messages([day], lake=crowded, settings=ours, now=now)
    assert crowded.others == []
    states = duckdb.read_parquet([str(file.path) for file in lake.snapshot(MESSAGES).files])
    assert states.project("delivery_status").fetchall() == [("delivered",)]


def finish(*processes: subprocess.Popen[str]) -> None:
    """Wait for the end of runs: each does its work, or says in one line why not."""
    for process in processes:
        said = said_until_end(process)
        assert process.returncode == 0 or (process.returncode == 1 and len(said.splitlines()) == 1), said


@contextmanager
def reading(place: Place, *queries: str) -> Iterator[None]:
    """Let another process connect to the published file, ask, and close, again and again while the block lasts."""
    stop = place.folder / "stop-reading"
    reader = place.start(sys.executable, "-c", READER, str(place.published), str(stop), *queries)
    try:
        yield
    finally:
        stop.touch()
    readings, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    assert int(readings) > 1


def day_before(days: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=days)).isoformat()


@pytest.mark.slow
def test_two_runs_on_different_days_at_once_lose_and_double_nothing_and_readers_see_no_error(tmp_path: Path) -> None:
    with still_place(tmp_path, messages=3000, batch=50) as (place, answers):
        place.run("run", "--from", day_before(2), "--to", day_before(2))
        with reading(place, *MIXED[:1]):
            both = [place.start(COMMAND, "run", "--from", day_before(n), "--to", day_before(n)) for n in (0, 1)]
            finish(*both)
        assert [process.returncode for process in both] == [0, 0]
        assert place.query("SELECT count(*) FROM messages WHERE poll_count <> 1") == [(0,)]
        assert_whole(place, answers)


@pytest.mark.thorough
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.4, 1.6])
@pytest.mark.parametrize("days", ["same", "others"])
def test_two_runs_at_once_lose_and_double_nothing_round_after_round(days: str, delay: float, tmp_path: Path) -> None:
    older, newer = ([], []) if days == "same" else (["--to", day_before(1)], ["--from", day_before(0)])
    with still_place(tmp_path, messages=MANY, batch=200) as (place, answers):
        for force in ([], ["--force"], ["--force"]):
            both = [place.start(sys.executable, "-c", AT_A_SIGN, "run", *which, *force) for which in (older, newer)]
            finish(*together(*both, delay=delay))
            assert_whole(place, answers)


def together(*processes: subprocess.Popen[str], delay: float) -> tuple[subprocess.Popen[str], ...]:
    """Give the sign to start, one after the other, once all are ready."""
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(delay)
    return processes


def more_logs(place: Place, *, seed: int) -> None:
    """Log 500 more messages of today and the days before, in files of their own."""
    now = datetime.now(UTC)
    days = [now.date() - timedelta(days=step) for step in range(3)]
    paths = write_sent_logs(place.folder / "more", messages=500, days=days, now=now, app_id="app1", seed=seed)
    for path in paths:
        path.rename(place.folder / "logs" / f"{path.stem}-{seed}.jsonl")
    place.environment["SMS_SENT_LOGS"] = "logs/sent-{date}*.jsonl"


@pytest.mark.thorough
def test_readers_see_no_error_and_no_mixed_snapshot_in_many_publications(tmp_path: Path) -> None:
    with still_place(tmp_path, messages=MANY, batch=200) as (place, _):
        place.run("run")
        with reading(place, *MIXED), reading(place, *MIXED):
            for seed in range(2, 8):
                more_logs(place, seed=seed)
                place.run("run", "--force")
                finish(*(place.start(COMMAND, "publish") for _ in range(2)))
        assert place.query("SELECT count(*) FROM messages") == [(MANY + 6 * 500,)]
