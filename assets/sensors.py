"""Alerts: sensors that post failed runs and red checks to `SMS_ALERT_WEBHOOK`; off while it is not set.

What belongs here: which runs and checks are bad, and the message. What does not: how often a subject is posted, and
posting (`pipeline/maintain/alerts.py`). A subject is a job's runs, or a check with its severity: at most one message an
hour, one a day for a check that stays red; the next message counts those held back. A webhook that can't be reached is
logged, and tried again at each tick for an hour.
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from assets.checks import COMPLETE
from assets.events import failure_reasons, one_line, run_events
from assets.partitions import range_of
from assets.resources import utc_now
from pipeline.maintain.alerts import GAP, Memory, post
from pipeline.model.errors import AlertFailed, SettingsError
from pipeline.model.phone_numbers import mask_digits
from pipeline.model.settings import Settings

TICK_SECONDS: Final = 60
_RUNS_PER_TICK: Final = 100
_LINES: Final = 10
_LINE_LENGTH: Final = 500
_ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


@dataclass(frozen=True)
class Alert:
    """A failed run or a red check: its subject, whether it lasts, a line for a person, facts for a machine."""

    subject: str
    lasts: bool
    line: str
    facts: Mapping[str, Any]


FindAlerts = Callable[[dg.DagsterInstance, dg.RunRecord, Memory], list[Alert]]


def build_sensors(settings: Settings, load: Callable[[], Settings]) -> list[dg.SensorDefinition]:
    """Make the two sensors, on from the start if a webhook is set; each tick loads the settings again."""
    status = dg.DefaultSensorStatus.RUNNING if settings.alert_webhook is not None else dg.DefaultSensorStatus.STOPPED
    return [
        _sensor("run_failures", "Posts failed runs to SMS_ALERT_WEBHOOK.", _failed_run, load, status),
        _sensor("check_failures", "Posts checks that turned red to SMS_ALERT_WEBHOOK.", _failed_checks, load, status),
    ]


def _sensor(
    name: str, description: str, find: FindAlerts, load: Callable[[], Settings], status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    @dg.sensor(name=name, description=description, minimum_interval_seconds=TICK_SECONDS, default_status=status)
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = utc_now().timestamp()
        memory = Memory.read(context.cursor, now=now)
        try:
            outcome = _post_alerts(context, find, load(), memory, now=now)
        except SettingsError as error:
            outcome = str(error)
        return dg.SensorResult(skip_reason=outcome, cursor=memory.text())

    return tick


def _post_alerts(
    context: dg.SensorEvaluationContext, find: FindAlerts, settings: Settings, memory: Memory, *, now: float
) -> str:
    """Post the new alerts of runs that ended since the last tick; return the tick's outcome in words."""
    if settings.alert_webhook is None:
        memory.since = now
        return "SMS_ALERT_WEBHOOK is not set: nothing is posted"
    posted = 0
    for record in _ended_since(context.instance, memory, now=now):
        found = find(context.instance, record, memory)
        news = [alert for alert in found if memory.may_say(alert.subject, now=now, lasts=alert.lasts)]
        try:
            if news:
                post(settings.alert_webhook, _message(record.dagster_run, context.sensor_name, news, memory))
                posted += 1
        except AlertFailed as error:
            context.log.warning("%s; it will be tried again for an hour", error)
            return str(error)
        for alert in news:
            memory.note_said(alert.subject, now=now)
        memory.since = record.update_timestamp.replace(tzinfo=UTC).timestamp()
    return f"{posted} messages posted" if posted else "nothing to post"


def _ended_since(instance: dg.DagsterInstance, memory: Memory, *, now: float) -> list[dg.RunRecord]:
    since = max(memory.since, now - GAP.total_seconds())
    wanted = dg.RunsFilter(statuses=_ENDED, updated_after=datetime.fromtimestamp(since, UTC))
    return list(instance.get_run_records(wanted, limit=_RUNS_PER_TICK, order_by="update_timestamp", ascending=True))


def _failed_run(instance: dg.DagsterInstance, record: dg.RunRecord, memory: Memory) -> list[Alert]:
    del memory
    run = record.dagster_run
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return []
    events = run_events(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE)
    reasons = [_line(reason) for reason in failure_reasons(events)]
    reasons = reasons or ["no step failed: its process may have been killed"]
    line = "; ".join(reasons)[:_LINE_LENGTH]
    return [Alert(f"run of {run.job_name}", lasts=False, line=line, facts={"failures": reasons[:_LINES]})]


def _failed_checks(instance: dg.DagsterInstance, record: dg.RunRecord, memory: Memory) -> list[Alert]:
    """Return an alert for each red check of a run; note in the memory which checks passed."""
    found = []
    for event in run_events(instance, record.dagster_run.run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        check = event.asset_check_evaluation_data
        if check.check_name == COMPLETE.name:  # it fails the run, which the other sensor posts
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


def _message(run: dg.DagsterRun, sensor: str | None, news: list[Alert], memory: Memory) -> dict[str, Any]:
    """Return what is posted: Slack's `text`, and the same facts for machines."""
    held = sum(memory.held.get(alert.subject, 0) for alert in news)
    days = range_of(run.tags)
    first, last = (day.isoformat() for day in days) if days else (None, None)
    of_days = f" for {first} to {last}" if days else ""
    what = "failed" if sensor == "run_failures" else "left checks red"
    lines = [f"sms-delivery: run {run.run_id[:8]} of {run.job_name}{of_days} {what}", *(alert.line for alert in news)]
    if held:
        lines.append(f"({held} more times since the last message)")
    return {
        "text": "\n".join(lines),
        "event": sensor,
        "run_id": run.run_id,
        "job": run.job_name,
        "first_day": first,
        "last_day": last,
        "held_back": held,
        "found": [dict(alert.facts) for alert in news],
    }


def _line(text: str) -> str:
    return mask_digits(one_line(text), in_words=False)[:_LINE_LENGTH]
