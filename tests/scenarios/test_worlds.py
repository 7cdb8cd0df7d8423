"""Whole worlds against a plain-Python chronicle: timelines of answers, faults, kills, clock jumps, reruns.

After every run all of the lake is compared with `tests/oracle/chronicle.py`, which holds the rules:
- every sent message is in `messages` exactly once, in the state that the answers stored for it make;
- what the API told is in `delivery_reports` exactly; of a killed run the oldest answers, in whole calls;
- who is final, not due or too old is not asked; who is due is answered once, or the failures say why not;
- `api_calls` has a row a batch and accounts for each request;
- at the end of the world every message is as the platform has it, whatever happened before.

The quick tests play 200 worlds, 10 of them on a real lake; the thorough ones 1,000 more, or as many as
`--worlds` says:

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
from tests.scenarios.stage import StageMaker, memory_stages, real_stage
from tests.scenarios.story import World, worlds

MANY = 1000
"""Worlds of the slow tests, unless `--worlds` says another number."""
SMALL, LONG, CROWDED = worlds(most_runs=3), worlds(most_runs=6), worlds(is_crowded=True)


@pytest.fixture(scope="module")
def in_memory() -> Iterator[StageMaker]:
    with memory_stages() as stage:
        yield stage


@pytest.fixture
def many(request: pytest.FixtureRequest) -> int:
    asked: int | None = request.config.getoption("--worlds", default=None)
    return asked or MANY


def explore(play: Callable[[World], None], story: st.SearchStrategy[World], *, examples: int) -> None:
    """Play so many worlds."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    @given(world=story)
    def played(world: World) -> None:
        play(world)

    played()


def on(stage: StageMaker) -> Callable[[World], None]:
    """Play on a lake in memory."""

    def play(world: World) -> None:
        with stage() as here:
            Player(world, here, logs=None).play()

    return play


def from_logs_on_a_real_lake(stage: StageMaker) -> Callable[[World], None]:
    """Play from sent logs on; the last run alone, on a lake of its own, must end alike."""

    def play(world: World) -> None:
        with tempfile.TemporaryDirectory() as logs, real_stage() as here, stage() as there:
            ending = Player(world, here, logs=Path(logs)).play()
            ending.check_same_as(Player(last_alone(world), there, logs=None).play())

    return play


def test_small_worlds_are_recorded_as_they_were_told(in_memory: StageMaker) -> None:
    explore(on(in_memory), SMALL, examples=130)


def test_long_worlds_are_recorded_as_they_were_told(in_memory: StageMaker) -> None:
    explore(on(in_memory), LONG, examples=50)


def test_crowded_worlds_are_recorded_as_they_were_told(in_memory: StageMaker) -> None:
    explore(on(in_memory), CROWDED, examples=10)


def test_worlds_on_a_real_lake_end_as_if_nothing_had_gone_wrong(in_memory: StageMaker) -> None:
    explore(from_logs_on_a_real_lake(in_memory), SMALL, examples=10)


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
    explore(from_logs_on_a_real_lake(in_memory), SMALL, examples=many // 10)
