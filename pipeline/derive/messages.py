"""Use case: derive `messages` from sent messages and answers.

What belongs here: which days are derived, and from what. What does not: replacing partitions (`partitions.py`), the
rules of states (`sql/messages.sql`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime
from typing import Final

import duckdb

from pipeline.derive.days import days_that_differ, rows_by_day
from pipeline.derive.networks import show_networks
from pipeline.derive.partitions import Derivation, DeriveTally, groups_of_days
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake
from pipeline.lake.notes import days_changed
from pipeline.lake.queries import Scalar, database, query
from pipeline.lake.store_errors import StoreError
from pipeline.model.errors import LakeError
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import CLOCK_TOLERANCE, Settings
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, PUSHED_REPORTS, SENT_MESSAGES

_INPUTS: Final = (SENT_MESSAGES, DELIVERY_REPORTS)
_ADDITIONS: Final = (PUSHED_REPORTS,)
ROWS_AT_ONCE: Final = 50_000
"""Messages and answers of days that are derived together, and committed: whole rows are in memory."""


def derive_messages(
    days: Collection[date],
    *,
    lake: Lake,
    settings: Settings,
    now: datetime,
    anew: bool = False,
    latest: datetime | None = None,
    on_day: Callable[[date], None] = lambda _: None,
    on_progress: Progress = untold,
) -> DeriveTally:
    """Derive `messages` of some partitions, and of every other one with messages or answers not derived yet.

    Silence is judged at `now`, the run's start. With `anew` a partition is derived even if no input changed.
    `latest` is the present, by default `now`: answers that are ahead of it are of a clock that was wrong.
    `on_day` is called with each partition once it is up to date, changed or not; `on_progress` is told the days.

    Raises:
        LakeError: the lake can't be read or written.
    """
    parameters: dict[str, Scalar] = {
        "now": now,
        "unknown_after_seconds": settings.unknown_after.total_seconds(),
        "latest": max(now, latest or now) + CLOCK_TOLERANCE,
    }
    selects, outdated = (query("derive/sql/messages"),), query("derive/sql/new_verdicts")
    read = (*_INPUTS, *_ADDITIONS)
    with days_changed(lake, read, reader=MESSAGES.name) as changed, database(lake, settings) as connection:
        show_networks(connection)
        missing = days_that_differ(rows_by_day(SENT_MESSAGES, lake=lake), rows_by_day(MESSAGES, lake=lake))
        derivation = Derivation(
            connection, lake, MESSAGES, _INPUTS, _ADDITIONS, selects, outdated, parameters, anew, ROWS_AT_ONCE
        )
        first = kept_days(lake).messages
        wanted, replaced = sorted(day for day in {*days, *changed, *missing} if day >= first), set[date]()
        rows, done = rows_by_day(SENT_MESSAGES, lake=lake) + rows_by_day(DELIVERY_REPORTS, lake=lake), 0
        for group in groups_of_days(wanted, rows, ROWS_AT_ONCE):
            for some, changed_days in _replaced(derivation, group):
                replaced |= changed_days
                for day in some:
                    on_day(day)
                done += len(some)
                on_progress(done, len(wanted))
    return DeriveTally(tuple(wanted), tuple(sorted(replaced)))


def _replaced(derivation: Derivation, days: list[date]) -> Iterator[tuple[list[date], set[date]]]:
    """Replace days together, and if one is broken each alone: it holds none before it back.

    Where the store does not answer no day is broken.

    Gives the days that are up to date, and those of them of which a row changed.
    """
    try:
        changed = derivation.replace(days)
    except StoreError:
        raise
    except (LakeError, duckdb.Error):
        if len(days) == 1:
            raise
    else:
        yield days, changed
        return
    for day in days:
        yield [day], derivation.replace([day])
