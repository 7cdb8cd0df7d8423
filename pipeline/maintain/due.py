"""Use case: which days a run has something to do for now: a message is due, or a sent log is new or has changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pipeline.collect.files import LogFile
from pipeline.collect.sent_messages import unread_logs
from pipeline.lake.lake import Lake
from pipeline.maintain.open_days import open_days
from pipeline.model.settings import Settings

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Due:
    """What a run has to do.

    Attributes:
        open: days with a message that is due, was never derived, or has turned unknown.
        logged: days for which a log is new or has changed.
        logs: how many such logs there are.
    """

    open: frozenset[date]
    logged: frozenset[date]
    logs: int

    @property
    def days(self) -> frozenset[date]:
        """Every day with something to do."""
        return self.open | self.logged

    @property
    def range(self) -> tuple[date, date] | None:
        """The smallest range of days that covers them, None where there is nothing to do."""
        return (min(self.days), max(self.days)) if self.days else None

    @property
    def reason(self) -> str:
        """What there is to do, or that there is nothing, for a person."""
        if not self.days:
            return "nothing to do: no message is due, and no sent log is new or has changed"
        parts = [f"{len(self.open)} days with messages that are due"] if self.open else []
        parts += [f"{self.logs} sent logs that are new or have changed"] if self.logged else []
        return " and ".join(parts)


def what_is_due(*, lake: Lake, settings: Settings, now: datetime) -> Due:
    """Find the days that a run has something to do for; no log is opened.

    Raises:
        LakeError: the lake can't be read.
    """
    today = settings.today(now)
    days = (day for day in open_days(lake=lake, settings=settings, now=now) if settings.start_date <= day <= today)
    logs = [file for file in unread_logs(lake=lake, settings=settings) if _day_to_read(file, settings, today)]
    logged = _days_to_read(logs, settings, today)
    return Due(frozenset(days), logged, len(logs))


def _days_to_read(logs: Iterable[LogFile], settings: Settings, today: date) -> frozenset[date]:
    return frozenset(day for file in logs if (day := _day_to_read(file, settings, today)))


def _day_to_read(file: LogFile, settings: Settings, today: date) -> date | None:
    """Return the day whose run reads a log, None where none does: a run reads those of a day either side too."""
    if file.file_date is None:
        return today
    if not settings.start_date - _ONE_DAY <= file.file_date <= today + _ONE_DAY:
        return None
    return min(max(file.file_date, settings.start_date), today)
