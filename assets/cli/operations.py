"""Commands that work on the lake without a run of the job: publish, rebuild, export, forget, status.

What belongs here: calling use cases and printing their result. What does not: their rules (`pipeline`). No import of
Dagster: it would double the time of these commands. Each command raises SettingsError if there is no lake, and
LakeError if it can't be read or written.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from assets.cli.output import say
from assets.resources import Workspace, utc_now
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.maintain.forget import forget, remove_old_files, rows_that_keep
from pipeline.maintain.repair import repair
from pipeline.maintain.status import status_text
from pipeline.model.accounts import check_inputs
from pipeline.model.errors import RunFailed, SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from pipeline.publish.database import PUBLISHING, publish
from pipeline.publish.export import Days, export
from pipeline.publish.page.writing import write_page


def publish_again(settings: Settings) -> None:
    """Publish the DuckDB file and the page from the lake, without calling the API."""
    lake = _existing_lake(settings)
    publication = publish(lake=lake, settings=settings, now=utc_now())
    with lake.lock(PUBLISHING):
        page = write_page(settings=settings)
    say(f"published {publication.path} and {page}")


def rebuild(settings: Settings, *, first: date | None = None, last: date | None = None) -> None:
    """Derive messages and rates of a range of days again, without calling the API, and publish."""
    lake, now = _existing_lake(settings), utc_now()
    first, last = first or date.min, last or date.max
    days = [day for day in lake.snapshot(SENT_MESSAGES).days() if first <= day <= last]
    messages = derive_messages(days, lake=lake, settings=settings, now=now, anew=True)
    rates = derive_rates(days, lake=lake, settings=settings, now=now, anew=True)
    say(
        f"derived {len(messages.days)} days again: {len(messages.replaced)} changed in messages, "
        f"{len(rates.replaced)} in the rates"
    )
    publish_again(settings)


def export_days(settings: Settings, path: Path, *, first: date | None = None, last: date | None = None) -> None:
    """Write a self-contained DuckDB file of the published data for a range of days.

    Raises:
        SettingsError: the file exists already, or the days have no message.
        LakeError: nothing is published, or the file can't be written.
    """
    rows = export(path, days=Days(first, last), lake=_existing_lake(settings), settings=settings)
    say(f"wrote {path}: {rows[MESSAGES.name]:,} messages, {rows[DELIVERY_REPORTS.name]:,} answers")


def forget_number(settings: Settings, number: str) -> None:
    """Erase a phone number from every table, old files included, and publish.

    Raises:
        SettingsError: the text is no phone number.
        RunFailed: a row still holds the number.
    """
    lake = _existing_lake(settings)
    erased = forget(number, lake=lake, settings=settings)
    derive_rates([], lake=lake, settings=settings, now=utc_now())
    publish_again(settings)
    left = remove_old_files(number, lake=lake, settings=settings)
    rows = ", ".join(f"{count:,} {table}" for table, count in sorted(erased.items()))
    say(f"erased from rows of {rows}; {left} rows of any file still hold it")
    if kept := rows_that_keep(number, lake=lake, settings=settings):
        say(
            f"{kept:,} rows and notes keep it as app_id, as msg_id or in the name of a log, which are keys; "
            "give logs and messages names and ids that are no phone numbers"
        )
    if left:
        raise RunFailed("the number is still in the lake: another run was writing; repeat the command")


def repair_lake(settings: Settings, *, dry_run: bool) -> None:
    """Put a damaged lake right, or say what would be done.

    Raises:
        LakeError: another process is at work in the lake, or it can't be put right.
    """
    lines = repair(lake=_existing_lake(settings), settings=settings, dry_run=dry_run)
    say("\n".join(lines) or f"the lake {settings.lake} is sound")


def print_status(settings: Settings) -> None:
    """Print partitions, what is outstanding and due, the last publication, and a setting that a run misses."""
    if not Lake.exists(settings.lake):
        check_inputs(settings)
    say(status_text(lake=_existing_lake(settings), settings=settings, now=utc_now()))
    try:
        check_inputs(settings)
    except SettingsError as missing:
        say(f"missing      {missing}")


def _existing_lake(settings: Settings) -> Lake:
    if not Lake.exists(settings.lake):
        raise SettingsError(f"SMS_LAKE: there is no lake in {settings.lake}; `sms-delivery run` makes it")
    return Workspace(lambda: settings).lake
