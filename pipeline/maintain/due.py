"""Use case: find the days that a run has work for: a message is due or not derived, or a sent log is new or changed.

Belongs here: which days. Does not: which messages of a day are due (`follow/due.py`). Each function raises LakeError if
the lake can't be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from pipeline.collect.files import LogFile
from pipeline.collect.pushed_reports import has_unread
from pipeline.collect.sent_messages import awaited_logs, unread_logs
from pipeline.derive.days import counted_days
from pipeline.derive.rates import days_matured
from pipeline.follow.due import Polled, due_parameters, is_any_due
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.model.settings import Settings
from pipeline.model.tables import MESSAGES, SENT_MESSAGES

_ONE_DAY = timedelta(days=1)
_PUSHED_DAYS: Final = 3


@dataclass(frozen=True)
class Due:
    """The work of a run.

    Attributes:
        open: days with a message that is due, is not derived, or has become unknown, and days with a bucket that has
            become mature since.
        logged: days with a log that is new or has changed, or has a record that waited until now.
        logs: number of such logs.
        pushed: the last days, where reports were pushed that no run has read: most are of them. A message of an older
            day is due for the next run.
    """

    open: frozenset[date]
    logged: frozenset[date]
    logs: int
    pushed: frozenset[date] = frozenset()

    @property
    def range(self) -> tuple[date, date] | None:
        """Smallest range that covers the days with work, None where there is none."""
        days = self.open | self.logged | self.pushed
        return (min(days), max(days)) if days else None

    @property
    def reason(self) -> str:
        """What the work is, for a person."""
        parts = [f"{len(self.open)} days with messages that are due"] if self.open else []
        parts += [f"{self.logs} sent logs that are new or have changed"] if self.logged else []
        parts += ["reports that the platform pushed"] if self.pushed else []
        return " and ".join(parts) or "nothing to do: no message is due, and no sent log is new or has changed"


def what_is_due(*, lake: Lake, settings: Settings, now: datetime, held: Collection[date] = ()) -> Due:
    """Find the work of a run; no log is opened.

    Days that are `held` are left to other runs, and no range spans them: of the work before and after them, that of the
    newest days is returned.
    """
    today, first = settings.today(now), max(settings.start_date, kept_days(lake).messages)
    days = [day for day in open_days(lake=lake, settings=settings, now=now) if first <= day <= today]
    read_on = (_day_to_read(file, settings, today) for file in unread_logs(lake=lake, settings=settings, now=now))
    logged = [day for day in read_on if day]
    pushed = (
        [today - step * _ONE_DAY for step in range(_PUSHED_DAYS)] if has_unread(lake=lake, settings=settings) else []
    )
    pushed = [day for day in pushed if settings.start_date <= day]
    ours = _apart({*days, *logged, *pushed}, held)
    return Due(
        ours.intersection(days),
        ours.intersection(logged),
        sum(day in ours for day in logged),
        ours.intersection(pushed),
    )


def _apart(days: Collection[date], held: Collection[date]) -> frozenset[date]:
    """Return the newest of some days that are not held, and those before it up to a held one."""
    free = set(days) - set(held)
    newest = max(free, default=date.min)
    after = max((day for day in held if day < newest), default=date.min)
    return frozenset(day for day in free if day > after)


def open_days(*, lake: Lake, settings: Settings, now: datetime, before: date = date.max) -> set[date]:
    """Return the days of the lake, earlier than `before`, that a run has work for.

    Only days on which the rate tables count a message that is not final are read.
    """
    sent = {day for day in lake.snapshot(SENT_MESSAGES).days() if day < before}
    derived = lake.snapshot(MESSAGES)
    bounds = due_parameters(settings, now) | {"unknown_after_seconds": settings.unknown_after.total_seconds()}
    with database(lake, settings) as connection:
        counted = counted_days(connection, lake)
        not_closed = [day for day in derived.days() if not (day in counted and counted[day].is_closed)]
        show_files(connection, MESSAGES, derived.of([day for day in not_closed if day < before]))
        Polled.of(lake).show_rule(connection, not_closed, now=now)
        days = {day for (day,) in rows_of(connection, query("maintain/sql/open_days"), bounds)}
    matured = {day for day in days_matured(lake=lake, settings=settings, now=now) if day < before}
    return days | matured | (sent - counted.keys())


def days_waiting(*, lake: Lake, settings: Settings, now: datetime) -> set[date]:
    """Return the days whose run reads a log again, since the time of a record that was in the future has come."""
    today = settings.today(now)
    read_on = (_day_to_read(file, settings, today) for file in awaited_logs(lake=lake, settings=settings, now=now))
    return {day for day in read_on if day}


def days_asked(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> Iterator[date]:
    """Yield, in order, the days on which every message that was due at `now` has an answer."""
    polled = Polled.of(lake)
    with database(lake, settings) as connection:
        for day in sorted(days):
            polled.show(connection, [day], now=now)
            if not is_any_due(connection, due_parameters(settings, now)):
                yield day


def _day_to_read(file: LogFile, settings: Settings, today: date) -> date | None:
    """Return the day whose run reads a log, None where no run does. A run reads logs dated a day either side, too."""
    if file.file_date is None:
        return today
    if not settings.start_date - _ONE_DAY <= file.file_date <= today + _ONE_DAY:
        return None
    return min(max(file.file_date, settings.start_date), today)
