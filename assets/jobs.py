"""The two jobs: `delivery_refresh` runs the assets, `maintenance` keeps lake and run history small.

What belongs here: jobs and ops, each op a call of one use case. What does not: when a job runs (`schedules.py`).
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from datetime import timedelta
from typing import Final

import dagster as dg

from assets.events import readable_failures
from assets.resources import Workspace, utc_now
from assets.run_history import prune_runs
from pipeline.maintain.clean import clean
from pipeline.maintain.compact import compact
from pipeline.publish.database import publish

REFRESH: Final = "delivery_refresh"
MAINTENANCE: Final = "maintenance"
NO_RETRY: Final = {"dagster/retry_on_asset_or_op_failure": "false"}
"""A failure is reported once; the next run does what is missing."""

refresh = dg.define_asset_job(
    REFRESH,
    selection=dg.AssetSelection.all(),
    executor_def=dg.in_process_executor,
    description="The whole chain for a range of days: logs, answers, states, rates, publication.",
    tags=NO_RETRY,
)


@dg.op
def compact_closed_days(context: dg.OpExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Merge the small files of days whose messages can no longer change, and publish the new files."""
    with readable_failures():
        tally = compact(lake=workspace.lake, settings=workspace.settings, now=utc_now())
        if tally.partitions and workspace.settings.duckdb.exists():
            # Without a new publication the old files of an idle lake could never be deleted.
            publish(lake=workspace.lake, settings=workspace.settings, now=utc_now())
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
def delete_old_files(context: dg.OpExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Delete files that no reader needs any more (SMS_SNAPSHOT_HOURS), and shorten the Delta logs."""
    with readable_failures():
        tally = clean(lake=workspace.lake, settings=workspace.settings, now=utc_now())
    context.log.info("%d files deleted, %.1f MB; %d kept for a while", tally.files, tally.size / 1e6, tally.kept)
    context.add_output_metadata({"files": tally.files, "bytes": tally.size, "files_kept": tally.kept})


@dg.op(ins={"after": dg.In(dg.Nothing)})
def prune_run_history(context: dg.OpExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    """Delete runs older than SMS_RUN_HISTORY_DAYS from Dagster's history."""
    with readable_failures():
        days = workspace.settings.run_history_days
        runs = prune_runs(context.instance, before=utc_now() - timedelta(days=days))
    context.log.info("%d runs older than %g days deleted", runs, days)
    context.add_output_metadata({"runs": runs})


@dg.job(
    name=MAINTENANCE,
    executor_def=dg.in_process_executor,
    tags=NO_RETRY,
    description="Daily: compacts the small files of closed days, deletes files that no reader needs, prunes the "
    "history of runs. Safe at any time, beside a run and with readers connected.",
)
def maintenance() -> None:
    """Compact, clean, prune, in this order: compaction leaves old files to delete."""
    prune_run_history(delete_old_files(compact_closed_days()))
