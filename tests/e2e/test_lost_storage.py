"""A full disk or a lost lake ends a run with one line, and the next run completes it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.mounts import set_limit, small_disk
from tests.support.places import COMMAND, still_place
from tests.support.processes import (
    PACE,
    asked_ids,
    assert_one_clear_line,
    assert_tables_open,
    assert_whole,
    calls_made,
    final_twice,
    output_until_end,
    stored_ids,
    wait_for,
)

WITH_A_LIMIT = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2); "
    "from assets.cli.main import main; main()"
)
"""Runs the command where no file can grow beyond a size: to write more fails as on a full disk."""


@pytest.mark.parametrize(
    "limit",
    [pytest.param(limit, marks=pytest.mark.thorough) for limit in (100, 5_000, 20_000, 150_000, 500_000, 1_000_000)],
)
def test_a_full_disk_fails_the_run_with_one_line_and_a_rerun_with_room_completes_it(limit: int, tmp_path: Path) -> None:
    with still_place(tmp_path, messages=4000, batch=20) as (place, answers):
        process = place.start(sys.executable, "-c", WITH_A_LIMIT, str(limit), "run", **PACE)
        output = output_until_end(process)
        assert process.returncode == 1
        assert_one_clear_line(output)
        assert_tables_open(place)
        before = stored_ids(place) if (place.lake / "delivery_reports" / "_delta_log").is_dir() else set()
        calls = len(place.simulator.calls)

        place.run("run")
        assert_whole(place, answers)
        assert not before & set(asked_ids(place, calls))


@pytest.mark.thorough
@pytest.mark.parametrize("size", ["64k", "400k", "900k", "1500k", "2500k"])
def test_a_rerun_after_a_really_full_disk_completes_the_run(size: str, tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "data", f"size={size}"),
        still_place(tmp_path, messages=8000, batch=20) as (place, answers),
    ):
        done = place.run("run", status=1, **PACE)
        assert_one_clear_line(done.stderr)
        assert_tables_open(place)
        set_limit(tmp_path / "data", "size=200m")
        place.run("run")
        assert_whole(place, answers)


@pytest.mark.parametrize(
    "inodes",
    [pytest.param(n, marks=pytest.mark.slow if n in {70, 76} else pytest.mark.thorough) for n in range(62, 92, 2)],
)
def test_a_rerun_after_a_disk_without_inodes_finds_the_call_of_each_answer(inodes: int, tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "data", f"nr_inodes={inodes}"),
        still_place(tmp_path, messages=4000, batch=10) as (place, answers),
    ):
        done = place.run("run", status=1, **PACE)
        assert_one_clear_line(done.stderr)
        before = stored_ids(place) if (place.lake / "delivery_reports" / "_delta_log").is_dir() else set()
        calls = len(place.simulator.calls)
        set_limit(tmp_path / "data", "nr_inodes=0")
        place.run("run")
        assert_whole(place, answers)
        assert not before & set(asked_ids(place, calls))
        assert place.query("FROM delivery_reports ANTI JOIN api_calls USING (call_id)") == []
        assert place.query("SELECT count(*) - count(DISTINCT call_id) FROM api_calls") == [(0,)]


@pytest.mark.thorough
def test_a_lake_lost_between_two_runs_is_rebuilt_from_the_logs(tmp_path: Path) -> None:
    with still_place(tmp_path, messages=1000, batch=200) as (place, answers):
        place.run("run")
        shutil.rmtree(place.lake)
        place.run("run")
        assert_whole(place, answers)
        assert final_twice(place, answers) > 0


@pytest.mark.parametrize("calls", [pytest.param(calls, marks=pytest.mark.thorough) for calls in (5, 60, 280)])
def test_a_lake_lost_while_asking_fails_the_run_with_one_line_and_the_next_run_completes_it(
    calls: int, tmp_path: Path
) -> None:
    with still_place(tmp_path, messages=3000, batch=10, latency_ms=40.0) as (place, answers):
        process = place.start(COMMAND, "run")
        wait_for(calls_made(place, calls), process)
        while place.lake.exists():
            shutil.rmtree(place.lake, ignore_errors=True)
        output = output_until_end(process)
        assert process.returncode == 1
        assert_one_clear_line(output)
        place.run("run")
        assert_whole(place, answers)
