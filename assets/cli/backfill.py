"""`sms-delivery backfill`: starts the job `delivery_backfill` on an instance, and waits for the end of its runs.

What belongs here: which instance, starting the job, lines about its runs. What does not: cutting the range and queueing
the runs (`assets/backfill.py`), which the UI starts without this command.
"""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Final

import dagster as dg

from assets.backfill import backfill_config, parts_of
from assets.cli.home import opened_history
from assets.cli.output import say
from assets.cli.phases import seconds_text
from assets.events import failure_lines
from assets.internals import is_queue_served, launch_job
from assets.partitions import checked_range, range_of
from assets.project import BACKFILL, PART_OF, Project
from assets.resources import utc_now
from pipeline.model.errors import RunFailed, SettingsError
from pipeline.model.settings import Settings

_LOOK_SECONDS: Final = 2.0


def backfill(settings: Settings, *, first: date, last: date, days_per_run: int, workspace: Path | None) -> None:
    """Run the chain for a range of days in many runs, and print the outcome of each.

    Args:
        settings: of the code location.
        first: first day of sending.
        last: last day of sending, included.
        days_per_run: days of each run.
        workspace: file that names the code location; None takes this package as the location `sms_delivery`.

    Raises:
        SettingsError: the days have no partitions, or there is no instance whose daemon starts runs.
        RunFailed: a run failed; the others are published.
    """
    started = time.monotonic()
    checked_range(settings, first, last, today=settings.today(utc_now()))
    parts = parts_of(first, last, days_per_run=days_per_run)
    with opened_history(settings) as instance:
        if instance is None:
            raise SettingsError("DAGSTER_HOME: is not set, and there is no history of `sms-delivery ui`; set it")
        if not is_queue_served(instance):
            raise SettingsError("DAGSTER_HOME: no daemon of this instance starts runs; start dagster-daemon, or the UI")
        say(f"days {first} to {last} ({settings.timezone.key}): {len(parts)} runs; the daemon starts them")
        config = backfill_config(first, last, days_per_run=days_per_run)
        run_id = launch_job(instance, Project.of(settings).named(BACKFILL), config, workspace=workspace)
        failed = wait_for_all(instance, run_id, len(parts))
    if failed:
        raise RunFailed(f"{failed} of {len(parts)} runs failed; run again for what they lack")
    say(f"done in {seconds_text(time.monotonic() - started)}: {len(parts)} runs")


def wait_for_all(instance: dg.DagsterInstance, run_id: str, expected: int) -> int:
    """Print the end of the newest run of each part of a backfill; return how many failed."""
    ended: dict[tuple[date, date] | None, dg.DagsterRun] = {}
    while len(ended) < expected:
        parent = instance.get_run_by_id(run_id)
        if parent is None or (parent.is_finished and not parent.is_success):
            raise RunFailed("\n".join(failure_lines(instance, run_id)) or f"run {run_id[:8]} was deleted or cancelled")
        oldest_first = instance.get_run_records(dg.RunsFilter(tags={PART_OF: run_id}), ascending=True)
        newest = {range_of(record.dagster_run.tags): record.dagster_run for record in oldest_first}
        for days, run in newest.items():
            if run.is_finished and (days not in ended or ended[days].run_id != run.run_id):
                ended[days] = run
                _print_end(instance, run, f"{len(ended)} of {expected}")
        time.sleep(_LOOK_SECONDS if len(ended) < expected else 0)
    return sum(not run.is_success for run in ended.values())


def _print_end(instance: dg.DagsterInstance, run: dg.DagsterRun, count: str) -> None:
    first, last = range_of(run.tags) or ("?", "?")
    say(f"{first} to {last}: {run.status.value.lower()}, run {run.run_id[:8]} ({count})")
    if not run.is_success:
        for line in failure_lines(instance, run.run_id):
            say(f"  {line}")
