"""Use case: say how the asking of some days went, by `api_calls`: a verdict that doesn't depend on who started the run.

Belongs here: calls that failed and were not followed by one that succeeded. Does not: which messages are due
(`follow/due.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.model.settings import CLOCK_TOLERANCE, Settings
from pipeline.model.tables import API_CALLS


@dataclass(frozen=True)
class Asking:
    """What was asked for some days.

    Attributes:
        calls: calls since the moment that was named.
        failures: a line for each app whose latest call of these days failed, whenever that was.
    """

    calls: int
    failures: list[str]


def asking_of(days: Collection[date], *, since: datetime, now: datetime, lake: Lake, settings: Settings) -> Asking:
    """Return what was asked for some days since a moment, and which apps stand unanswered.

    Raises:
        LakeError: the lake can't be read.
    """
    with database(lake, settings) as connection:
        show_files(connection, API_CALLS, lake.snapshot(API_CALLS).of(days))
        rows = rows_of(connection, query("maintain/sql/asking"), {"since": since, "latest": now + CLOCK_TOLERANCE})
    failures = [f"app {app}: its latest call failed ({outcome}): {error}" for app, outcome, error, _ in rows if outcome]
    return Asking(sum(calls for *_, calls in rows), failures)
