"""The job `delivery_backfill`: a range of days as many runs of `delivery_refresh`, so that several work at once.

What belongs here: cutting the range, and queueing a run for each part. What does not: how many of them run at once
(the instance: its queue, launcher and pools), and the command that waits for their end (`cli/backfill.py`).
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg
from pydantic import Field

from assets.events import readable_failures
from assets.internals import origin_of, queue_run
from assets.partitions import checked_range, range_tags
from assets.project import BACKFILL, PART_OF, REFRESH, RUN_TAGS, Project
from assets.resources import Workspace, utc_now
from pipeline.model.errors import SettingsError

DAYS_PER_RUN: Final = 7
STEP: Final = "queue_runs"
_AFTER_OTHERS: Final = {"dagster/priority": "-10"}
"""Tag by which the queue, and pools, let the runs of the schedule go first."""


class BackfillConfig(dg.Config):
    """Which days `delivery_backfill` runs; set in the launchpad under ops, queue_runs, config."""

    first: str = Field(description="First day of sending, as 2026-11-01.")
    last: str = Field(description="Last day of sending, included.")
    days_per_run: int = Field(default=DAYS_PER_RUN, ge=1, description="Days of each run.")


def build_backfill(project: Project) -> dg.JobDefinition:
    """Make the job. It ends when its runs are queued: it holds no worker while they work."""

    @dg.op(name=STEP)
    def queue_runs(
        context: dg.OpExecutionContext, config: BackfillConfig, sms_workspace: dg.ResourceParam[Workspace]
    ) -> None:
        """Queue a run for each part of the range, the oldest first."""
        with readable_failures():
            origin = origin_of(context.run)
            settings, ends = sms_workspace.settings, (_day("first", config.first), _day("last", config.last))
            days = checked_range(settings, *ends, today=settings.today(utc_now()))
        job = context.repository_def.get_job(project.named(REFRESH))
        for first, last in parts_of(*days, days_per_run=config.days_per_run):
            tags = range_tags(first, last) | _AFTER_OTHERS | {PART_OF: context.run_id}
            with readable_failures():
                run_id = queue_run(context.instance, job, tags, origin)
            context.log.info("%s to %s: run %s", first, last, run_id[:8])

    @dg.job(
        name=project.named(BACKFILL),
        executor_def=dg.in_process_executor,
        tags=RUN_TAGS,
        description="A range of days as many runs of delivery_refresh. On several workers their logs and tables are "
        "read and derived side by side; one at a time asks the platform.",
    )
    def backfill() -> None:
        queue_runs()

    return backfill


def backfill_config(first: date, last: date, *, days_per_run: int) -> dict[str, Any]:
    """Return the run config of the job."""
    config = {"first": first.isoformat(), "last": last.isoformat(), "days_per_run": days_per_run}
    return {"ops": {STEP: {"config": config}}}


def parts_of(first: date, last: date, *, days_per_run: int) -> list[tuple[date, date]]:
    """Cut a range of days into parts of so many days, the last one shorter; both ends are included."""
    starts = range(0, (last - first).days + 1, days_per_run)
    length = timedelta(days=days_per_run - 1)
    return [(start, min(start + length, last)) for start in (first + timedelta(days=step) for step in starts)]


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{name}: {text} is no day; write it as 2026-11-01") from error
