"""One run of the job in this process, for the command line: which days, progress, and what it says at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import click
import dagster as dg
from dagster._core.errors import DagsterHomeNotSetError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from assets.definitions import JOB, build_definitions
from assets.failures import storage_failures
from assets.metadata import DONE, listed, reasons_of
from assets.resources import Workspace, utc_now
from assets.schedules import RANGE_END, RANGE_START
from pipeline.derive.messages import derive_messages, derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database_kept
from pipeline.maintain.due import open_days
from pipeline.maintain.forget import forget, remove_old_files
from pipeline.maintain.status import shown, status_of
from pipeline.model.errors import RunFailed, SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from pipeline.publish.database import PUBLISHING, Publication, publish
from pipeline.publish.export import Days, export
from pipeline.publish.page import write_page

RECENT_DAYS: Final = 3
"""Days before today that a run covers by default: as long as SMS_UNKNOWN_AFTER_HOURS waits by default."""


@storage_failures()
def refresh(settings: Settings, *, first: date | None = None, last: date | None = None, force: bool = False) -> None:
    """Run the whole chain for a range of days and say what came of it.

    Raises:
        SettingsError: a setting is missing or wrong; nothing was done.
        RunFailed: something was not got; what was got is published, unless the text says otherwise.
    """
    with _progress() as on_progress:
        workspace = Workspace(lambda: settings, on_progress=on_progress)
        lake = workspace.lake()
        with lake.scratch() as scratch, database_kept(scratch):
            first, last = _range(settings, lake, first, last)
            click.echo(f"days {first} to {last} ({settings.timezone.key})")
            result = _execute(settings, workspace, first, last, force=force)
    _say(result)


@storage_failures()
def publish_again(settings: Settings) -> Publication:
    """Publish the DuckDB file and the page from the lake, without a call.

    Raises:
        SettingsError: there is no lake.
        LakeError: it can't be read, or the file can't be written.
    """
    lake = _existing_lake(settings)
    publication = publish(lake=lake, settings=settings, now=utc_now())
    with lake.lock(PUBLISHING):
        page = write_page(settings=settings)
    click.echo(f"published {publication.path} and {page}")
    return publication


@storage_failures()
def rebuild(settings: Settings, *, first: date | None = None, last: date | None = None) -> None:
    """Derive messages and rates of a range of days again, without a call, and publish.

    Raises:
        SettingsError: there is no lake.
        LakeError: it can't be read or written.
    """
    lake = _existing_lake(settings)
    days = [
        day
        for day in lake.snapshot(SENT_MESSAGES).days()
        if (first is None or day >= first) and (last is None or day <= last)
    ]
    now = utc_now()
    messages = derive_messages(days, lake=lake, settings=settings, now=now, anew=True)
    rates = derive_rates(days, lake=lake, settings=settings, now=now, anew=True)
    click.echo(
        f"derived {len(messages.days)} days again: {len(messages.replaced)} changed in messages, "
        f"{len(rates.replaced)} in the rates"
    )
    publish_again(settings)


@storage_failures()
def export_days(settings: Settings, path: Path, *, first: date | None = None, last: date | None = None) -> None:
    """Write a self-contained DuckDB file of what is published for a range of days.

    Raises:
        SettingsError: there is no lake, the file is there already, or the days have no message.
        LakeError: nothing is published, or the file can't be written.
    """
    rows = export(path, days=Days(first, last), lake=_existing_lake(settings), settings=settings)
    click.echo(f"wrote {path}: {rows[MESSAGES.name]:,} messages, {rows[DELIVERY_REPORTS.name]:,} answers")


@storage_failures()
def forget_number(settings: Settings, number: str) -> None:
    """Erase a phone number from every table, old files included, and publish.

    Raises:
        SettingsError: there is no lake, or the text is no phone number.
        RunFailed: a row still holds it.
    """
    lake = _existing_lake(settings)
    tally = forget(number, lake=lake, settings=settings)
    derive_rates([], lake=lake, settings=settings, now=utc_now())
    publish_again(settings)
    remove_old_files(number, lake=lake, settings=settings, tally=tally)
    click.echo(f"erased from rows of {listed(tally.rows)}; {tally.left} rows of any file still hold it")
    if tally.left:
        raise RunFailed("the number is still in the lake: another run was writing; repeat the command")


@storage_failures()
def say_status(settings: Settings) -> None:
    """Print where things stand.

    Raises:
        SettingsError: there is no lake.
        LakeError: it can't be read.
    """
    status = status_of(lake=_existing_lake(settings), settings=settings, now=utc_now())
    click.echo(shown(status, zone=settings.timezone.key))


def _existing_lake(settings: Settings) -> Lake:
    if not Lake.exists(settings.lake):
        raise SettingsError(f"SMS_LAKE: there is no lake in {settings.lake}; `sms-delivery run` makes it")
    return Workspace(lambda: settings).lake()


def _range(settings: Settings, lake: Lake, first: date | None, last: date | None) -> tuple[date, date]:
    now = utc_now()
    today = settings.today(now)
    last = last or today
    if first is None:
        recent = last - timedelta(days=RECENT_DAYS)
        first = min([recent, *open_days(lake=lake, settings=settings, now=now, before=recent)])
        first = max(first, settings.start_date)
    if not settings.start_date <= first <= last <= today:
        raise SettingsError(
            f"--from {first} --to {last}: days go from {settings.start_date} (SMS_START_DATE) to today, {today}, "
            "and not backwards"
        )
    return first, last


def _execute(
    settings: Settings, workspace: Workspace, first: date, last: date, *, force: bool
) -> dg.ExecuteInProcessResult:
    job = build_definitions(settings, workspace).resolve_job_def(JOB)
    with _instance() as instance:
        return job.execute_in_process(
            instance=instance,
            tags={RANGE_START: first.isoformat(), RANGE_END: last.isoformat()},
            run_config={
                "ops": {"delivery_reports": {"config": {"force": force}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    """Give the instance of DAGSTER_HOME, in which the run is recorded, or one that is forgotten."""
    try:
        instance = dg.DagsterInstance.get()
    except DagsterHomeNotSetError:
        instance = dg.DagsterInstance.ephemeral()
    with instance:
        yield instance


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Give what is told of answers: a bar on a terminal, a plain line now and then elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_progress()
        return
    words = "getReport: {task.completed:,.0f} messages asked, {task.fields[final]:,} final, {task.fields[rate]:,.0f}/s"
    with Progress(SpinnerColumn(), TextColumn(words), TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("getReport", total=None, final=0, rate=0.0)
        started = utc_now()

        def show(asked: int, final: int) -> None:
            rate = asked / max((utc_now() - started).total_seconds(), 1e-3)
            progress.update(task, completed=asked, final=final, rate=rate)

        yield show


def _plain_progress() -> Callable[[int, int], None]:
    started = said = utc_now()

    def say(asked: int, final: int) -> None:
        nonlocal said
        now = utc_now()
        if now - said >= timedelta(seconds=5):
            said = now
            rate = asked / (now - started).total_seconds()
            click.echo(f"asked {asked:,} messages, {final:,} final, {rate:,.0f} a second")

    return say


def _say(result: dg.ExecuteInProcessResult) -> None:
    figures = _figures(result)
    logs, answers = figures.get("sent_messages", {}), figures.get("delivery_reports", {})
    if logs:
        click.echo(f"logs: {logs[DONE]}")
    if answers:
        click.echo(f"API: {answers[DONE]}")
    if "analytics_db" in figures:
        click.echo("published the DuckDB file and the page")
    if not result.success:
        raise RunFailed(_why(result))


def _figures(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Return the metadata of each asset's materialization, by asset; of a range's copies the last."""
    return {
        event.asset_key.to_user_string(): {
            name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        for event in result.all_events
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None
    }


def _why(result: dg.ExecuteInProcessResult) -> str:
    """Return our own words for a failed run, where a step gave them, else the error's."""
    lines = reasons_of(result.all_events)
    return "\n".join(lines) or "the run was interrupted; what was committed stays, run again for the rest"
