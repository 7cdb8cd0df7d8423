"""Pace: how many requests start in any stretch of time, on a loop whose clock is virtual."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Sequence
from itertools import cycle, pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api.pace import SLOWEST, Pace

T = TypeVar("T")
RATES = st.sampled_from([0.5, 1.0, 1.5, 3.0, 10.0, 64.0])
LOOKING = 1e-6
"""Virtual seconds that pass whenever the loop looks for events."""


class _Selector(selectors.SelectSelector):
    """Waits no real time: what the loop would wait passes on its virtual clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(timeout or 0.0, LOOKING)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time: a sleep of an hour takes no time, and nothing depends on the machine's load."""

    def __init__(self) -> None:
        self._time = _Selector()
        super().__init__(self._time)

    def time(self) -> float:
        return self._time.now


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def now() -> float:
    return asyncio.get_running_loop().time()


def late(lateness: Sequence[float]) -> Any:
    """Make a sleep that wakes late, as on a busy machine: by each of these seconds in turn."""
    turns = cycle(lateness)

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds + next(turns))

    return sleep


async def starts_of(pace: Pace, arrivals: Sequence[Sequence[float]]) -> list[float]:
    """Let one worker for each list arrive after each of its pauses, and return all starts in order."""
    starts: list[float] = []

    async def work(pauses: Sequence[float]) -> None:
        for pause in pauses:
            await asyncio.sleep(pause)
            await pace.turn()
            starts.append(now())

    async with asyncio.TaskGroup() as group:
        for pauses in arrivals:
            group.create_task(work(pauses))
    return sorted(starts)


def crowded(starts: Sequence[float], rate: float) -> list[tuple[float, int]]:
    """Return the stretches (seconds, starts) with more than (t + 1) * rate starts; one start is always allowed."""
    found = []
    for first, begin in enumerate(starts):
        for last in range(first + 1, len(starts)):
            seconds, count = starts[last] - begin, last - first + 1
            allowed = (seconds + 1) * rate if rate >= 1 else seconds * rate + 1
            if count > allowed + 1e-3:
                found.append((seconds, count))
    return found


pauses = st.sampled_from([0.0, 0.0, 0.01, 0.3, 1.0, 7.0])
workers = st.lists(st.lists(pauses, max_size=12), min_size=1, max_size=16)

lateness = st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.05, 0.4, 2.0]), min_size=1, max_size=5)


@given(RATES, workers, lateness)
def test_in_any_stretch_of_t_seconds_at_most_t_plus_1_times_rate_requests_start(
    rate: float, arrivals: list[list[float]], lateness: list[float]
) -> None:
    async def scene() -> list[float]:
        pace = Pace(rate, clock=now, sleep=late(lateness))
        return await starts_of(pace, arrivals)

    starts = in_virtual_time(scene())

    assert len(starts) == sum(map(len, arrivals))
    assert crowded(starts, rate) == []


@given(
    RATES,
    workers,
    lateness,
    st.lists(st.tuples(pauses, st.floats(0.01, 20)), min_size=1, max_size=5),
    st.integers(0, 20),
)
def test_the_bound_holds_and_nobody_starts_while_the_platform_asks_to_wait(
    rate: float, arrivals: list[list[float]], lateness: list[float], waits: list[tuple[float, float]], answers: int
) -> None:
    held: list[tuple[float, float]] = []

    async def throttle(pace: Pace) -> None:
        for pause, wait in waits:
            await asyncio.sleep(pause)
            held.append((now(), now() + wait))
            pace.slow_down(wait)
            for _ in range(answers):
                pace.good_answer()

    async def scene() -> list[float]:
        pace = Pace(rate, clock=now, sleep=late(lateness))
        throttling = asyncio.create_task(throttle(pace))
        starts = await starts_of(pace, arrivals)
        await throttling
        return starts

    starts = in_virtual_time(scene())

    assert len(starts) == sum(map(len, arrivals))
    assert crowded(starts, rate) == []
    assert [s for s in starts for begin, end in held if begin + 1e-4 < s < end - 1e-4] == []


def test_right_after_a_wait_many_workers_start_one_by_one_at_half_the_pace() -> None:
    async def scene() -> list[float]:
        pace = Pace(10, clock=now)
        await starts_of(pace, [[0.0]] * 30)  # three seconds at full pace
        pace.slow_down(5)
        began = now()
        return [start - began for start in await starts_of(pace, [[0.0]] * 50)]

    starts = in_virtual_time(scene())

    assert starts[0] == pytest.approx(5, abs=0.01)
    assert min(after - before for before, after in pairwise(starts)) == pytest.approx(0.2, abs=0.01)


def test_the_pace_comes_back_gradually_and_to_the_limit_exactly() -> None:
    async def scene() -> list[float]:
        pace = Pace(10, clock=now)
        await starts_of(pace, [[0.0]] * 30)
        pace.slow_down(1)
        rates = [pace.rate]
        for _ in range(30):
            pace.good_answer()
            rates.append(pace.rate)
        return rates

    rates = in_virtual_time(scene())

    assert rates[0] == pytest.approx(5, rel=0.02)
    assert all(after / before <= 1.05 + 1e-9 for before, after in pairwise(rates))
    assert rates[13] < 10
    assert rates[16] == rates[-1] == 10


def test_each_new_wait_halves_the_pace_but_not_below_the_slowest() -> None:
    async def scene() -> list[float]:
        pace, rates = Pace(10, clock=now), []
        await starts_of(pace, [[0.0]] * 40)
        for _ in range(9):
            pace.slow_down(30)
            rates.append(pace.rate)
            await starts_of(pace, [[0.0]])
        return rates

    rates = in_virtual_time(scene())

    assert rates[:3] == [pytest.approx(rate, rel=0.05) for rate in (5, 2.5, 1.25)]
    assert rates[-1] == SLOWEST


def test_refusals_that_arrive_together_halve_the_pace_once_and_the_longest_wait_counts() -> None:
    async def scene() -> tuple[float, float]:
        pace = Pace(10, clock=now)
        await starts_of(pace, [[0.0]] * 30)
        began = now()
        for wait in (2, 9, 1, 4):
            pace.slow_down(wait)
        (start,) = await starts_of(pace, [[0.0]])
        return pace.rate, start - began

    rate, start = in_virtual_time(scene())

    assert rate == pytest.approx(5, rel=0.02)
    assert start == pytest.approx(9, abs=0.01)


def test_a_short_wait_does_not_bring_the_next_start_forward() -> None:
    """At one request in two seconds, a wait of a tenth of a second asks for nothing that is not kept already."""

    async def scene() -> list[float]:
        pace = Pace(0.5, clock=now)
        await pace.turn()
        began = now()
        pace.slow_down(0.1)
        return [start - began for start in await starts_of(pace, [[0.0]])]

    assert in_virtual_time(scene())[0] >= 2 - 1e-3


def test_the_pace_is_used_to_the_full() -> None:
    """A hundred requests at ten a second, the first at once."""

    async def scene() -> float:
        pace, began = Pace(10, clock=now), now()
        starts = await starts_of(pace, [[0.0] * 10] * 10)
        return starts[-1] - began

    assert in_virtual_time(scene()) == pytest.approx(9.9, abs=0.05)


def test_whoever_comes_first_starts_first() -> None:
    async def scene() -> list[int]:
        pace, order = Pace(1, clock=now), list[int]()

        async def work(number: int) -> None:
            await pace.turn()
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(work(number))
        return order

    assert in_virtual_time(scene()) == list(range(20))


def test_a_worker_that_is_cancelled_takes_no_turn_and_blocks_nobody() -> None:
    async def scene() -> float:
        pace, began = Pace(1, clock=now), now()
        await pace.turn()
        waiting = [asyncio.create_task(pace.turn()) for _ in range(5)]
        await asyncio.sleep(0.5)
        for task in waiting:
            task.cancel()
        await pace.turn()
        return now() - began

    assert in_virtual_time(scene()) == pytest.approx(1, abs=0.01)


def test_a_rate_of_zero_is_no_limit() -> None:
    async def scene() -> float:
        pace, began = Pace(0, clock=now), now()
        starts = await starts_of(pace, [[0.0] * 100] * 10)
        return starts[-1] - began

    assert in_virtual_time(scene()) < 0.1


def test_without_a_limit_the_pace_is_still_lowered_by_a_wait_and_has_no_limit_again_in_the_end() -> None:
    async def scene() -> tuple[list[float], float]:
        pace = Pace(0, clock=now)
        await starts_of(pace, [[0.1] * 40])  # ten a second, for that is how they come
        pace.slow_down(3)
        began, lowered = now(), pace.rate
        starts = [start - began for start in await starts_of(pace, [[0.0]] * 5)]
        for _ in range(200):
            pace.good_answer()
        assert lowered == pytest.approx(5, rel=0.1)
        return starts, pace.rate

    starts, rate = in_virtual_time(scene())

    assert starts[0] == pytest.approx(3, abs=0.01)
    assert [after - before for before, after in pairwise(starts)] == [pytest.approx(0.2, rel=0.1)] * 4
    assert rate == 0


def test_good_answers_that_come_during_a_wait_do_not_end_it() -> None:
    """Requests under way when the platform asked to wait are answered all the same, many of them well."""

    async def scene() -> float:
        pace, began = Pace(0, clock=now), now()
        pace.slow_down(30)
        for _ in range(500):
            pace.good_answer()
        (start,) = await starts_of(pace, [[0.0]])
        return start - began

    assert in_virtual_time(scene()) == pytest.approx(30, abs=0.01)


@settings(max_examples=20)
@given(st.floats(0.05, 200))
def test_a_pace_is_never_raised_above_its_limit(limit: float) -> None:
    async def scene() -> list[float]:
        pace, rates = Pace(limit, clock=now), []
        for _ in range(3):
            await pace.turn()
            pace.slow_down(1)
            rates.append(pace.rate)
            pace.good_answer()
            rates.append(pace.rate)
        return rates

    assert max(in_virtual_time(scene())) <= limit
