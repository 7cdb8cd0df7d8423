"""Fixtures for every room: a clock, simulators, settings and a lake, each made for one test."""

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
from tests.support.buckets import Bucket, opened_bucket, running_store
from tests.support.kept import Kept

# The same examples each time, so that a failure can be repeated; `--hypothesis-seed` tries others.
hypothesis_settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
hypothesis_settings.load_profile("unhurried")  # a loaded machine makes examples slow

API_KEY, API_SECRET = "bDqJFiq9", "s3cret-of-nobody"


@pytest.fixture
def waits() -> list[float]:
    """Return the list of waits of `clock`, in seconds."""
    return []


@pytest.fixture
def clock(waits: list[float]) -> Clock:
    """Return a clock that starts at noon of 2026-03-02 and jumps instead of waiting."""
    noon, began = datetime(2026, 3, 2, 12, tzinfo=UTC), time.monotonic()

    def tick() -> float:
        return time.monotonic() - began + sum(waits)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    return Clock(now=lambda: noon + timedelta(seconds=tick()), tick=tick, sleep=sleep)


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Callable[..., Running]]:
    """Start simulators that run until the test ends; keywords are those of `SimulatorOptions`.

    Their time is that of `clock`, unless `now` is given.
    """
    with contextlib.ExitStack() as stack:

        def start(*, now: Callable[[], datetime] = clock.now, **options: Any) -> Running:
            chosen = SimulatorOptions(**({"api_key": API_KEY, "api_secret": API_SECRET} | options))
            return stack.enter_context(running(chosen, clock=now))

        yield start


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Make settings from defaults, the simulator's credentials and given values; the environment is ignored."""

    def make(**values: Any) -> Settings:
        return given_settings(tmp_path, **({"api_key": API_KEY, "api_secret": API_SECRET} | values))

    return make


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """Open an empty lake; the umask that opening sets is restored."""
    before = os.umask(0o077)
    yield Lake.open(tmp_path / "lake", mode=0o640, recorded={})
    os.umask(before)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Return the folder of a module that makes its `tmp_path` of it."""
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the URL of an S3 server for the tests of a module."""
    with running_store() as server:
        yield server


@pytest.fixture
def bucket(server: str) -> Iterator[Bucket]:
    """Return a new bucket of that server."""
    with opened_bucket(server) as bucket:
        yield bucket


@pytest.fixture
def reached_bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Return a new bucket that this process reaches by variables of its environment; the umask is restored."""
    before = os.umask(0o077)
    with opened_bucket(server) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        yield bucket
    os.umask(before)
