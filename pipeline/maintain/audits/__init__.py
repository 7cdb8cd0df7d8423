"""Use case: audit what a run left: queries of `sql/checks/` that return the bad rows, and how bad they are.

What belongs here: which query, over what, with which bounds. What does not: how Dagster shows it (`assets/checks.py`).
Each audit looks at the days of the run, or at what is small (rollups) or open (messages not final), so that its price
does not grow with the lake. A day that another run is working on is left to that run: none of them fails falsely for
one that is under way, nor for a `rebuild` or `forget`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from pipeline.maintain.audits.contents import (
    answers_reconcile,
    delivery_rate_held,
    each_message_once,
    nothing_overdue,
    rejected_share,
    states_sum_to_sent,
)
from pipeline.maintain.audits.publication import published_file_agrees, schema_as_documented
from pipeline.maintain.audits.scene import Finding, Scene, opened_scene

Audit = Callable[[Scene], Finding]
AUDITS: Final[Mapping[str, Audit]] = {
    audit.__name__: audit
    for audit in (
        rejected_share,
        answers_reconcile,
        nothing_overdue,
        each_message_once,
        states_sum_to_sent,
        delivery_rate_held,
        published_file_agrees,
        schema_as_documented,
    )
}

__all__ = ["AUDITS", "Audit", "Finding", "Scene", "opened_scene"]
