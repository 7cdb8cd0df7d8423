"""What the roll-ups say of each day as a whole: messages counted, and whether all are final.

The transaction log tells it of each file, so that it costs the same for a lake of a thousand days as for one of ten;
only files of which it does not are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.queries import query, rows_of, show_files
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY


@dataclass(frozen=True)
class CountedDay:
    """A day that has rates: its messages, and whether each of them is final."""

    sent: int
    is_closed: bool


def counted_days(connection: duckdb.DuckDBPyConnection, lake: Lake) -> dict[date, CountedDay]:
    """Return every day that has rates.

    Raises:
        LakeError: the lake can't be read.
    """
    files = lake.snapshot(DELIVERY_ROLLUPS_DAILY).files
    told = dict(_told(files))
    silent = [file for file in files if file.sent_date not in told]
    if not silent:
        return told
    show_files(connection, DELIVERY_ROLLUPS_DAILY, silent)
    read = {
        day: CountedDay(sent, is_closed)
        for day, sent, is_closed in rows_of(connection, query("derive/sql/counted_days"))
    }
    return told | read


def _told(files: Sequence[DataFile]) -> Iterator[tuple[date, CountedDay]]:
    """Give the days of which the log tells; the day as a whole has the greatest count of each kind in its file."""
    files_of_day = Counter(file.sent_date for file in files)
    for file in files:
        if file.sent_date and file.maxima and files_of_day[file.sent_date] == 1:
            sent, *final = file.maxima
            yield file.sent_date, CountedDay(sent, sent == sum(final))
