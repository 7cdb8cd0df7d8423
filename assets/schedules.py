"""When jobs run by themselves: `delivery_refresh` every 15 minutes, `maintenance` daily, `delivery_reconcile` weekly.

What belongs here: whether a tick launches a run, and over which range. What does not: which days have work
(`pipeline/maintain/due.py`).
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import dagster as dg

from assets.events import expected_error, one_line
from assets.internals import location_of_schedule
from assets.partitions import range_of, range_tags
from assets.project import MAINTENANCE, NOTHING_UNREAD, PART_OF, RECONCILE, REFRESH, Project, record_config
from assets.resources import Workspace, utc_now
from assets.run_health import Silence, is_lake_in_use, runs_at_work
from pipeline.follow.record_days import unread_days
from pipeline.maintain.due import what_is_due
from pipeline.model.accounts import check_inputs, load_accounts
from pipeline.model.errors import SettingsError
from pipeline.model.settings import CLOCK_TOLERANCE, Settings

REFRESH_CRON: Final = "*/15 * * * *"
MAINTENANCE_CRON: Final = "25 4 * * *"
RECONCILE_CRON: Final = "40 5 * * 1"
DUE: Final = "sms_delivery/due"
"""Tag of a run: why it was launched."""
REPUBLISH_AFTER: Final = timedelta(hours=3)
"""Age of the publication at which a tick with nothing to do runs all the same. Otherwise freshness policies, and
readers of `published_at`, would take a quiet night for a standstill."""


def build_schedules(
    settings: Settings,
    load: Callable[[], Settings],
    silence: Silence,
    *,
    refresh_cron: str = REFRESH_CRON,
    republish_after: timedelta = REPUBLISH_AFTER,
    clock: Callable[[], datetime] = utc_now,
) -> list[dg.ScheduleDefinition]:
    """Make the schedules. `SMS_SCHEDULES=on` starts the first two with the daemon; otherwise the UI switches them on.

    `delivery_reconcile` is off until somebody switches it on. Each tick loads the settings again.
    """
    status = dg.DefaultScheduleStatus.RUNNING if settings.schedules == "on" else dg.DefaultScheduleStatus.STOPPED
    project = Project.of(settings)

    @dg.schedule(
        name=project.named(REFRESH),
        job_name=project.named(REFRESH),
        cron_schedule=refresh_cron,
        default_status=status,
        description="One run over the smallest range of days that covers every due message and every new or changed "
        "sent log. No run if there is nothing to do or a run is under way; the tick says which. After three hours "
        "without a publication, one run of today, which shows that polling goes on.",
    )
    def refresh_what_is_due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _or_reason(
            lambda: _tick(context, project, Workspace(load), silence, republish_after=republish_after, now=clock())
        )

    @dg.schedule(
        name=project.named(RECONCILE),
        job_name=project.named(RECONCILE),
        cron_schedule=RECONCILE_CRON,
        execution_timezone=settings.timezone.key,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="One run over the days on which no message is under way any more and whose record was not read "
        "since, 90 days back at most.",
    )
    def read_unread_days(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _or_reason(lambda: _record_tick(context, project, Workspace(load), clock()))

    daily = dg.ScheduleDefinition(
        name=project.named(MAINTENANCE),
        job_name=project.named(MAINTENANCE),
        cron_schedule=MAINTENANCE_CRON,
        execution_timezone=settings.timezone.key,
        default_status=status,
        description="Compacts closed days, deletes files that no reader needs, and prunes our runs' history.",
    )
    return [refresh_what_is_due, daily, read_unread_days]


def _or_reason(tick: Callable[[], dg.RunRequest | dg.SkipReason]) -> dg.RunRequest | dg.SkipReason:
    """Return the outcome of a tick; an expected error is a reason for no run."""
    try:
        return tick()
    except Exception as error:
        expected = expected_error(error)
        if expected is None:
            raise
        when = "until this is fixed" if isinstance(expected, SettingsError) else "this time"
        return dg.SkipReason(f"no run {when}: {one_line(expected)}")


def _record_tick(
    context: dg.ScheduleEvaluationContext, project: Project, workspace: Workspace, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """Return one run over the days whose record is to be read, or the reason why there is none."""
    settings = workspace.settings
    days = unread_days(lake=workspace.lake, accounts=load_accounts(settings), settings=settings, now=now)
    if not days:
        return dg.SkipReason(NOTHING_UNREAD)
    reason = f"{len(days)} days whose record was not read"
    return _request(context, days[0], days[-1], reason, run_config=record_config(project, only_unread=True))


def _tick(
    context: dg.ScheduleEvaluationContext,
    project: Project,
    workspace: Workspace,
    silence: Silence,
    *,
    republish_after: timedelta,
    now: datetime,
) -> dg.RunRequest | dg.SkipReason:
    """Return one run over what is due, or the reason why there is none."""
    check_inputs(workspace.settings)
    lake = workspace.lake
    parts, others = _runs_under_way(
        context.instance, project, silence, is_lake_in_use=is_lake_in_use(workspace.settings)
    )
    if others:
        return dg.SkipReason(f"run {others[0].run_id[:8]} is under way; the next tick looks again")
    held = _days_of(parts)
    due = what_is_due(lake=lake, settings=workspace.settings, now=now, held=held)
    if due.range is not None:
        return _request(context, *due.range, due.reason)
    if _published_before(context.instance, project, republish_after, now):
        today = workspace.settings.today(now)
        return _request(context, today, today, f"{due.reason}, and nothing was published for a while")
    return dg.SkipReason(
        f"{due.reason}, but for the {len(held)} days that a backfill has yet to run" if held else due.reason
    )


def _request(
    context: dg.ScheduleEvaluationContext,
    first: date,
    last: date,
    reason: str,
    *,
    run_config: dict[str, Any] | None = None,
) -> dg.RunRequest:
    context.log.info("%s to %s: %s", first, last, reason)
    return dg.RunRequest(tags={**range_tags(first, last), DUE: reason}, run_config=run_config)


def _published_before(instance: dg.DagsterInstance, project: Project, age: timedelta, now: datetime) -> bool:
    """Return whether the latest publication is older than an age; False if nothing was ever published.

    One that lies ahead is of a clock that was wrong, and may be of any age.
    """
    event = instance.get_latest_materialization_event(project.key("analytics_db"))
    if event is None:
        return False
    published_at = datetime.fromtimestamp(event.timestamp, UTC)
    return published_at < now - age or published_at > now + CLOCK_TOLERANCE


def _runs_under_way(
    instance: dg.DagsterInstance, project: Project, silence: Silence, *, is_lake_in_use: bool
) -> tuple[list[dg.DagsterRun], list[dg.DagsterRun]]:
    """Return our runs that have not ended: the parts of backfills, and others over the chain, by schedule or by hand.

    The former, which may take days, hold back no run of other days. A job that has yet to queue them holds back all.
    """
    location = location_of_schedule(instance, project.named(REFRESH))
    apart = {project.named(name) for name in (MAINTENANCE, RECONCILE)}
    at_work = runs_at_work(instance, project, silence, location=location, is_lake_in_use=is_lake_in_use)
    ours = [run for run in at_work if run.job_name not in apart]
    return [run for run in ours if PART_OF in run.tags], [run for run in ours if PART_OF not in run.tags]


def _days_of(runs: Iterable[dg.DagsterRun]) -> set[date]:
    ranges = [days for run in runs if (days := range_of(run.tags))]
    return {first + timedelta(days=step) for first, last in ranges for step in range((last - first).days + 1)}
