"""Which messages are asked for now, and in which batches.

What belongs here: the due rule, where a message's last answer is found, batches of what is due. What does not: requests
(`workers.py`), the days that have work (`maintain/due.py`).

A message that is never answered finally is asked for at ages that grow by half each time. First asked for ten
minutes after sending and given up after seven days, it costs 1 + floor(ln(10080 / 10) / ln 1.5) = 18 calls
when every due moment is met; a schedule of 15 minutes makes it fewer.

A pushed report is a hint: it makes its message due at once, and getReport decides. Where pushes come in, a message
without one waits longer than that, by a factor that is learnt for each app from how complete pushes have been.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa

from pipeline.api.batches import Batch, batches_of
from pipeline.follow.cutting import Cutter
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.queries import Scalar, database, query, rows_of, show_files
from pipeline.lake.snapshots import is_derived, rows_in
from pipeline.model.settings import API_MEMORY, CLOCK_TOLERANCE, Settings
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, PUSHED_REPORTS, SENT_MESSAGES

MIN_INTERVAL: Final = timedelta(seconds=60)
"""Shortest time between two requests for one id."""
AGE_SHARE: Final = 0.5
"""Share of its age that an id waits: at two hours it waits one."""
MOST_STRETCH: Final = 60.0
"""How many times as long as usual a message waits at most while nothing is pushed for it: one never asked an hour."""
MOST_DELAY: Final = timedelta(hours=12)
"""Longest time by which a question is put off since nothing was pushed: so late at most is a lost push made up for."""
_LEARNT_FROM: Final = timedelta(days=3)
_SAMPLE: Final = 100_000
"""Messages that are looked at to learn how complete pushes are: of more, every second, third, …"""
_CHUNK_IDS: Final = 20_000
"""Due ids read at a time: 100 batches."""


@dataclass(frozen=True)
class Polled:
    """The tables that say what was sent and answered, as of one moment."""

    messages: Snapshot
    sent: Snapshot
    reports: Snapshot
    pushed: Snapshot

    @classmethod
    def of(cls, lake: Lake) -> Polled:
        """Read the lists of their files.

        Raises:
            LakeError: the lake can't be read.
        """
        tables = (MESSAGES, SENT_MESSAGES, DELIVERY_REPORTS, PUSHED_REPORTS)
        return cls(*(lake.snapshot(table) for table in tables))

    def are_derived(self, day: date) -> bool:
        """Say whether `messages` is up to date for a day: derived from its present files, no row lost since."""
        sent, reports = self.sent.of([day]), self.reports.of([day])
        has_all = rows_in(sent) == rows_in(self.messages.of([day]))
        return has_all and is_derived(self.messages, (*sent, *reports), day)

    def show(self, connection: duckdb.DuckDBPyConnection, days: Collection[date], *, now: datetime) -> None:
        """Create `polled`, each sent message of some days with its last answer as of `now`, and the due rule.

        Reads `messages` where it is up to date, at a tenth of the cost; otherwise joins sent messages and answers.
        """
        self.show_rule(connection, days, now=now)
        derived = {day for day in days if self.are_derived(day)}
        behind = set(days) - derived
        show_files(connection, MESSAGES, self.messages.of(derived))
        show_files(connection, SENT_MESSAGES, self.sent.of(behind))
        show_files(connection, DELIVERY_REPORTS, self.reports.of(behind))
        of_derived = f"SELECT app_id, msg_id, sent_date, sent_at, is_final, last_polled_at FROM {MESSAGES.name}"
        sources = [of_derived] if derived else []
        sources += [f"({query('follow/sql/polled')})"] if behind or not derived else []
        polled = query("follow/sql/polled_and_pushed").replace("/* polled */", " UNION ALL BY NAME ".join(sources))
        connection.execute(f"CREATE OR REPLACE TEMP VIEW polled AS {polled}")

    def show_rule(self, connection: duckdb.DuckDBPyConnection, days: Collection[date], *, now: datetime) -> None:
        """Create the due rule as of `now`, and what it needs of pushes for messages of some days.

        These are `last_pushes`, by message, and `push_stretch`, by app, learnt once for a moment.
        """
        use_due_rule(connection)
        connection.execute("SET VARIABLE polled_at = $now::TIMESTAMPTZ", {"now": now})
        if rows_of(connection, "SELECT getvariable('learnt_at')::VARCHAR") != [(now.isoformat(),)]:
            self._learn(connection, now)
            connection.execute("SET VARIABLE learnt_at = $now", {"now": now.isoformat()})
        show_files(connection, PUSHED_REPORTS, self.pushed.of(days))
        connection.execute(f"CREATE OR REPLACE TEMP VIEW last_pushes AS {query('follow/sql/last_pushes')}")

    def _learn(self, connection: duckdb.DuckDBPyConnection, now: datetime) -> None:
        """Make `push_stretch`: how complete pushes have been in the last days."""
        today = now.date()
        days = [today + timedelta(days=step) for step in range(-_LEARNT_FROM.days - 1, 2)]
        pushed, sent = self.pushed.of(days), self.sent.of(days)
        connection.execute("CREATE OR REPLACE TEMP TABLE push_stretch (app_id VARCHAR, stretch DOUBLE)")
        if not pushed:
            return
        show_files(connection, PUSHED_REPORTS, pushed)
        show_files(connection, SENT_MESSAGES, sent)
        parameters = {"now": now, "one_in": rows_in(sent) // _SAMPLE + 1, "most_stretch": MOST_STRETCH}
        connection.execute(f"INSERT INTO push_stretch {query('follow/sql/push_stretch')}", parameters)


def use_due_rule(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the macros of the due rule, which queries of this room and of `maintain` use."""
    tolerance_us = CLOCK_TOLERANCE // timedelta(microseconds=1)
    connection.execute(query("follow/sql/is_due").replace("/* tolerance_us */", str(tolerance_us)))


def due_parameters(settings: Settings, now: datetime, *, force: bool = False) -> dict[str, Scalar]:
    """Return the parameters of the due rule."""
    return {
        "now": now,
        "force": force,
        "give_up_seconds": settings.give_up_after.total_seconds(),
        "memory_seconds": API_MEMORY.total_seconds(),
        "min_interval_seconds": MIN_INTERVAL.total_seconds(),
        "age_share": AGE_SHARE,
        "most_delay_seconds": MOST_DELAY.total_seconds(),
    }


def is_any_due(connection: duckdb.DuckDBPyConnection, rule: Mapping[str, Scalar]) -> bool:
    """Say whether a message of `polled` is due."""
    return bool(rows_of(connection, query("follow/sql/count_due"), rule))


@dataclass(frozen=True)
class Due:
    """What is asked for: how many messages are due, and the batches that they are in."""

    total: int
    batches: Iterator[list[Batch]]


@contextlib.contextmanager
def due_batches(
    days: Collection[date],
    *,
    lake: Lake,
    settings: Settings,
    now: datetime,
    force: bool,
    apps: Collection[str] = (),
) -> Iterator[Due]:
    """Give what to ask for: batches, the most urgent first, some at a time; memory does not grow with them.

    A batch is of one app and of any of the days. Ids that were never asked for come first, the oldest first, then those
    that are due again, the longest overdue first. The room left in the last batch of an app goes to the ids that are
    due soonest; no batch is made for those alone.
    """
    with database(lake, settings) as connection:
        polled, rule = Polled.of(lake), due_parameters(settings, now, force=force)
        first = kept_days(lake).messages
        polled.show(connection, [day for day in days if day >= first and polled.sent.of([day])], now=now)
        total = _count_due(connection, rule, apps)
        yield Due(total, _batches(connection, settings, rule, apps) if total else iter(()))


def _count_due(connection: duckdb.DuckDBPyConnection, rule: Mapping[str, Scalar], apps: Collection[str]) -> int:
    """Count the messages of `polled` that are due, of all apps or of some."""
    counted = rows_of(connection, query("follow/sql/count_due"), rule)
    return sum(due for app_id, due in counted if not apps or app_id in apps)


def _batches(
    connection: duckdb.DuckDBPyConnection, settings: Settings, rule: Mapping[str, Scalar], apps: Collection[str]
) -> Iterator[list[Batch]]:
    """Cut due ids into batches as they are read."""
    path_bytes = len(urlsplit(settings.api_base_url).path) + len("/getReport?")
    cut = partial(batches_of, batch_size=settings.batch_size, path_bytes=path_bytes)
    cutter = Cutter(cut, settings.batch_size)
    for chunk in connection.sql(query("follow/sql/due_ids"), params=dict(rule)).to_arrow_reader(_CHUNK_IDS):
        rows = zip(*map(_values_of, chunk.columns), strict=True)
        yield [batch for row in rows if not apps or row[0] in apps for batch in cutter.add(*row)]
    yield list(cutter.rest())


def _values_of(column: pa.Array[Any]) -> list[Any]:
    """Return a column's values; a date is made once and not per row, which takes ten times as long as a text."""
    if not pa.types.is_date(column.type):
        return column.to_pylist()
    encoded: Any = column.dictionary_encode()
    dates = encoded.dictionary.to_pylist()
    return [dates[place] for place in encoded.indices.to_pylist()]
