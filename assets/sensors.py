"""Sensors: two post failed runs and red checks to `SMS_ALERT_WEBHOOK`, off while it is not set; one ends dead runs.

What belongs here: which runs and checks are bad, and the message. What does not: how often a subject is posted, and
posting (`pipeline/maintain/alerts.py`). A subject is a cause, whichever job it fails, or a check with its severity: at
most one message an hour, one a day for a check that stays red; the next message counts those held back. A webhook that
can't be reached is logged, and tried again at 60 ticks, an hour. Runs of others are never posted. Runs are found by the
order in which they ended, not by clocks.
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from assets.checks import FAILING
from assets.events import failure_lines, one_line, run_events
from assets.partitions import range_of
from assets.project import Project, job_words
from assets.resources import utc_now
from assets.run_health import Silence, is_lake_in_use, runs_at_work
from pipeline.maintain.alerts import GAP, Memory, post
from pipeline.model.errors import AlertFailed, SettingsError
from pipeline.model.phone_numbers import mask_digits
from pipeline.model.printable import for_slack
from pipeline.model.settings import Settings

TICK_SECONDS: Final = 60
_RUNS_PER_TICK: Final = 100
_LINES: Final = 10
_LINE_LENGTH: Final = 500
_MOST_TRIES: Final = int(GAP.total_seconds()) // TICK_SECONDS
_ENDED: Final = (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE)


@dataclass(frozen=True)
class Alert:
    """Why a run failed, or a red check: its subject, whether it lasts, a line for a person, facts for a machine."""

    subject: str
    lasts: bool
    line: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class _Watch:
    """What a sensor looks for: its name and purpose, the alerts of a run, and what a person reads of such a run."""

    event: str
    description: str
    find: Callable[[dg.DagsterInstance, dg.DagsterRun, Memory], list[Alert]]
    verb: str


def build_sensors(settings: Settings, load: Callable[[], Settings], silence: Silence) -> list[dg.SensorDefinition]:
    """Make the sensors, those of alerts on from the start if a webhook is set; each tick loads the settings again."""
    return [
        _of_dead_runs(settings, load, silence),
    ] + [
        _sensor(watch, settings, load)
        for watch in (
            _Watch("run_failures", "Posts our failed runs to SMS_ALERT_WEBHOOK.", _failed_run, "failed"),
            _Watch(
                "check_failures", "Posts checks that turned red to SMS_ALERT_WEBHOOK.", _red_checks, "left checks red"
            ),
        )
    ]


def _of_dead_runs(settings: Settings, load: Callable[[], Settings], silence: Silence) -> dg.SensorDefinition:
    """Make the sensor that ends dead runs: where several machines work, one that was lost would hold its pools."""
    project = Project.of(settings)
    is_on = settings.lake_url is not None or settings.schedules == "on"

    @dg.sensor(
        name=project.named("dead_runs"),
        description="Marks our runs as failed that gave no sign of life for ten minutes: their process was killed, or "
        "their machine went down. Dagster then frees what they held of its pools.",
        minimum_interval_seconds=min(TICK_SECONDS, int(silence.dead_after.total_seconds())),
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        origin = context.code_location_origin
        try:
            in_use = is_lake_in_use(load())
        except SettingsError as error:
            return dg.SkipReason(str(error))
        location = origin.location_name if origin else None
        alive = runs_at_work(context.instance, project, silence, location=location, is_lake_in_use=in_use)
        return dg.SkipReason(f"{len(alive)} runs are under way")

    return tick


def _sensor(watch: _Watch, settings: Settings, load: Callable[[], Settings]) -> dg.SensorDefinition:
    project = Project.of(settings)

    @dg.sensor(
        name=project.named(watch.event),
        description=watch.description,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.alert_webhook else dg.DefaultSensorStatus.STOPPED,
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = utc_now().timestamp()
        memory = Memory.read(context.cursor, now=now)
        try:
            outcome = _post_alerts(context, project, watch, load(), memory, now=now)
        except SettingsError as error:
            outcome = str(error)
        return dg.SensorResult(skip_reason=outcome, cursor=memory.text())

    return tick


def _post_alerts(
    context: dg.SensorEvaluationContext,
    project: Project,
    watch: _Watch,
    settings: Settings,
    memory: Memory,
    *,
    now: float,
) -> str:
    """Post the new alerts of our runs that ended since the last tick; return the tick's outcome in words."""
    if settings.alert_webhook is None:
        memory.seen, memory.since = {kind.value: _newest(context.instance, kind) for kind in _ENDED}, now
        return "SMS_ALERT_WEBHOOK is not set: nothing is posted"
    ended, posted, origin = _ended(context.instance, memory), 0, context.code_location_origin
    for place, event in enumerate(ended):
        run = context.instance.get_run_by_id(event.run_id)
        ours = run is not None and project.owns(run, location=origin.location_name if origin else None)
        found = watch.find(context.instance, run, memory) if run and ours else []
        if found and memory.tries.get(event.run_id, 0) >= _MOST_TRIES:
            context.log.warning("the alert about run %s was not posted, and is not tried again", event.run_id[:8])
            found = []
        news = [alert for alert in found if memory.may_say(alert.subject, now=now, lasts=alert.lasts)]
        try:
            if run and news:
                post(settings.alert_webhook, _message(run, watch, news, memory, settings))
                posted += 1
        except AlertFailed as error:
            for waiting in ended[place:]:
                memory.tries[waiting.run_id] = memory.tries.get(waiting.run_id, 0) + 1
            context.log.warning("%s; it will be tried again for an hour", error)
            return str(error)
        for alert in news:
            memory.note_said(alert.subject, now=now)
        memory.seen[event.kind] = event.number
        memory.tries.pop(event.run_id, None)
    if len(ended) < _RUNS_PER_TICK:
        memory.since = now
    return f"{posted} messages posted" if posted else "nothing to post"


@dataclass(frozen=True, order=True)
class _Ended:
    """A run that ended: the event's number, in the order of the history, its kind, and the run."""

    number: int
    kind: str
    run_id: str


def _ended(instance: dg.DagsterInstance, memory: Memory) -> list[_Ended]:
    """Return the next runs that ended since the last tick, by the order of the history: clocks may be wrong."""
    found: list[_Ended] = []
    for kind in _ENDED:
        newest = _newest(instance, kind)
        is_known = 0 <= memory.seen.get(kind.value, -1) <= newest
        wanted = (
            dg.RunStatusChangeRecordsFilter(kind, after_storage_id=memory.seen[kind.value])
            if is_known
            else dg.RunStatusChangeRecordsFilter(kind, after_timestamp=memory.since)
        )  # nothing was seen yet, the newest run was pruned, or the history is a new one
        events = instance.fetch_run_status_changes(wanted, limit=_RUNS_PER_TICK, ascending=True).records
        if not is_known:  # what is not posted this time is wanted again
            memory.seen[kind.value] = events[0].storage_id - 1 if events else newest
        found += [_Ended(event.storage_id, kind.value, event.event_log_entry.run_id) for event in events]
    return sorted(found)[:_RUNS_PER_TICK]


def _newest(instance: dg.DagsterInstance, kind: Any) -> int:
    events = instance.fetch_run_status_changes(kind, limit=1).records
    return int(events[0].storage_id) if events else 0


def _failed_run(instance: dg.DagsterInstance, run: dg.DagsterRun, memory: Memory) -> list[Alert]:
    """Return an alert for each reason why a run failed. A cause is its words, without the numbers that vary."""
    del memory
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return []
    lines = dict.fromkeys(_line(line) for line in failure_lines(instance, run.run_id))
    return [
        Alert(re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", line), lasts=False, line=line, facts={"failures": [line]})
        for line in lines
    ]


def _red_checks(instance: dg.DagsterInstance, run: dg.DagsterRun, memory: Memory) -> list[Alert]:
    """Return an alert for each red check of a run; note in the memory which checks passed."""
    found = []
    for event in run_events(instance, run.run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        check = event.asset_check_evaluation_data
        if check.check_name in FAILING:  # it fails the run, which the other sensor posts
            continue
        if check.passed:
            for severity in dg.AssetCheckSeverity:
                memory.note_good(f"{check.check_name} {severity.value}")
        else:
            found.append(_red_check(check))
    return found


def _red_check(check: dg.AssetCheckEvaluation) -> Alert:
    severity, asset = check.severity.value, check.asset_key.to_user_string()
    numbers = {name: value.value for name, value in check.metadata.items() if isinstance(value.value, int | float)}
    figures = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
    return Alert(
        subject=f"{check.check_name} {severity}",
        lasts=True,
        line=_line(f"{severity} {check.check_name} of {asset}: {figures}"),
        facts={"check": check.check_name, "asset": asset, "severity": severity, "numbers": numbers},
    )


def _message(
    run: dg.DagsterRun, watch: _Watch, news: list[Alert], memory: Memory, settings: Settings
) -> dict[str, Any]:
    """Return what is posted: Slack's `text`, and the same facts for machines."""
    held = sum(memory.held.get(alert.subject, 0) for alert in news)
    first, last = (day.isoformat() for day in days) if (days := range_of(run.tags)) else (None, None)
    url = f"{settings.dagster_url.rstrip('/')}/runs/{run.run_id}" if settings.dagster_url else None
    job = _line(job_words(run))
    return {
        "text": "\n".join(
            [
                f"sms-delivery: {for_slack(job)}{f' for {first} to {last}' if first else ''} {watch.verb}",
                *[for_slack(alert.line) for alert in news[:_LINES]],
                *([f"({held} more times since the last message)"] if held else []),
                url or f"run {run.run_id[:8]}",
            ]
        ),
        "event": watch.event,
        "run_id": run.run_id,
        "url": url,
        "job": job,
        "first_day": first,
        "last_day": last,
        "held_back": held,
        "found": [dict(alert.facts) for alert in news],
    }


def _line(text: str) -> str:
    return mask_digits(one_line(text), is_own=True)[:_LINE_LENGTH]
