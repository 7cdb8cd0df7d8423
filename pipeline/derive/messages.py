"""Use case: derive `messages` from sent messages and answers.

What belongs here: which days are derived, and from what. What does not: replacing partitions (`partitions.py`), the
rules of states (`sql/messages.sql`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date, datetime
from typing import Final

from pipeline.derive.days import days_that_differ, rows_by_day
from pipeline.derive.partitions import Derivation, Deriver, DeriveTally
from pipeline.lake.lake import Lake
from pipeline.lake.notes import days_changed
from pipeline.lake.queries import Scalar, database, query
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES

_INPUTS: Final = (SENT_MESSAGES, DELIVERY_REPORTS)


def derive_messages(
    days: Collection[date],
    *,
    lake: Lake,
    settings: Settings,
    now: datetime,
    anew: bool = False,
    on_day: Callable[[date], None] = lambda _: None,
) -> DeriveTally:
    """Derive `messages` of some partitions, and of every other one with messages or answers not derived yet.

    Args:
        days: partitions to derive.
        lake: where inputs and result are.
        settings: `SMS_UNKNOWN_AFTER_HOURS` and memory.
        now: the instant at which silence is judged: the run's start.
        anew: derive even if no input changed.
        on_day: called with each partition once it is up to date, changed or not.

    Raises:
        LakeError: the lake can't be read or written.
    """
    derivation = Derivation(MESSAGES, _INPUTS, (query("derive/sql/messages"),), query("derive/sql/new_verdicts"))
    parameters: dict[str, Scalar] = {"now": now, "unknown_after_seconds": settings.unknown_after.total_seconds()}
    with days_changed(lake, _INPUTS, reader=MESSAGES.name) as changed, database(lake, settings) as connection:
        missing = days_that_differ(rows_by_day(SENT_MESSAGES, lake=lake), rows_by_day(MESSAGES, lake=lake))
        deriver = Deriver(connection, lake, parameters, anew=anew)
        wanted, replaced = sorted({*days, *changed, *missing}), []
        for day in wanted:
            if deriver.replace_days(derivation, [day]):
                replaced.append(day)
            on_day(day)
    return DeriveTally(tuple(wanted), tuple(replaced))
