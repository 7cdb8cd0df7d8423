"""SIGINT and SIGTERM end a run within 10 s with status 1 and one line; what arrived is committed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assets.cli.signals import STOPPED
from pipeline.model.tables import MESSAGES
from tests.support.places import COMMAND, still_place
from tests.support.processes import (
    CONCURRENCY,
    MANY,
    PACE,
    Undisturbed,
    asked_ids,
    assert_one_clear_line,
    assert_whole,
    calls_made,
    chance_of,
    committed,
    end,
    final_twice,
    stored_ids,
    wait_for,
)


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
        output = end(process, (signal.SIGINT, signal.SIGTERM)[seed % 2])
        if process.returncode:
            assert process.returncode == 1
            assert_one_clear_line(output, STOPPED)
        else:
            assert output == ""
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
def test_a_signal_during_an_endless_query_ends_the_process_within_10_seconds(step: str, tmp_path: Path) -> None:
    imports = "import duckdb, hashlib; from assets.cli.main import exit_status"
    program = f"{imports}\nwith exit_status():\n print(flush=True); {step}"
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert_one_clear_line(end(process, signal.SIGTERM), STOPPED)
    assert process.returncode == 1
