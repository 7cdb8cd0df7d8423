"""Runs at the same time lose and double no message, and readers of the published file see no error."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from pipeline.api.simulator.sample_logs import write_sent_logs
from tests.support.places import COMMAND, Place, still_place
from tests.support.processes import (
    MANY,
    assert_whole,
    output_until_end,
)

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


def finish(*processes: subprocess.Popen[str]) -> None:
    """Wait for the end of runs: each does its work, or says in one line why not."""
    for process in processes:
        output = output_until_end(process)
        assert process.returncode == 0 or (process.returncode == 1 and len(output.splitlines()) == 1), output


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
def test_two_runs_on_different_days_at_once_lose_and_double_no_message_and_readers_see_no_error(tmp_path: Path) -> None:
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
def test_two_runs_at_once_lose_and_double_no_message(days: str, delay: float, tmp_path: Path) -> None:
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
