"""The jobs: `delivery_refresh` runs the chain, `delivery_reconcile` reads the platform's record, `maintenance` tidies.

What belongs here: jobs and ops, each op a call of one use case. What does not: when a job runs (`schedules.py`), and
the job that queues many runs of the first (`backfill.py`).
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import dagster as dg

from assets.backfill import build_backfill
from assets.events import readable_failures
from assets.project import MAINTENANCE, RECONCILE, RECONCILED, REFRESH, REFRESHED, RUN_TAGS, Project
from assets.resources import Workspace, utc_now
from assets.run_health import others_at_work
from assets.run_history import prune_runs, young_runs
from pipeline.maintain.clean import clean
from pipeline.maintain.compact import compact
from pipeline.maintain.retain import retain
from pipeline.publish.again import publish_again
from pipeline.publish.bucket import published_file
from pipeline.publish.database import publish
from pipeline.publish.reading import names_replaced_files


def build_jobs(project: Project) -> list[Any]:
    """Make the jobs. Those of assets take them by name: merged definitions hold others, too."""
    chain = "The whole chain for a range of days: logs, answers, states, rates, publication."
    record = "Reads the platform's own record of a range of days, and publishes how it compares with the sent logs."
    return [
        _of_assets(project, REFRESH, REFRESHED, chain),
        _of_assets(project, RECONCILE, RECONCILED, record),
        build_backfill(project),
        _maintenance(project),
    ]


def _of_assets(project: Project, name: str, assets: Iterable[str], description: str) -> Any:
    return dg.define_asset_job(
        project.named(name),
        selection=dg.AssetSelection.assets(*project.keys(*assets)),
        executor_def=dg.in_process_executor,
        description=description,
        tags=RUN_TAGS,
    )


def _maintenance(project: Project) -> dg.JobDefinition:
    @dg.job(
        name=project.named(MAINTENANCE),
        executor_def=dg.in_process_executor,
        tags=RUN_TAGS,
        description="Daily: drops what is older than SMS_KEEP_DAYS, compacts the small files of closed days, deletes "
        "files that no reader needs, prunes our part of the history of runs. Safe at any time, beside a run and with "
        "readers connected.",
    )
    def retain_compact_clean_prune() -> None:  # in this order: the first two leave old files to delete
        prune_run_history(delete_old_files(compact_closed_days(drop_old_days())))

    return retain_compact_clean_prune


@dg.op
def drop_old_days(context: dg.OpExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> None:
    """Drop messages and numbers older than SMS_KEEP_DAYS and SMS_KEEP_NUMBERS_DAYS, and publish what is left."""
    with readable_failures():
        lake, settings, now = sms_workspace.lake, sms_workspace.settings, utc_now()
        tally = retain(lake=lake, settings=settings, now=now)
        # also what an earlier time dropped and was ended before it published
        if published_file(settings) and (tally.is_change or names_replaced_files(lake, settings)):
            publish_again(lake=lake, settings=settings, now=now)
    context.log.info("%s", tally)
    context.add_output_metadata(
        {"rows_dropped": tally.rows.total(), "rows_without_number_now": tally.numbers.total()}
        | {"messages_from": str(tally.kept.messages_from), "numbers_from": str(tally.kept.numbers_from)}
    )


@dg.op(ins={"after": dg.In(dg.Nothing)})
def compact_closed_days(context: dg.OpExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> None:
    """Merge the small files of days whose messages can no longer change, and publish the new files."""
    with readable_failures():
        tally = compact(lake=sms_workspace.lake, settings=sms_workspace.settings, now=utc_now())
        if tally.partitions and published_file(sms_workspace.settings):
            # Without a new publication the old files of an idle lake could never be deleted.
            publish(lake=sms_workspace.lake, settings=sms_workspace.settings, now=utc_now())
    partitions = ", ".join(f"{count} of {name}" for name, count in tally.partitions.items()) or "none"
    context.log.info("compacted: %s; %d files became %d", partitions, tally.files_before, tally.files_after)
    context.add_output_metadata(
        {
            "partitions": sum(tally.partitions.values()),
            "files_before": tally.files_before,
            "files_after": tally.files_after,
            "partitions_left_to_next_time": tally.left,
        }
    )


@dg.op(ins={"after": dg.In(dg.Nothing)})
def delete_old_files(context: dg.OpExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> None:
    """Delete files that no reader needs any more (SMS_SNAPSHOT_HOURS), and shorten the Delta logs."""
    with readable_failures():
        settings, location = sms_workspace.settings, _location(context)
        others = (  # of a folder, the locks of this machine tell who is at work, and are free once a process is dead
            others_at_work(context.instance, Project.of(settings), context.run, location=location)
            if settings.lake_url
            else ()
        )
        tally = clean(lake=sms_workspace.lake, settings=settings, now=utc_now(), others=others)
    context.log.info("%d files deleted, %.1f MB; %d kept for a while", tally.files, tally.size / 1e6, tally.kept)
    context.add_output_metadata({"files": tally.files, "bytes": tally.size, "files_kept": tally.kept})


@dg.op(ins={"after": dg.In(dg.Nothing)})
def prune_run_history(context: dg.OpExecutionContext, sms_workspace: dg.ResourceParam[Workspace]) -> None:
    """Delete our runs older than SMS_RUN_HISTORY_DAYS from Dagster's history."""
    with readable_failures():
        days, project = sms_workspace.settings.run_history_days, Project.of(sms_workspace.settings)
        now, location = utc_now(), _location(context)
        young = young_runs(context.instance, project, now=now, days=days, location=location)
        before = now - timedelta(days=days)
        runs = prune_runs(context.instance, project, before=before, location=location, spared=young)
    context.log.info("%d runs older than %g days deleted", runs, days)
    context.add_output_metadata({"runs": runs})


def _location(context: dg.OpExecutionContext) -> str | None:
    """Return the code location that the run was launched from; None for one of a command."""
    origin = context.run.remote_job_origin
    return origin.location_name if origin else None
