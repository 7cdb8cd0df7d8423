"""Use case: the figures of days that a person follows in a monitoring tool: counts, rate, latency, rejects, rows.

What belongs here: reading them from the lake, without a call and without personal data. What does not: how they
are shown (`rate_chart.py`, `assets`), tables for analysts (`publish.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from pipeline.lake.lake import Lake
from pipeline.lake.queries import connect, query, rows_of, show_files
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, REJECTED_RECORDS, Table


@dataclass(frozen=True)
class DayFigures:
    """A day of sending: messages by state, rate in 0 to 1, latency in seconds; null where nothing was delivered."""

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
    """Return the figures of the latest days that have messages, at most so many, in order.

    Raises:
        LakeError: the lake can't be read.
    """
    return figures_of(lake.snapshot(DELIVERY_ROLLUPS_DAILY).days()[-count:], lake=lake, settings=settings)


def figures_of(days: Collection[date], *, lake: Lake, settings: Settings) -> list[DayFigures]:
    """Return the figures of some days, in order; days without a message are left out.

    Raises:
        LakeError: the lake can't be read.
    """
    snapshot = lake.snapshot(DELIVERY_ROLLUPS_DAILY)
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        show_files(connection, DELIVERY_ROLLUPS_DAILY, snapshot.of(days))
        return [DayFigures(*row) for row in rows_of(connection, query("derive/sql/figures_of_days"))]


def rejected_of(days: Collection[date], *, lake: Lake, settings: Settings) -> Counter[date]:
    """Return how many records of the sent logs of some days are set aside.

    Raises:
        LakeError: the lake can't be read.
    """
    files = lake.snapshot(REJECTED_RECORDS).of(days)
    if not files:
        return Counter()
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        show_files(connection, REJECTED_RECORDS, files)
        return Counter(dict(rows_of(connection, query("derive/sql/rejected_of_days"))))


def rows_by_day(table: Table, *, lake: Lake) -> Counter[date]:
    """Return the rows of a table by partition, from its transaction log alone.

    Raises:
        LakeError: the lake can't be read.
    """
    rows: Counter[date] = Counter()
    for file in lake.snapshot(table).files:
        if file.sent_date is not None:
            rows[file.sent_date] += file.rows
    return rows
