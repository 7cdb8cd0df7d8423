"""Use case: report the state of the project: partitions, outstanding messages, what is due, the last publication."""

from __future__ import annotations

from datetime import datetime, time

from pipeline.collect.told import stored_rejects
from pipeline.derive.days import days_not_closed
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.lake.snapshots import layout_of
from pipeline.maintain.due import what_is_due
from pipeline.maintain.retain import IDLE, counted_from
from pipeline.model.settings import API_MEMORY, CLOCK_TOLERANCE, Settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, LAKE_TABLES, MESSAGES, SENT_MESSAGES, SNAPSHOT_INFO
from pipeline.publish.bucket import published_file
from pipeline.publish.reading import PUBLISHED, opened_published


def status_text(*, lake: Lake, settings: Settings, now: datetime) -> str:
    """Return the state as lines of text; no log is opened, no call is made.

    Raises:
        LakeError: lake or published file can't be read.
    """
    sent = lake.snapshot(SENT_MESSAGES)
    days = sent.days()
    partitions = f"{len(days):,} days, {days[0]} to {days[-1]} ({settings.timezone.key})" if days else "none yet"
    due = what_is_due(lake=lake, settings=settings, now=now)
    rejects = stored_rejects(lake=lake, settings=settings)
    span = f": {due.range[0]} to {due.range[1]}" if due.range else ""
    lines = [
        f"partitions   {partitions}",
        f"messages     {sent.rows:,}",
        *(f"outstanding  {messages}" for messages in _outstanding(lake, settings)),
        *(f"{'waiting ' if told.waits else 'rejected'}     {told.line}" for told in rejects),
        *(f"kept         {text}" for text in _kept(lake, settings, now)),
        *(f"older        {text}" for text in _of_earlier_versions(lake)),
        f"due          {due.reason}{span}",
        f"requests     {_requests_today(lake, settings, now)}",
        f"published    {_published(lake, settings)}",
        *(f"clock        {text}" for text in answers_ahead(lake, now)),
    ]
    return "\n".join(lines)


def _kept(lake: Lake, settings: Settings, now: datetime) -> list[str]:
    """Say from which days messages and numbers are kept, where some were dropped or are to be."""
    noted, lines = kept_days(lake), []
    for what, first, name, days in (
        ("messages", noted.messages_from, "SMS_KEEP_DAYS", settings.keep_days),
        ("numbers", noted.numbers_from, "SMS_KEEP_NUMBERS_DAYS", settings.keep_numbers_days),
    ):
        if first or days:
            rule = f"{name} is {days}" if days else f"{name} is not set: none are dropped from now on"
            since = f"from {first}" if first else "all; the daily maintenance drops older ones"
            lines.append(f"{what} {since} ({rule})")
    today, counted = settings.today(now), counted_from(lake, settings, now)
    if lines and counted and counted < today:
        lines.append(f"ages are counted up to {counted}, {IDLE.days} days after the latest message or answer")
    return lines


def _of_earlier_versions(lake: Lake) -> list[str]:
    """Say which days of `messages` lack columns, since an earlier version derived them."""
    files = [file for file in lake.snapshot(MESSAGES).files if layout_of(file) < MESSAGES.layout]
    days = sorted({file.sent_date for file in files if file.sent_date})
    if not days:
        return []
    oldest = min(map(layout_of, files))
    lacking = ", ".join(column.name for column in MESSAGES.columns if column.since > oldest)
    told = f"{len(days):,} days of messages, {days[0]} to {days[-1]}, were derived by an earlier version"
    remedy = f"`sms-delivery rebuild --from {days[0]} --to {days[-1]}` fills them"
    return [f"{told}: {lacking} are empty there, and spend leaves them out; {remedy}"]


def _outstanding(lake: Lake, settings: Settings) -> list[str]:
    """Return the messages of each state that is not final; all but `unknown` ones are still asked for."""
    with database(lake, settings) as connection:
        show_files(connection, MESSAGES, lake.snapshot(MESSAGES).of(days_not_closed(connection, lake)))
        rows = rows_of(connection, query("maintain/sql/outstanding"))
    return [f"{count:,} {state}, the oldest sent {_utc(oldest)}" for state, count, oldest in rows] or ["none"]


def _requests_today(lake: Lake, settings: Settings, now: datetime) -> str:
    """Return how many requests were made today, and how full they were."""
    midnight = datetime.combine(settings.today(now), time.min, settings.timezone)
    oldest = settings.today(now - API_MEMORY)
    with database(lake, settings) as connection:
        calls = lake.snapshot(API_CALLS)
        show_files(connection, API_CALLS, calls.of([day for day in calls.days() if day >= oldest]))
        ((requests, ids),) = rows_of(connection, query("maintain/sql/requests_today"), {"midnight": midnight})
    return f"{requests:,} today, of {ids:.0f} ids on average" if requests else "none today"


def _published(lake: Lake, settings: Settings) -> str:
    """Return when the published file was made, and which tables changed in the lake since then."""
    if published_file(settings) is None:
        return "never; `sms-delivery publish` or the next run does"
    select = f"SELECT table_name, lake_version, published_at, data_as_of FROM {PUBLISHED}.{SNAPSHOT_INFO.name}"
    with opened_published(settings) as connection:
        rows = rows_of(connection, select)
    _, _, published_at, data_as_of = rows[0]
    versions = {table.name: lake.snapshot(table).version for table in LAKE_TABLES}
    behind = ", ".join(name for name, version, *_ in rows if versions.get(name, version) != version)
    as_of = _utc(data_as_of) if data_as_of else "none yet"
    return f"{_utc(published_at)}, answers up to {as_of}" + (f"; changed since: {behind}" if behind else "")


def answers_ahead(lake: Lake, now: datetime) -> list[str]:
    """Say that answers in the lake are ahead of `now`, if they are: this clock, or the one that stored them, is wrong.

    Raises:
        LakeError: the lake can't be read.
    """
    latest = lake.snapshot(DELIVERY_REPORTS).latest
    if latest is None or latest <= now + CLOCK_TOLERANCE:
        return []
    text = f"answers up to {_utc(latest)} are ahead of now, {_utc(now)}"
    return [f"{text}: this machine's clock is slow, or was fast when they were stored; no message waits for them"]


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
