"""Which messages of a day are asked for now, and in which batches: the rule of `polling.py`, over the lake's columns.

What belongs here: where a message's last answer is found, cutting what is due. What does not: asking (`follow.py`),
which days are looked at (`open_days.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

import duckdb

from pipeline.lake import Lake, Snapshot
from pipeline.polling import AGE_SHARE, API_MEMORY, MIN_INTERVAL
from pipeline.protocol.batching import Batch, batches_of
from pipeline.settings import Settings
from pipeline.snapshots import is_derived, rows_in
from pipeline.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from pipeline.warehouse import Scalar, connect, query, show_files

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

    def show(self, connection: duckdb.DuckDBPyConnection, day: date) -> None:
        """Make readable, as `polled`, each sent message of a day with its last answer.

        `messages` says it at a hundredth of the cost, but only where it was derived from the very files of logs and
        answers that there are, and has lost nothing since; else these are joined.
        """
        sent, reports, messages = self.sent.of([day]), self.reports.of([day]), self.messages.of([day])
        if is_derived(self.messages, (*sent, *reports), day) and rows_in(sent) == rows_in(messages):
            show_files(connection, MESSAGES, messages)
            source = f"SELECT app_id, msg_id, sent_at, is_final, last_polled_at FROM {MESSAGES.name}"
        else:
            show_files(connection, SENT_MESSAGES, sent)
            show_files(connection, DELIVERY_REPORTS, reports)
            source = query("polled")
        connection.execute(f"CREATE OR REPLACE TEMP VIEW polled AS {source}")


def asking_rule(settings: Settings, now: datetime, *, force: bool = False) -> dict[str, Scalar]:
    """Return the parameters of `due_ids`."""
    return {
        "now": now,
        "force": force,
        "give_up_seconds": settings.give_up_after.total_seconds(),
        "memory_seconds": API_MEMORY.total_seconds(),
        "min_interval_seconds": MIN_INTERVAL.total_seconds(),
        "age_share": AGE_SHARE,
    }


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
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        polled = Polled.of(lake)

        def batches() -> Iterator[list[Batch]]:
            for day in sorted(days):
                if polled.sent.of([day]):
                    polled.show(connection, day)
                    yield from _batches_of_day(connection, day, settings, now, force=force, apps=apps)

        yield batches()


def _batches_of_day(
    connection: duckdb.DuckDBPyConnection,
    day: date,
    settings: Settings,
    now: datetime,
    *,
    force: bool,
    apps: Collection[str],
) -> Iterator[list[Batch]]:
    """Cut the due ids of one partition into batches by app; only the last batch of an app may be short."""
    parameters = asking_rule(settings, now, force=force)
    waiting: dict[str, list[str]] = {}
    for chunk in connection.sql(query("due_ids"), params=parameters).to_arrow_reader(_CHUNK_IDS):
        for app_id, msg_id in zip(chunk["app_id"].to_pylist(), chunk["msg_id"].to_pylist(), strict=True):
            if not apps or app_id in apps:
                waiting.setdefault(app_id, []).append(msg_id)
        yield [batch for app_id in waiting for batch in _cut(waiting, app_id, day, settings, keep_short=True)]
    yield [batch for app_id in waiting for batch in _cut(waiting, app_id, day, settings, keep_short=False)]


def _cut(waiting: dict[str, list[str]], app_id: str, day: date, settings: Settings, *, keep_short: bool) -> list[Batch]:
    path_bytes = len(urlsplit(settings.api_base_url).path) + len("/getReport?")
    batches = list(
        batches_of(waiting[app_id], app_id=app_id, sent_date=day, batch_size=settings.batch_size, path_bytes=path_bytes)
    )
    waiting[app_id] = list(batches.pop().msg_ids) if keep_short and batches else []
    return batches
