"""Which messages of a day are asked for now, and in which batches.

What belongs here: the due rule, where a message's last answer is found, batches of what is due. What does not: requests
(`workers.py`), the days that have work (`maintain/due.py`).

A message that is never answered finally is asked for at ages that grow by half each time. First asked for ten
minutes after sending and given up after seven days, it costs 1 + floor(ln(10080 / 10) / ln 1.5) = 18 calls
when every due moment is met; a schedule of 15 minutes makes it fewer.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import duckdb

from pipeline.api.batches import Batch, batches_of
from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.queries import Scalar, database, query, rows_of, show_files
from pipeline.lake.snapshots import is_derived, rows_in
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES

MIN_INTERVAL: Final = timedelta(seconds=60)
"""Shortest time between two requests for one id."""
AGE_SHARE: Final = 0.5
"""Share of its age that an id waits: at two hours it waits one."""
API_MEMORY: Final = timedelta(days=90)
"""How long the platform can be asked about a message (protocol: 90 to 120 days; the shorter is sure)."""
_CHUNK_IDS: Final = 20_000
"""Due ids read at a time: 100 batches."""


@dataclass(frozen=True)
class Polled:
    """The tables that say what was sent and answered, as of one moment."""

    messages: Snapshot
    sent: Snapshot
    reports: Snapshot

    @classmethod
    def of(cls, lake: Lake) -> Polled:
        """Read the lists of their files.

        Raises:
            LakeError: the lake can't be read.
        """
        return cls(lake.snapshot(MESSAGES), lake.snapshot(SENT_MESSAGES), lake.snapshot(DELIVERY_REPORTS))

    def are_derived(self, day: date) -> bool:
        """Say whether `messages` is up to date for a day: derived from its present files, no row lost since."""
        sent, reports = self.sent.of([day]), self.reports.of([day])
        has_all = rows_in(sent) == rows_in(self.messages.of([day]))
        return has_all and is_derived(self.messages, (*sent, *reports), day)

    def show(self, connection: duckdb.DuckDBPyConnection, day: date) -> None:
        """Create `polled`, each sent message of a day with its last answer, and the due rule.

        Reads `messages` where it is up to date, at a tenth of the cost; otherwise joins sent messages and answers.
        """
        if self.are_derived(day):
            show_files(connection, MESSAGES, self.messages.of([day]))
            source = f"SELECT app_id, msg_id, sent_at, is_final, last_polled_at FROM {MESSAGES.name}"
        else:
            show_files(connection, SENT_MESSAGES, self.sent.of([day]))
            show_files(connection, DELIVERY_REPORTS, self.reports.of([day]))
            source = query("follow/sql/polled")
        connection.execute(f"CREATE OR REPLACE TEMP VIEW polled AS {source}")
        use_due_rule(connection)


def use_due_rule(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the macros of the due rule, which queries of this room and of `maintain` use."""
    connection.execute(query("follow/sql/is_due"))


def due_parameters(settings: Settings, now: datetime, *, force: bool = False) -> dict[str, Scalar]:
    """Return the parameters of the due rule."""
    return {
        "now": now,
        "force": force,
        "give_up_seconds": settings.give_up_after.total_seconds(),
        "memory_seconds": API_MEMORY.total_seconds(),
        "min_interval_seconds": MIN_INTERVAL.total_seconds(),
        "age_share": AGE_SHARE,
    }


def is_any_due(connection: duckdb.DuckDBPyConnection, rule: Mapping[str, Scalar]) -> bool:
    """Say whether a message of `polled` is due, without reading its id: half the cost."""
    return bool(rows_of(connection, f"SELECT 1 FROM ({query('follow/sql/due_ids')}) LIMIT 1", rule))


@contextlib.contextmanager
def due_batches(
    days: Collection[date],
    *,
    lake: Lake,
    settings: Settings,
    now: datetime,
    force: bool,
    apps: Collection[str] = (),
) -> Iterator[Iterator[list[Batch]]]:
    """Give the batches to ask for, some at a time, in the order of their days; memory does not grow with them."""
    with database(lake, settings) as connection:
        polled, rule = Polled.of(lake), due_parameters(settings, now, force=force)

        def batches() -> Iterator[list[Batch]]:
            for day in sorted(days):
                if not polled.sent.of([day]):
                    continue
                polled.show(connection, day)
                if not polled.are_derived(day) or is_any_due(connection, rule):  # a join is not made twice
                    yield from _batches_of_day(connection, day, settings, rule, apps=apps)

        yield batches()


def _batches_of_day(
    connection: duckdb.DuckDBPyConnection,
    day: date,
    settings: Settings,
    rule: Mapping[str, Scalar],
    *,
    apps: Collection[str],
) -> Iterator[list[Batch]]:
    """Cut the due ids of one partition into batches by app; only the last batch of an app may be short."""
    waiting: dict[str, list[str]] = defaultdict(list)
    for chunk in connection.sql(query("follow/sql/due_ids"), params=dict(rule)).to_arrow_reader(_CHUNK_IDS):
        for app_id, msg_id in zip(chunk["app_id"].to_pylist(), chunk["msg_id"].to_pylist(), strict=True):
            if not apps or app_id in apps:
                waiting[app_id].append(msg_id)
        yield [batch for app_id in waiting for batch in _cut(waiting, app_id, day, settings, keep_short=True)]
    yield [batch for app_id in waiting for batch in _cut(waiting, app_id, day, settings, keep_short=False)]


def _cut(waiting: dict[str, list[str]], app_id: str, day: date, settings: Settings, *, keep_short: bool) -> list[Batch]:
    """Take the batches of an app out of `waiting`; the last one, which more ids may fill, stays where told."""
    path_bytes = len(urlsplit(settings.api_base_url).path) + len("/getReport?")
    size = settings.batch_size
    batches = list(batches_of(waiting[app_id], app_id=app_id, sent_date=day, batch_size=size, path_bytes=path_bytes))
    waiting[app_id] = list(batches.pop().msg_ids) if keep_short and batches else []
    return batches
