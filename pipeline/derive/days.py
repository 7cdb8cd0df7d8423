"""The daily roll-up read back: figures of whole days, for steps, audits and monitoring.

What belongs here: figures of days from the lake, without a request and without personal data. What does not: how they
are shown (`assets/metadata.py`), tables for analysts (`publish`). Each function raises LakeError if the lake can't be
read.

The Delta log keeps the counts of each roll-up file, so that looking at all days costs the same for a thousand days as
for ten. Files whose counts are not in the log are opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb

from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.notes import rates_derived_on
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, FINAL_STATUSES, MESSAGES, REJECTED_RECORDS, Table


@dataclass(frozen=True)
class CountedDay:
    """A day that has rates: its messages, and whether each of them is final."""

    sent: int
    is_closed: bool


def counted_days(connection: duckdb.DuckDBPyConnection, lake: Lake) -> dict[date, CountedDay]:
    """Return every day that has rates."""
    files = lake.snapshot(DELIVERY_ROLLUPS_DAILY).files
    logged = dict(_from_log(files))
    rest = [file for file in files if file.sent_date not in logged]
    if not rest:
        return logged
    show_files(connection, DELIVERY_ROLLUPS_DAILY, rest)
    rows = rows_of(connection, query("derive/sql/counted_days"))
    return logged | {day: CountedDay(sent, is_closed) for day, sent, is_closed in rows}


def _from_log(files: Sequence[DataFile]) -> Iterator[tuple[date, CountedDay]]:
    """Give the days whose counts are in the Delta log: a file's greatest counts are those of the whole day."""
    files_of_day = Counter(file.sent_date for file in files)
    for file in files:
        has_counts = file.maxima.keys() >= {"sent", *FINAL_STATUSES}
        if file.sent_date and has_counts and files_of_day[file.sent_date] == 1:
            sent = file.maxima["sent"]
            yield file.sent_date, CountedDay(sent, sent == sum(file.maxima[status] for status in FINAL_STATUSES))


def days_not_closed(connection: duckdb.DuckDBPyConnection, lake: Lake) -> list[date]:
    """Return the days with a message that is not final, and those without rates."""
    closed = {day for day, of_day in counted_days(connection, lake).items() if of_day.is_closed}
    return [day for day in lake.snapshot(MESSAGES).days() if day not in closed]


def days_ended(lake: Lake, *, settings: Settings, now: datetime) -> set[date]:
    """Return the days with rates that have ended, or of which an hour has, since the rates were last derived.

    Time alone may have made them mature. Days to come are among them: a clock that was ahead may have called them so.
    """
    since = min(rates_derived_on(lake), settings.today(now))
    return {day for day in lake.snapshot(DELIVERY_ROLLUPS_DAILY).days() if since <= day}


@dataclass(frozen=True)
class DayFigures:
    """A day of sending: messages by state, rate in 0 to 1, latency in seconds; null if nothing was delivered."""

    sent_date: date
    sent: int
    delivered: int
    failed: int
    outstanding: int
    unknown: int
    invalid_id: int
    delivery_rate: float | None
    latency_p95_seconds: float | None
    is_mature: bool


def figures_of_latest(count: int, *, lake: Lake, settings: Settings) -> list[DayFigures]:
    """Return the figures of the latest days that have messages, at most `count`, in order."""
    return figures_of(lake.snapshot(DELIVERY_ROLLUPS_DAILY).days()[-count:], lake=lake, settings=settings)


def figures_of(days: Collection[date], *, lake: Lake, settings: Settings) -> list[DayFigures]:
    """Return the figures of some days, in order; days without a message are left out."""
    rows = _rows_of_days("figures_of_days", DELIVERY_ROLLUPS_DAILY, days, lake=lake, settings=settings)
    return [DayFigures(*row) for row in rows]


def rejected_of(days: Collection[date], *, lake: Lake, settings: Settings) -> Counter[date]:
    """Return the number of rejected records in the sent logs of some days."""
    return Counter(dict(_rows_of_days("rejected_of_days", REJECTED_RECORDS, days, lake=lake, settings=settings)))


def _rows_of_days(
    name: str, table: Table, days: Collection[date], *, lake: Lake, settings: Settings
) -> list[tuple[Any, ...]]:
    files = lake.snapshot(table).of(days)
    if not files:
        return []
    with database(lake, settings) as connection:
        show_files(connection, table, files)
        return rows_of(connection, query(f"derive/sql/{name}"))


def rows_by_day(table: Table, *, lake: Lake) -> Counter[date]:
    """Return the rows of a table by partition, from the Delta log alone."""
    rows: Counter[date] = Counter()
    for file in lake.snapshot(table).files:
        if file.sent_date is not None:
            rows[file.sent_date] += file.rows
    return rows


def days_that_differ(one: Counter[date], other: Counter[date]) -> set[date]:
    """Return the days with another number of rows: late logs of a neighbouring day, or a run that died."""
    return {day for day in one.keys() | other.keys() if one[day] != other[day]}
