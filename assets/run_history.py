"""Pruning our part of Dagster's run history: old runs are deleted with their events and captured output.

The run that last materialized a partition is kept at any age: without its events the UI would show the partition as
missing. About one run is left of an old day. Runs of others who use the same instance are left alone.
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from assets.internals import delete_event_file, latest_materializations
from assets.project import ASSETS, Project

_ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


_LONGEST_PAUSE: Final = timedelta(days=2)
"""Time without a run counts as so much at most: a clock that jumps ahead makes all runs old at once. Maintenance runs
daily, so there are no longer pauses where it is at work."""


def young_runs(
    instance: dg.DagsterInstance, project: Project, *, now: datetime, days: float, location: str | None
) -> set[str]:
    """Return our runs of the last days, by the order in which they were made, whatever clocks said meanwhile."""
    young, age, previous = set[str](), timedelta(), now
    for record in project.runs(instance, dg.RunsFilter(), location=location):
        created = record.create_timestamp.replace(tzinfo=UTC)
        age += min(max(previous - created, timedelta()), _LONGEST_PAUSE)
        if age > timedelta(days=days):
            break
        young.add(record.dagster_run.run_id)
        previous = created
    return young


def prune_runs(
    instance: dg.DagsterInstance,
    project: Project,
    *,
    before: datetime,
    location: str | None,
    spared: Collection[str] = (),
) -> int:
    """Delete our runs that have ended and were created before an instant with a zone, but for some; return how many."""
    needed = _runs_of_latest_materializations(instance, project) | set(spared)
    ended = project.runs(instance, dg.RunsFilter(statuses=_ENDED, created_before=before), location=location)
    old = [record.dagster_run.run_id for record in ended if record.dagster_run.run_id not in needed]
    for run_id in old:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        delete_event_file(instance, run_id)
    return len(old)


def _runs_of_latest_materializations(instance: dg.DagsterInstance, project: Project) -> set[str]:
    """Return the run that last materialized each of our assets and each of its partitions."""
    needed = set[str]()
    for key in project.keys(*ASSETS):
        latest = instance.get_latest_materialization_event(key)
        needed |= {latest.run_id} if latest else set()
        needed |= {record.run_id for record in latest_materializations(instance, key)}
    return needed
