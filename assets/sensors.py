"""Alerts: sensors that look at runs that have ended, and post what failed to `SMS_ALERT_WEBHOOK`.

Off while no webhook is set. A subject (a job's runs; a check and its severity) is told at most once an hour, a check
that stays red once a day; what was held back is counted in the next message. A webhook that can't be reached is logged,
and tried again at each tick for an hour.
"""

# No `from __future__ import annotations`: Dagster reads annotations of what it calls.
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from assets.events import without_numbers
from assets.metadata import reasons_of
from assets.resources import utc_now
from pipeline.maintain.alerts import GAP, Memory, post
from pipeline.model.errors import AlertFailed, SettingsError
from pipeline.model.settings import Settings

TICK_SECONDS: Final = 60
_RUNS_A_TICK: Final = 100
_LINES: Final = 10
_LINE_LENGTH: Final = 500
_ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_OUTCOME: Final = "every_question_answered"


@dataclass(frozen=True)
class Bad:
    """Something bad in a run: its subject, whether it lasts, a line for a person, facts for a machine."""

    subject: str
    lasts: bool
    line: str
    facts: Mapping[str, Any]


Look = Callable[[dg.DagsterInstance, dg.RunRecord, Memory], list[Bad]]


def build_sensors(settings: Settings, load: Callable[[], Settings]) -> list[dg.SensorDefinition]:
    """Make the two sensors; they are on from the start where a webhook is set.

    Args:
        settings: as of now, for what is on from the start.
        load: gives the settings as of a tick.
    """
    on = settings.alert_webhook is not None
    status = dg.DefaultSensorStatus.RUNNING if on else dg.DefaultSensorStatus.STOPPED
    return [
        _sensor("run_failures", "Posts runs that failed to SMS_ALERT_WEBHOOK.", _failed_run, load, status),
        _sensor("check_failures", "Posts checks that turned red to SMS_ALERT_WEBHOOK.", _failed_checks, load, status),
    ]


def _sensor(
    name: str, description: str, look: Look, load: Callable[[], Settings], status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    @dg.sensor(name=name, description=description, minimum_interval_seconds=TICK_SECONDS, default_status=status)
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = utc_now().timestamp()
        memory = Memory.read(context.cursor, now=now)
        try:
            said = _tell(context, look, load(), memory, now=now)
        except SettingsError as error:
            said = str(error)
        return dg.SensorResult(skip_reason=said, cursor=memory.text())

    return tick


def _tell(context: dg.SensorEvaluationContext, look: Look, settings: Settings, memory: Memory, *, now: float) -> str:
    """Look at the runs that ended since the last tick, and post what is news; return what the tick says."""
    if settings.alert_webhook is None:
        memory.since = now
        return "SMS_ALERT_WEBHOOK is not set: nothing is posted"
    posted = 0
    for record in _ended_since(context.instance, memory, now=now):
        found = look(context.instance, record, memory)
        news = [bad for bad in found if memory.may_say(bad.subject, now=now, lasts=bad.lasts)]
        try:
            if news:
                post(settings.alert_webhook, _message(record.dagster_run, context.sensor_name, news, memory))
                posted += 1
        except AlertFailed as error:
            context.log.warning("%s; it is tried again for an hour", error)
            return str(error)
        for bad in news:
            memory.note_said(bad.subject, now=now)
        memory.since = record.update_timestamp.replace(tzinfo=UTC).timestamp()
    return f"{posted} messages posted" if posted else "nothing to tell"


def _ended_since(instance: dg.DagsterInstance, memory: Memory, *, now: float) -> list[dg.RunRecord]:
    since = max(memory.since, now - GAP.total_seconds())
    wanted = dg.RunsFilter(statuses=_ENDED, updated_after=datetime.fromtimestamp(since, UTC))
    return list(instance.get_run_records(wanted, limit=_RUNS_A_TICK, order_by="update_timestamp", ascending=True))


def _failed_run(instance: dg.DagsterInstance, record: dg.RunRecord, memory: Memory) -> list[Bad]:
    run = record.dagster_run
    del memory
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return []
    reasons = [_line(reason) for reason in reasons_of(_events(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE))]
    reasons = reasons or ["it ended without a step that failed: its process may have been killed"]
    line = "; ".join(reasons)[:_LINE_LENGTH]
    return [Bad(f"run of {run.job_name}", lasts=False, line=line, facts={"failures": reasons[:_LINES]})]


def _failed_checks(instance: dg.DagsterInstance, record: dg.RunRecord, memory: Memory) -> list[Bad]:
    found = []
    for event in _events(instance, record.dagster_run.run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        check = event.asset_check_evaluation_data
        subjects = {severity: f"{check.check_name} {severity.value}" for severity in dg.AssetCheckSeverity}
        if check.check_name == _OUTCOME:  # it fails the run, which is told by the other sensor
            continue
        if check.passed:
            for subject in subjects.values():
                memory.note_good(subject)
            continue
        numbers = {name: value.value for name, value in check.metadata.items() if isinstance(value.value, int | float)}
        facts = {
            "check": check.check_name,
            "asset": check.asset_key.to_user_string(),
            "severity": check.severity.value,
            "numbers": numbers,
        }
        told = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
        line = f"{check.severity.value} {check.check_name} of {check.asset_key.to_user_string()}: {told}"
        found.append(Bad(subjects[check.severity], lasts=True, line=_line(line), facts=facts))
    return found


def _message(run: dg.DagsterRun, sensor: str | None, news: list[Bad], memory: Memory) -> dict[str, Any]:
    """Return what is posted: Slack's `text`, and the same for machines beside it."""
    held = sum(memory.held.get(bad.subject, 0) for bad in news)
    one = run.tags.get("dagster/partition")
    first, last = (run.tags.get(f"dagster/asset_partition_range_{end}", one) for end in ("start", "end"))
    of_days = f" for {first} to {last}" if first and last else ""
    what = "failed" if sensor == "run_failures" else "left checks red"
    lines = [f"sms-delivery: run {run.run_id[:8]} of {run.job_name}{of_days} {what}", *(bad.line for bad in news)]
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
        "found": [dict(bad.facts) for bad in news],
    }


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> Iterator[dg.DagsterEvent]:
    for entry in instance.all_logs(run_id, of_type=kind):
        if entry.dagster_event is not None:
            yield entry.dagster_event


def _line(text: str) -> str:
    return without_numbers(" ".join(text.split()))[:_LINE_LENGTH]
