"""Which messages of a day are asked for now, and in which batches: the rule of `polling.py`, over the lake's columns.

What belongs here: where a message's last answer is found, cutting what is due. What does not: asking (`follow.py`),
which days are looked at (`open_days.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import duckdb
import pyarrow as pa
import pyarrow.compute

from pipeline.api.batches import Batch, batches_of_column
from pipeline.follow.polling import AGE_SHARE, API_MEMORY, MIN_INTERVAL
from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.queries import Scalar, connect, query, rows_of, show_files
from pipeline.lake.snapshots import is_derived, rows_in
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES

_CHUNK_IDS: Final = 20_000
"""Due ids read at a time: 100 batches."""
_pc: Any = pyarrow.compute  # its stubs know no plain values as arguments


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
        """Say whether `messages` tells of a day what its logs and answers do.

        So it is where it was derived from the very files that there are, and has lost no row since.
        """
        sent, reports = self.sent.of([day]), self.reports.of([day])
        has_all = rows_in(sent) == rows_in(self.messages.of([day]))
        return has_all and is_derived(self.messages, (*sent, *reports), day)

    def show(self, connection: duckdb.DuckDBPyConnection, day: date) -> None:
        """Make readable, as `polled`, each sent message of a day with its last answer.

        Where `messages` tells, it does at a tenth of the cost; else logs and answers are joined.
        """
        if self.are_derived(day):
            show_files(connection, MESSAGES, self.messages.of([day]))
            source = f"SELECT app_id, msg_id, sent_at, is_final, last_polled_at FROM {MESSAGES.name}"
        else:
            show_files(connection, SENT_MESSAGES, self.sent.of([day]))
            show_files(connection, DELIVERY_REPORTS, self.reports.of([day]))
            source = query("follow/sql/polled")
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


def is_any_due(connection: duckdb.DuckDBPyConnection, rule: Mapping[str, Scalar]) -> bool:
    """Say whether a message of `polled` is due; ids are not read for it, which halves the cost."""
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
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        polled, rule = Polled.of(lake), asking_rule(settings, now, force=force)

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
    waiting: dict[str, pa.StringArray] = {}
    for chunk in connection.sql(query("follow/sql/due_ids"), params=dict(rule)).to_arrow_reader(_CHUNK_IDS):
        for app_id in _pc.unique(chunk["app_id"]).to_pylist():
            if not apps or app_id in apps:
                msg_ids = chunk["msg_id"].filter(_pc.equal(chunk["app_id"], app_id))
                before = [waiting[app_id]] if app_id in waiting else []
                waiting[app_id] = pa.concat_arrays([*before, msg_ids])
        yield [batch for app_id in waiting for batch in _cut(waiting, app_id, day, settings, keep_short=True)]
    yield [batch for app_id in waiting for batch in _cut(waiting, app_id, day, settings, keep_short=False)]


def _cut(
    waiting: dict[str, pa.StringArray], app_id: str, day: date, settings: Settings, *, keep_short: bool
) -> list[Batch]:
    path_bytes = len(urlsplit(settings.api_base_url).path) + len("/getReport?")
    size = settings.batch_size
    batches = list(
        batches_of_column(waiting[app_id], app_id=app_id, sent_date=day, batch_size=size, path_bytes=path_bytes)
    )
    kept = batches.pop().msg_ids if keep_short and batches else ()
    waiting[app_id] = pa.array(list(kept), pa.string())
    return batches
