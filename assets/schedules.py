"""When things run by themselves: the refresh every 15 minutes, maintenance once a day.

What belongs here: Dagster's words for it. What does not: what is due (`pipeline/maintain/due.py`).
"""

# No `from __future__ import annotations`: Dagster reads annotations of what it calls.
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

import dagster as dg

from assets.failures import one_line, storage_failures
from assets.jobs import MAINTENANCE
from assets.resources import Workspace
from pipeline.maintain.due import what_is_due
from pipeline.model.accounts import check_inputs
from pipeline.model.errors import SettingsError, SmsDeliveryError
from pipeline.model.settings import Settings

JOB: Final = "delivery_refresh"
REFRESH_CRON: Final = "*/15 * * * *"
MAINTENANCE_CRON: Final = "25 4 * * *"
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"
DUE: Final = "sms_delivery/due"
"""Tag of a run that says why it was launched."""
QUIET: Final = timedelta(hours=3)
"""Time after which a tick with nothing to do publishes all the same: else a quiet night would look as if polling had
stopped, to the freshness policies and to who reads `published_at`."""
SILENCE: Final = timedelta(minutes=10)
"""Time without an event, and without anybody at work in the lake, after which a run is taken for dead."""
_UNDER_WAY: Final = [
    status for status in dg.DagsterRunStatus if status.value in {"STARTING", "STARTED", "CANCELING", "QUEUED"}
]


def build_schedules(
    settings: Settings,
    new_workspace: Callable[[], Workspace],
    *,
    refresh_cron: str = REFRESH_CRON,
    quiet: timedelta = QUIET,
) -> list[dg.ScheduleDefinition]:
    """Make the two schedules; `SMS_SCHEDULES=on` lets both run from the start, else the UI switches them on.

    Args:
        settings: zone of the daily one, and whether they run from the start.
        new_workspace: gives what a tick looks at, so that each reads the settings of its time.
        refresh_cron: when the refresh is considered.
        quiet: age of the publication at which a tick with nothing to do publishes again.
    """
    status = dg.DefaultScheduleStatus.RUNNING if settings.schedules == "on" else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=JOB,
        job_name=JOB,
        cron_schedule=refresh_cron,
        default_status=status,
        description="One run over the smallest range of days that covers every message that is due and every sent log "
        "that is new or has changed, of whatever day. Nothing to do, or a run under way: no run, and the tick says so; "
        "after three quiet hours today is run once, so that what is published shows that polling goes on.",
    )
    def refresh_what_is_due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            with storage_failures():
                return _tick(context, new_workspace(), quiet)
        except SettingsError as error:
            return dg.SkipReason(f"no run until this is mended: {one_line(error)}")
        except SmsDeliveryError as error:
            return dg.SkipReason(f"no run this time: {one_line(error)}")

    daily = dg.ScheduleDefinition(
        name=MAINTENANCE,
        job_name=MAINTENANCE,
        cron_schedule=MAINTENANCE_CRON,
        execution_timezone=settings.timezone.key,
        default_status=status,
        description="Compacts closed days, deletes files that nobody needs, and prunes the history of runs.",
    )
    return [refresh_what_is_due, daily]


def _tick(
    context: dg.ScheduleEvaluationContext, workspace: Workspace, quiet: timedelta
) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run over what is due, or say why there is none."""
    check_inputs(workspace.settings)
    lake = workspace.lake()
    if busy := _run_under_way(context.instance, is_at_work=lake.working_since() is not None):
        return dg.SkipReason(f"run {busy} is under way; the next tick looks again")
    now = datetime.now(UTC)
    due = what_is_due(lake=lake, settings=workspace.settings, now=now)
    if due.range is not None:
        return _request(context, *due.range, due.reason)
    if _published_before(context.instance, now - quiet):
        today = workspace.settings.today(now)
        return _request(context, today, today, f"{due.reason}, and nothing was published for a while")
    return dg.SkipReason(due.reason)


def _request(context: dg.ScheduleEvaluationContext, first: date, last: date, reason: str) -> dg.RunRequest:
    context.log.info("%s to %s: %s", first, last, reason)
    return dg.RunRequest(tags={RANGE_START: first.isoformat(), RANGE_END: last.isoformat(), DUE: reason})


def _published_before(instance: dg.DagsterInstance, moment: datetime) -> bool:
    """Say whether the latest publication is older than a moment; where there is none, there is nothing to renew."""
    event = instance.get_latest_materialization_event(dg.AssetKey("analytics_db"))
    return event is not None and datetime.fromtimestamp(event.timestamp, UTC) < moment


def _run_under_way(instance: dg.DagsterInstance, *, is_at_work: bool) -> str | None:
    """Return a run of the assets that has not ended, by whomever it was started; end those that are dead.

    A process that was killed, or a machine that went down, leaves a run that would seem to run for ever.
    """
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNDER_WAY)):
        run = record.dagster_run
        if run.job_name != JOB and not run.asset_selection:
            continue
        if (
            is_at_work
            or run.status is dg.DagsterRunStatus.QUEUED
            or _last_sign(instance, record) > datetime.now(UTC) - SILENCE
        ):
            return run.run_id[:8]
        instance.report_run_failed(run, "its process has gone: it was killed, or the machine went down")
    return None


def _last_sign(instance: dg.DagsterInstance, record: dg.RunRecord) -> datetime:
    """Return when a run last said something."""
    newest = instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
    said = newest[0].timestamp if newest else 0.0
    return max(datetime.fromtimestamp(said, UTC), record.create_timestamp.replace(tzinfo=UTC))
