"""A run killed by SIGKILL leaves a lake that opens, and the next run completes it.

The simulator's answers never change, so a run's result follows from the ids.
"""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from pipeline.follow.recorder import SLICE_CALLS
from pipeline.model.tables import MESSAGES
from tests.support.places import COMMAND, still_place
from tests.support.processes import (
    MANY,
    PACE,
    UNDISTURBED_SQL,
    Undisturbed,
    assert_tables_open,
    assert_whole,
    calls_made,
    chance_of,
    committed,
    end,
    final_twice,
    most_lost,
    wait_for,
)


@pytest.mark.slow
def test_a_rerun_after_kills_at_three_moments_has_every_message_once(tmp_path: Path) -> None:
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
        assert final_twice(place, answers) <= 2 * most_lost(batch=40), "two of the kills may come while it asks"


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(50))
def test_a_rerun_after_a_kill_at_any_moment_publishes_what_an_undisturbed_run_does(
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
