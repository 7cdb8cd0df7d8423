"""What parts are measured with: a log, a platform, a lake; and how a part is told from its floor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.made_lake import make_lake, settings_in
from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings

MESSAGES = 200_000
ROOT = Path(__file__).parents[2]
DAY = (datetime.now(UTC) - timedelta(days=1)).date()
Measure = Callable[..., Any]


@pytest.fixture
def part(benchmark: Any) -> Measure:
    """Measure a part of the pipeline: name, amount, work."""
    return _measuring(benchmark, is_floor=False)


@pytest.fixture
def floor(benchmark: Any) -> Measure:
    """Measure the least that the same could cost."""
    return _measuring(benchmark, is_floor=True)


def _measuring(benchmark: Any, *, is_floor: bool) -> Measure:
    def measure(group: str, amount: str, work: Callable[[], object], *, rounds: int = 7) -> Any:
        benchmark.group = group
        benchmark.extra_info.update(is_floor=is_floor, amount=amount)
        return benchmark.pedantic(work, rounds=rounds, warmup_rounds=1)

    return measure


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """A platform that answers at once, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield server.stdout.readline().strip()
        server.terminate()


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with everything in one folder."""
    return settings_in(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="session")
def lake(settings: Settings) -> Lake:
    """A lake of one day, as large as the log."""
    return make_lake(settings, days=1, closed_rows=0, open_rows=MESSAGES)
