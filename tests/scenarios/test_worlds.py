"""Random worlds checked against a plain-Python oracle: timelines of answers, faults, kills, clock jumps, power cuts.

After every run the whole lake is compared with `tests/oracle/chronicle.py`, which holds the rules:
- every sent message is in `messages` exactly once, in the state that follows from its stored answers;
- `delivery_reports` has exactly the API's answers; after a killed run the oldest of them, in whole calls;
- messages that are final, not due or too old are not asked for; each due message is answered once, or the failures
  say why not;
- what a log says now stands: app, time, day and number are corrected, and the answers go with their message;
- `api_calls` has one row per batch and accounts for each request;
- at the end of the world every message is in the platform's state, whatever happened before.

The quick tests play 65 worlds, 4 of them on a real lake, the slow test 195 more, the thorough tests another 1,000, or
as many as `--worlds` says:

    python -m pytest -n 2 -p tests.scenarios.option --worlds 10000 -m thorough tests/scenarios/test_worlds.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scenarios.play import Player, last_alone
from tests.scenarios.power import forgetful_stage
from tests.scenarios.stage import StageMaker, memory_stages, real_stage
from tests.scenarios.story import World, corrected, worlds

MANY = 1000
"""Worlds of the thorough tests by default (`--worlds`)."""
SMALL, LONG, CROWDED = worlds(most_runs=3), worlds(most_runs=6), worlds(is_crowded=True)
CORRECTED = SMALL.flatmap(corrected)


@pytest.fixture(scope="module")
def in_memory() -> Iterator[StageMaker]:
    with memory_stages() as stage:
        yield stage


@pytest.fixture
def many(request: pytest.FixtureRequest) -> int:
    asked: int | None = request.config.getoption("--worlds", default=None)
    return asked or MANY


def explore(play: Callable[[World], None], story: st.SearchStrategy[World], *, examples: int) -> None:
    """Play a number of worlds."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(world=story)
    def played(world: World) -> None:
        play(world)

    played()


def on(stage: StageMaker) -> Callable[[World], None]:
    """Play on a lake in memory, without logs."""

    def play(world: World) -> None:
        with stage() as here:
            Player(world, here, logs=None).play()

    return play


def from_logs_on_a_real_lake(stage: StageMaker) -> Callable[[World], None]:
    """Play with sent logs; the last run alone, on another lake, must give the same result."""

    def play(world: World) -> None:
        with tempfile.TemporaryDirectory() as logs, real_stage() as here, stage() as there:
            ending = Player(world, here, logs=Path(logs)).play()
            ending.check_same_as(Player(last_alone(world), there, logs=None).play())

    return play


def with_corrections(stage: StageMaker) -> Callable[[World], None]:
    """Play with sent logs that are corrected between the runs, on a lake in memory."""

    def play(world: World) -> None:
        with tempfile.TemporaryDirectory() as logs, stage() as here:
            Player(world, here, logs=Path(logs)).play()

    return play


def with_power_cuts(_: StageMaker) -> Callable[[World], None]:
    """Play with sent logs on a real lake, which loses after each run, killed or not, all that was not synced."""

    def play(world: World) -> None:
        with tempfile.TemporaryDirectory() as logs, forgetful_stage() as here:
            Player(world, here, logs=Path(logs)).play()

    return play


def test_a_small_world_ends_in_the_states_that_its_answers_make(in_memory: StageMaker) -> None:
    explore(on(in_memory), SMALL, examples=30)


@pytest.mark.slow
def test_a_world_of_many_runs_ends_in_the_states_that_its_answers_make(in_memory: StageMaker) -> None:
    explore(on(in_memory), LONG, examples=12)


def test_a_world_with_many_commits_per_run_ends_in_the_states_that_its_answers_make(in_memory: StageMaker) -> None:
    explore(on(in_memory), CROWDED, examples=4)


def test_a_world_on_a_real_lake_ends_as_its_last_run_alone_would(in_memory: StageMaker) -> None:
    explore(from_logs_on_a_real_lake(in_memory), st.one_of(SMALL, CORRECTED), examples=4)


def test_a_world_whose_logs_and_settings_are_corrected_ends_as_they_say_at_last(in_memory: StageMaker) -> None:
    explore(with_corrections(in_memory), CORRECTED, examples=15)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("player", "story", "examples"),
    [
        (on, SMALL, 100),
        (on, LONG, 38),
        (on, CROWDED, 6),
        (from_logs_on_a_real_lake, st.one_of(SMALL, CORRECTED), 6),
        (with_corrections, CORRECTED, 45),
        (with_power_cuts, st.one_of(SMALL, CORRECTED), 4),
    ],
    ids=["small", "long", "crowded", "real lake", "corrected", "power cuts"],
)
def test_more_worlds_end_in_the_states_that_their_answers_make(
    in_memory: StageMaker,
    player: Callable[[StageMaker], Callable[[World], None]],
    story: st.SearchStrategy[World],
    examples: int,
) -> None:
    explore(player(in_memory), story, examples=examples)


@pytest.mark.thorough
def test_many_corrected_worlds(in_memory: StageMaker, many: int) -> None:
    explore(with_corrections(in_memory), CORRECTED, examples=many * 2 // 10)


@pytest.mark.thorough
def test_many_small_worlds(in_memory: StageMaker, many: int) -> None:
    explore(on(in_memory), SMALL, examples=many * 4 // 10)


@pytest.mark.thorough
def test_many_long_worlds(in_memory: StageMaker, many: int) -> None:
    explore(on(in_memory), LONG, examples=many * 4 // 10)


@pytest.mark.thorough
def test_many_crowded_worlds(in_memory: StageMaker, many: int) -> None:
    explore(on(in_memory), CROWDED, examples=many // 10)


@pytest.mark.thorough
def test_many_worlds_on_a_real_lake(in_memory: StageMaker, many: int) -> None:
    explore(from_logs_on_a_real_lake(in_memory), st.one_of(SMALL, CORRECTED), examples=many // 10)


@pytest.mark.thorough
def test_many_worlds_whose_power_is_cut(in_memory: StageMaker, many: int) -> None:
    explore(with_power_cuts(in_memory), st.one_of(SMALL, CORRECTED), examples=many // 10)
