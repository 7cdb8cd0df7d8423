"""One run of the job in this process: which days it covers, progress while it asks, its outcome.

What belongs here: what `sms-delivery run` and the demo print of a run. What does not: what the run does
(`assets/assets.py`), and commands without a run (`operations.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import click
import dagster as dg
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from assets.checks import BAD_ROWS
from assets.cli.home import home_of
from assets.definitions import build_definitions
from assets.events import failure_reasons, materializations
from assets.internals import is_dagster_home_set, record_under_location
from assets.metadata import REJECTS, SUMMARY
from assets.partitions import RECENT_DAYS, range_tags
from assets.project import REFRESH, Project
from assets.resources import Workspace, utc_now
from pipeline.lake.lake import Lake
from pipeline.maintain.audits.context import WORDS
from pipeline.maintain.due import open_days
from pipeline.model.errors import RunFailed, SettingsError
from pipeline.model.settings import Settings


def refresh(settings: Settings, *, first: date | None = None, last: date | None = None, force: bool = False) -> None:
    """Run the whole chain for a range of days and print the outcome.

    Raises:
        SettingsError: a setting is missing or wrong; nothing was done.
        RunFailed: something is missing; the rest is published, unless the text says otherwise.
    """
    with _progress() as on_progress:
        workspace = Workspace(lambda: settings, on_progress=on_progress)
        first, last = _range(settings, workspace.lake, first, last)
        click.echo(f"days {first} to {last} ({settings.timezone.key})")
        result = _execute(settings, workspace, first, last, force=force)
    _print_outcome(result)


def _range(settings: Settings, lake: Lake, first: date | None, last: date | None) -> tuple[date, date]:
    """Return the days of the run; by default the recent ones and every day that has something due."""
    now = utc_now()
    today = settings.today(now)
    last = last or today
    if first is None:
        recent = last - timedelta(days=RECENT_DAYS)
        first = min([recent, *open_days(lake=lake, settings=settings, now=now, before=recent)])
        first = max(first, settings.start_date)
    if not settings.start_date <= first <= last <= today:
        raise SettingsError(
            f"--from {first} --to {last}: must be in order, between {settings.start_date} (SMS_START_DATE) and "
            f"today, {today}"
        )
    return first, last


def _execute(
    settings: Settings, workspace: Workspace, first: date, last: date, *, force: bool
) -> dg.ExecuteInProcessResult:
    project = Project.of(settings)
    job = build_definitions(settings, workspace).resolve_job_def(project.named(REFRESH))
    with _history(settings, job.name) as instance:
        return job.execute_in_process(
            instance=instance,
            tags=range_tags(first, last),
            run_config={
                "ops": {project.named("delivery_reports"): {"config": {"force": force}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )


@contextmanager
def _history(settings: Settings, job: str) -> Iterator[dg.DagsterInstance]:
    """Give what records the run: DAGSTER_HOME, else the history of `sms-delivery ui`; without either, nothing."""
    if is_dagster_home_set():
        with dg.DagsterInstance.get() as instance:
            yield instance
    elif (home_of(settings) / "dagster.yaml").exists():
        with dg.DagsterInstance.from_config(str(home_of(settings))) as instance:
            record_under_location(instance, job)
            yield instance
    else:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Give the callback for progress: a bar on a terminal, elsewhere a line every five seconds."""
    console = Console(stderr=True)
    text = "getReport: {task.completed:,.0f} messages asked, {task.fields[final]:,} final, {task.fields[rate]:,.0f}/s"
    columns = SpinnerColumn(), TextColumn(text), TimeElapsedColumn()
    started = printed = utc_now()

    def update(asked: int, final: int) -> None:
        nonlocal printed
        now = utc_now()
        rate = asked / max((now - started).total_seconds(), 1e-3)
        progress.update(task, completed=asked, final=final, rate=rate)
        if progress.disable and now - printed >= timedelta(seconds=5):
            printed = now
            click.echo(f"asked {asked:,} messages, {final:,} final, {rate:,.0f} a second")

    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("getReport", total=None, final=0, rate=0.0)
        yield update


def _print_outcome(result: dg.ExecuteInProcessResult) -> None:
    """Print what each part of the run did.

    Raises:
        RunFailed: the run failed; the text is why.
    """
    metadata = materializations(result.all_events)
    for asset, label in (("sent_messages", "logs"), ("delivery_reports", "API")):
        if summary := metadata.get(asset, {}).get(SUMMARY):
            click.echo(f"{label}: {summary}")
        for line in metadata.get(asset, {}).get(REJECTS, []):
            click.echo(f"  {line}")
    if "analytics_db" in metadata:
        click.echo("published the DuckDB file and the page")
    for line in _warnings(result):
        click.echo(f"warning: {line}")
    if not result.success:
        reasons = "\n".join(failure_reasons(result.all_events))
        raise RunFailed(reasons or "the run was interrupted; what was committed stays, run again for the rest")


def _warnings(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """Yield what the checks that did not pass say in words; the others have figures alone."""
    for check in result.get_asset_check_evaluations():
        rows = check.metadata.get(BAD_ROWS)
        if not check.passed and isinstance(rows, dg.JsonMetadataValue) and isinstance(rows.data, list):
            yield from (f"{check.check_name}: {row[WORDS]}" for row in rows.data if WORDS in row)
