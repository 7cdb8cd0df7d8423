"""What tests of several folders share: a simulator, settings and a lake, all made for one test and gone after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from pipeline.api.client import Clock
from pipeline.api.simulator.server import Running, SimulatorOptions, running
from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings, given_settings

# The same examples each time, so that a red run can be repeated; `--hypothesis-seed` looks elsewhere.
hypothesis_settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
hypothesis_settings.load_profile("unhurried")  # how long an example takes is the machine's load, not a fault

API_KEY, API_SECRET = "bDqJFiq9", "s3cret-of-nobody"


@pytest.fixture
def waits() -> list[float]:
    """Return the list of seconds that `clock` was asked to wait."""
    return []


@pytest.fixture
def clock(waits: list[float]) -> Clock:
    """Return a clock that begins at noon of 2026-03-02 and jumps instead of waiting, so that back-off takes no time."""
    noon, began = datetime(2026, 3, 2, 12, tzinfo=UTC), time.monotonic()

    def tick() -> float:
        return time.monotonic() - began + sum(waits)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    return Clock(now=lambda: noon + timedelta(seconds=tick()), tick=tick, sleep=sleep)


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Callable[..., Running]]:
    """Start simulators that last as long as the test; keywords are those of `SimulatorOptions`.

    They tell the time by `clock`, unless another `now` is given.
    """
    with contextlib.ExitStack() as stack:

        def start(*, now: Callable[[], datetime] = clock.now, **options: Any) -> Running:
            chosen = SimulatorOptions(**({"api_key": API_KEY, "api_secret": API_SECRET} | options))
            return stack.enter_context(running(chosen, clock=now))

        yield start


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Make settings of defaults, the simulator's credentials and the values given, whatever the environment says."""

    def make(**values: Any) -> Settings:
        return given_settings(tmp_path, **({"api_key": API_KEY, "api_secret": API_SECRET} | values))

    return make


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """Open an empty lake; the umask, which opening sets for the process, is put back."""
    before = os.umask(0o077)
    yield Lake.open(tmp_path / "lake", mode=0o640, recorded={})
    os.umask(before)
