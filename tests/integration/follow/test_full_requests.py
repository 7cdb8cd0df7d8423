"""A schedule's requests are full: as few as can be for the freshness that is wanted."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from statistics import quantiles

import pytest

from benchmarks.requests import Load, simulate


@pytest.mark.slow
def test_a_day_of_ticks_makes_hardly_more_requests_than_the_new_ids_need(tmp_path: Path) -> None:
    """Late answers are known at the next tick, in room that the requests for new ids leave."""
    load = Load(messages=2_000, apps=2, minutes=120)
    outcome = simulate(load, days=1, folder=tmp_path)
    assert outcome.sent == 2_000
    assert outcome.least == 24
    assert outcome.requests <= math.floor(outcome.least * load.goal)
    assert quantiles(outcome.delays(), n=100)[98] <= (timedelta(minutes=load.minutes) / timedelta(minutes=1)) + 1
