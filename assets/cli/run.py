"""One run of a job in this process: which days it covers, its outcome.

What belongs here: what `sms-delivery run`, `reconcile` and the demo print of a run. What does not: what the run does
(`assets/assets.py`), how its phases show (`phases.py`), and commands without a run (`operations.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import dagster as dg

from assets.checks import BAD_ROWS
from assets.cli.home import opened_history
from assets.cli.output import say
from assets.cli.phases import seconds_text, shown
from assets.definitions import build_definitions
from assets.events import failure_reasons
from assets.internals import is_dagster_home_set, record_under_location
from assets.partitions import RECENT_DAYS, checked_range, range_tags
from assets.project import NOTHING_UNREAD, RECONCILE, REFRESH, Project, record_config
from assets.resources import Workspace, utc_now
from pipeline.follow.record_days import is_kept, unread_days
from pipeline.lake.lake import Lake
from pipeline.maintain.audits.context import WORDS
from pipeline.maintain.due import days_waiting, open_days
from pipeline.model.accounts import load_accounts
from pipeline.model.errors import RunFailed, SettingsError
from pipeline.model.settings import API_MEMORY, Settings


def refresh(settings: Settings, *, first: date | None = None, last: date | None = None, force: bool = False) -> None:
    """Run the whole chain for a range of days and print the outcome.

    Raises:
        SettingsError: a setting is missing or wrong; nothing was done.
        RunFailed: something is missing; the rest is published, unless the text says otherwise.
    """
    started = time.monotonic()
    workspace = Workspace(lambda: settings, phase=shown)
    first, last = _range(settings, workspace.lake, first, last)
    say(f"days {first} to {last} ({settings.timezone.key})")
    config = {"ops": {Project.of(settings).named("delivery_reports"): {"config": {"force": force}}}}
    _print_outcome(_execute(settings, workspace, REFRESH, range_tags(first, last), config))
    seconds = seconds_text(time.monotonic() - started)
    say(f"done in {seconds}: {settings.duckdb.name} and {settings.report.name} are up to date")


def reconcile(settings: Settings, *, first: date | None = None, last: date | None = None) -> None:
    """Read the platform's own record of a range of days, publish how it compares, and print the outcome.

    Without a range: each day on which no message is under way any more and whose record was not read since.

    Raises:
        SettingsError: a setting is missing or wrong; nothing was done.
        RunFailed: something is missing; the rest is published, unless the text says otherwise.
    """
    started = time.monotonic()
    workspace = Workspace(lambda: settings, phase=shown)
    accounts, is_default = load_accounts(settings), first is None and last is None
    days = unread_days(lake=workspace.lake, accounts=accounts, settings=settings, now=utc_now())
    if is_default and not days:
        say(NOTHING_UNREAD)
        return
    first, last = (days[0], days[-1]) if is_default else _record_range(settings, days, first, last)
    say(f"days {first} to {last} ({settings.timezone.key})")
    config = record_config(Project.of(settings), only_unread=is_default)
    _print_outcome(_execute(settings, workspace, RECONCILE, range_tags(first, last), config))
    say(f"done in {seconds_text(time.monotonic() - started)}: {settings.duckdb.name} is up to date")


def _record_range(
    settings: Settings, unread: Sequence[date], first: date | None, last: date | None
) -> tuple[date, date]:
    """Return the days that are read: up to today, and from the first unread day up to the last that is named."""
    now = utc_now()
    last = last or settings.today(now)
    first = first or min([last, *unread])
    is_kept_all = is_kept(first, settings=settings, now=now)
    if not (settings.start_date <= first <= last <= settings.today(now) and is_kept_all):
        raise SettingsError(
            f"--from {first} --to {last}: must be in order, not before {settings.start_date} (SMS_START_DATE), and one "
            f"of the last {API_MEMORY.days} days, which the platform keeps"
        )
    return first, last


def _range(settings: Settings, lake: Lake, first: date | None, last: date | None) -> tuple[date, date]:
    """Return the days of the run; by default the recent ones and every day that has something due."""
    now = utc_now()
    today = settings.today(now)
    last = last or today
    if first is None:
        recent = last - timedelta(days=RECENT_DAYS)
        older = open_days(lake=lake, settings=settings, now=now, before=recent)
        first = min([recent, *older, *days_waiting(lake=lake, settings=settings, now=now)])
        first = max(first, settings.start_date)
    return checked_range(settings, first, last, today=today)


def _execute(
    settings: Settings, workspace: Workspace, name: str, tags: Mapping[str, str], config: dict[str, Any]
) -> dg.ExecuteInProcessResult:
    job = build_definitions(settings, workspace).resolve_job_def(Project.of(settings).named(name))
    with _history(settings, job.name) as instance:
        return job.execute_in_process(
            instance=instance,
            tags=dict(tags),
            run_config=config | {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )


@contextmanager
def _history(settings: Settings, job: str) -> Iterator[dg.DagsterInstance]:
    """Give what records the run: DAGSTER_HOME, else the history of `sms-delivery ui`; without either, nothing."""
    with opened_history(settings) as instance:
        if instance is None:
            with dg.DagsterInstance.ephemeral() as ephemeral:
                yield ephemeral
            return
        if not is_dagster_home_set():
            record_under_location(instance, job)
        yield instance


def _print_outcome(result: dg.ExecuteInProcessResult) -> None:
    """Print the warnings of a run whose phases were printed.

    Raises:
        RunFailed: the run failed; the text is why.
    """
    for line in _warnings(result):
        say(f"warning: {line}")
    if not result.success:
        reasons = "\n".join(failure_reasons(result.all_events))
        raise RunFailed(reasons or "the run was interrupted; what was committed stays, run again for the rest")


def _warnings(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """Yield what the checks that did not pass say in words; the others have figures alone."""
    for check in result.get_asset_check_evaluations():
        rows = check.metadata.get(BAD_ROWS)
        if not check.passed and isinstance(rows, dg.JsonMetadataValue) and isinstance(rows.data, list):
            yield from (f"{check.check_name}: {row[WORDS]}" for row in rows.data if WORDS in row)
