"""Commands that work on the lake without a run of the job: publish, rebuild, export, forget, message, status.

What belongs here: calling use cases and printing their result. What does not: their rules (`pipeline`). No import of
Dagster: it would double the time of these commands. Each command raises SettingsError if there is no lake, and
LakeError if it can't be read or written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from assets.cli.message import as_json, as_lines
from assets.cli.output import say
from assets.cli.phases import shown
from assets.phases import (
    CLEANING,
    COUNTING,
    DERIVING,
    ERASING,
    EXPORTING,
    EXPORTING_ROWS,
    FETCHING,
    PUBLISHING_FILE,
    REPAIRING,
    WRITING_PAGE,
)
from assets.resources import Workspace, utc_now
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.slices import slices_of_others
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake
from pipeline.maintain.forget import forget, remove_old_files
from pipeline.maintain.message import find_messages
from pipeline.maintain.repair import repair
from pipeline.maintain.repair_log import DAMAGED, count_damaged_files
from pipeline.maintain.status import status_text
from pipeline.model.accounts import check_inputs
from pipeline.model.errors import RunFailed, SettingsError
from pipeline.model.settings import Settings, checked_lake_at
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from pipeline.publish.database import PUBLISHING, publish
from pipeline.publish.export import Days, export, export_extract
from pipeline.publish.extract import Extract
from pipeline.publish.fetch import fetch_data, fetch_file, fetch_page
from pipeline.publish.page.writing import write_page


def publish_again(settings: Settings, *, lake_at: Path | None = None) -> None:
    """Publish the DuckDB file and the page from the lake, without calling the API; `lake_at` is for this time only.

    Raises:
        SettingsError: `lake_at` is no path that a view can name.
    """
    lake = _existing_lake(settings)
    if lake_at:
        settings = settings.model_copy(update={"lake_at": checked_lake_at(lake_at)})
    with shown(PUBLISHING_FILE) as phase:
        publication = publish(lake=lake, settings=settings, now=utc_now())
        phase.done(f"published {publication.place}")
    with shown(WRITING_PAGE) as phase:
        with lake.lock(PUBLISHING):
            page = write_page(settings=settings)
        phase.done(f"wrote {page}" + (f", and put it beside {settings.duckdb_url}" if settings.duckdb_url else ""))


def rebuild(settings: Settings, *, first: date | None = None, last: date | None = None) -> None:
    """Derive messages and rates of a range of days again, without calling the API, and publish."""
    lake, now = _existing_lake(settings), utc_now()
    first, last = first or date.min, last or date.max
    days = [day for day in lake.snapshot(SENT_MESSAGES).days() if first <= day <= last]
    if (kept_from := kept_days(lake).messages_from) and first < kept_from:
        say(f"rates of days before {kept_from} stay as they are: their messages were dropped (SMS_KEEP_DAYS)")
    for derive, phase in ((derive_messages, DERIVING), (derive_rates, COUNTING)):
        with shown(phase) as view:
            tally = derive(days, lake=lake, settings=settings, now=now, anew=True, on_progress=view.update)
            view.done(str(tally))
    publish_again(settings)


def export_days(settings: Settings, path: Path, *, first: date | None = None, last: date | None = None) -> None:
    """Write a self-contained DuckDB file of the published data for a range of days.

    Raises:
        SettingsError: the file exists already, or the days have no message.
        LakeError: nothing is published, or the file can't be written.
    """
    lake, days = _existing_lake(settings), Days(first, last)
    with shown(EXPORTING) as phase:
        rows = export(path, days=days, lake=lake, settings=settings, on_progress=phase.update)
        phase.done(_exported(path, rows))


def export_rows(
    settings: Settings, path: Path, extract: Extract, *, first: date | None = None, last: date | None = None
) -> None:
    """Write a published table or view, or some of its rows, as Parquet, CSV or an Excel sheet.

    Raises:
        SettingsError: the file exists already, or what is asked for is not there.
        LakeError: nothing is published, or the file can't be written.
    """
    lake, days = _existing_lake(settings), Days(first, last)
    with shown(EXPORTING_ROWS) as phase:
        rows = export_extract(path, extract, days=days, lake=lake, settings=settings, on_progress=phase.update)
        local = "" if path.suffix == ".parquet" else f"; times are those of {settings.timezone.key}"
        phase.done(f"wrote {path}: {rows:,} rows of {extract.name}{local}")


def fetch_published(settings: Settings, path: Path, *, days: Days | None = None, page: Path | None = None) -> None:
    """Bring the newest published file from its bucket, with the data of some days inside if they are given.

    With a path for the page, bring that too.

    Raises:
        SettingsError: the published file is in no bucket, or a file can't be put there.
        LakeError: nothing is published, or it can't be brought.
    """
    with shown(FETCHING if days is None else EXPORTING) as phase:
        if days is None:
            fetch_file(path, settings=settings)
            phase.done(f"wrote {path}; its views read the objects of the lake")
        else:
            lake = _existing_lake(settings)
            rows = fetch_data(path, days=days, lake=lake, settings=settings, on_progress=phase.update)
            phase.done(_exported(path, rows))
    if page:
        with shown(WRITING_PAGE) as phase:
            fetch_page(page, settings=settings)
            phase.done(f"wrote {page}")


def forget_number(settings: Settings, number: str) -> None:
    """Erase a phone number from every table, old files included, and publish.

    Raises:
        SettingsError: the text is no phone number.
        RunFailed: a row still holds the number, or a file that can't be searched, or that a run is to store, may.
    """
    lake = _existing_lake(settings)
    with shown(ERASING) as phase:
        erased = forget(number, lake=lake, settings=settings, on_progress=phase.update)
        phase.done("from rows of " + ", ".join(f"{count:,} {table}" for table, count in sorted(erased.items())))
    with shown(COUNTING) as phase:
        phase.done(str(derive_rates([], lake=lake, settings=settings, now=utc_now(), on_progress=phase.update)))
    publish_again(settings)
    with shown(CLEANING) as phase:
        left = remove_old_files(number, lake=lake, settings=settings, on_progress=phase.update)
        phase.done(f"{left} rows of any file still hold it")
    if left:
        raise RunFailed("the number is still in the lake: another run was writing; repeat the command")
    if count := slices_of_others(lake):
        notes = f"{count:,} notes in {lake.place}/_slices, which a run of another machine stores"
        raise RunFailed(f"the number may be in {notes}: repeat the command in an hour")
    if count := count_damaged_files(lake):
        where = f"{lake.folder / DAMAGED}, where `repair` moved them"
        raise RunFailed(f"the number may be in {count:,} files in {where}: they can't be searched; delete that folder")


def repair_lake(settings: Settings, *, dry_run: bool) -> None:
    """Put a damaged lake right, or say what would be done.

    Raises:
        LakeError: another process is at work in the lake, or it can't be put right.
    """
    lake = _existing_lake(settings)
    with shown(REPAIRING) as phase:
        lines = repair(lake=lake, settings=settings, dry_run=dry_run, on_progress=phase.update)
        found = "to be repaired" if dry_run else "repaired"
        phase.done(*([found, *lines] if lines else [f"{settings.lake_place} is sound"]))


def print_status(settings: Settings) -> None:
    """Print partitions, what is outstanding and due, the last publication, and a setting that a run misses."""
    if not Lake.is_made(settings):
        check_inputs(settings)
    say(status_text(lake=_existing_lake(settings), settings=settings, now=utc_now()))
    try:
        check_inputs(settings)
    except SettingsError as missing:
        say(f"missing      {missing}")


def show_message(settings: Settings, text: str, *, is_json: bool) -> None:
    """Print what is known of the messages that a text means.

    Raises:
        SettingsError: the text is empty.
        RunFailed: it means no message.
    """
    if not text.strip():
        raise SettingsError("ID: is empty; give a msg_id, an order id or a phone number")
    lake = _existing_lake(settings)
    found = find_messages(text.strip(), lake=lake, settings=settings)
    if not found.total:
        raise RunFailed(f"no message in the lake has this id, order id or phone number{_of_kept_days(lake)}")
    for line in [as_json(found)] if is_json else as_lines(found, settings.timezone):
        say(line)


def _of_kept_days(lake: Lake) -> str:
    """Say how a number is given, and what was dropped."""
    kept = kept_days(lake)
    dropped = [f"messages before {kept.messages_from} were dropped"] if kept.messages_from else []
    dropped += [f"numbers before {kept.numbers_from}"] if kept.numbers > kept.messages else []
    return "; ".join([" (digits with calling code)", *dropped])


def _exported(path: Path, rows: Mapping[str, int]) -> str:
    return f"wrote {path}: {rows[MESSAGES.name]:,} messages, {rows[DELIVERY_REPORTS.name]:,} answers"


def _existing_lake(settings: Settings) -> Lake:
    if not Lake.is_made(settings):
        raise SettingsError(f"SMS_LAKE: there is no lake in {settings.lake_place}; `sms-delivery run` makes it")
    return Workspace(lambda: settings).lake
