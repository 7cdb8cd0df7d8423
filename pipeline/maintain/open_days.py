"""Use case: which days still want a run: a message is due, was never derived, or time has changed a verdict."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, datetime

import duckdb

from pipeline.derive.days import counted_days
from pipeline.follow.due import Polled, asking_rule, is_any_due
from pipeline.lake.lake import Lake
from pipeline.lake.queries import connect, query, rows_of, show_files
from pipeline.model.settings import Settings
from pipeline.model.tables import MESSAGES, SENT_MESSAGES


def open_days(*, lake: Lake, settings: Settings, now: datetime, before: date = date.max) -> set[date]:
    """Return the days of the lake, earlier than `before`, that a run has something to do for.

    The rate tables say which days have a message that is not final; only these are looked at closely.

    Raises:
        LakeError: the lake can't be read.
    """
    sent = {day for day in lake.snapshot(SENT_MESSAGES).days() if day < before}
    derived = lake.snapshot(MESSAGES)
    bounds = asking_rule(settings, now) | {"unknown_after_seconds": settings.unknown_after.total_seconds()}
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        counted = counted_days(connection, lake)
        not_closed = [day for day in derived.days() if not (day in counted and counted[day].is_closed)]
        show_files(connection, MESSAGES, derived.of([day for day in not_closed if day < before]))
        days = {day for (day,) in rows_of(connection, query("maintain/sql/open_days"), bounds)}
    return days | (sent - counted.keys())


def days_asked(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> Iterator[date]:
    """Give, in order, those of some days of which every message that was due at `now` has an answer.

    Raises:
        LakeError: the lake can't be read.
    """
    polled = Polled.of(lake)
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        for day in sorted(days):
            polled.show(connection, day)
            if not is_any_due(connection, asking_rule(settings, now)):
                yield day


def days_not_closed(connection: duckdb.DuckDBPyConnection, lake: Lake) -> list[date]:
    """Return the days that have a message which is not final, or rates that don't tell."""
    counted = counted_days(connection, lake)
    return [day for day in lake.snapshot(MESSAGES).days() if not (day in counted and counted[day].is_closed)]
