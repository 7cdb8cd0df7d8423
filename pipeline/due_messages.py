"""Which messages of a day are asked for now: the rule of `polling.py`, over the lake's columns.

What belongs here: where a message's last answer is found. What does not: asking (`follow.py`), which days are looked
at (`open_days.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from pipeline.lake import Lake, Snapshot
from pipeline.polling import AGE_SHARE, API_MEMORY, MIN_INTERVAL
from pipeline.settings import Settings
from pipeline.snapshots import is_derived, rows_in
from pipeline.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from pipeline.warehouse import Scalar, query, show_files


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
