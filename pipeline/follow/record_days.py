"""Which days of the platform's record are read, and of which apps.

What belongs here: what the platform keeps, what was read before. What does not: reading (`reconcile.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.model.accounts import Accounts
from pipeline.model.settings import API_MEMORY, Settings
from pipeline.model.tables import RECORD_READS, SENT_MESSAGES

_ONE_DAY = timedelta(days=1)


class AppDay(NamedTuple):
    """What is read at a time: a day of an app."""

    day: date
    app_id: str


class Read(NamedTuple):
    """When a day of an app was read, whether none of its messages was under way any more, and whether all rows came."""

    read_at: datetime
    is_settled: bool
    is_whole: bool


def reads(lake: Lake, settings: Settings) -> dict[AppDay, Read]:
    """Return what was read before.

    Raises:
        LakeError: the lake can't be read.
    """
    with database(lake, settings) as connection:
        show_files(connection, RECORD_READS, lake.snapshot(RECORD_READS).files)
        rows = rows_of(connection, query("follow/sql/record_reads"))
    return {AppDay(day, app_id): Read(*read) for app_id, day, *read in rows}


def apps_to_read(lake: Lake, accounts: Accounts, settings: Settings, now: datetime) -> list[str]:
    """Return the apps whose record is read: those of the logs of the last 90 days, of the accounts, and the default.

    Raises:
        LakeError: the lake can't be read.
    """
    oldest, sent = settings.today(now - API_MEMORY), lake.snapshot(SENT_MESSAGES)
    with database(lake, settings) as connection:
        show_files(connection, SENT_MESSAGES, sent.of([day for day in sent.days() if day >= oldest]))
        logged = {app_id for (app_id,) in rows_of(connection, query("follow/sql/apps_sent"))}
    return sorted({*logged, *accounts.named, *([settings.app_id] if settings.app_id else [])})


def is_kept(day: date, *, settings: Settings, now: datetime) -> bool:
    """Say whether the platform keeps the record of the whole day, which has begun."""
    return now - API_MEMORY <= midnight(day, settings) < now


def settled_days(*, lake: Lake, settings: Settings, now: datetime) -> list[date]:
    """Return the days since the first that was logged whose record is kept and has no message that is under way.

    Raises:
        LakeError: the lake can't be read.
    """
    logged = lake.snapshot(SENT_MESSAGES).days()
    if not logged:
        return []
    first = max(settings.start_date, logged[0], kept_days(lake).messages)
    last = settings.today(now - settings.unknown_after) - _ONE_DAY
    days = (last - _ONE_DAY * step for step in range(API_MEMORY.days))
    return sorted(day for day in days if day >= first and is_kept(day, settings=settings, now=now))


def unread_days(*, lake: Lake, accounts: Accounts, settings: Settings, now: datetime) -> list[date]:
    """Return the settled days that were not read for some app since they were settled.

    Raises:
        LakeError: the lake can't be read.
    """
    known, apps = reads(lake, settings), apps_to_read(lake, accounts, settings, now)

    def is_unread(unit: AppDay) -> bool:
        return unit not in known or not known[unit].is_settled

    days = settled_days(lake=lake, settings=settings, now=now)
    return [day for day in days if any(is_unread(AppDay(day, app)) for app in apps)]


def units_of(days: Iterable[date], apps: Iterable[str]) -> list[AppDay]:
    """Return each day of each app, the oldest day first."""
    named = list(apps)
    return [AppDay(day, app) for day in sorted(days) for app in named]


def midnight(day: date, settings: Settings) -> datetime:
    """Return the instant at which a day begins."""
    return datetime.combine(day, time.min, settings.timezone).astimezone(UTC)
