"""Another run commits just before ours: nothing is stored twice, and no state is undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from pipeline.api.simulator.sample_logs import write_sent_logs
from pipeline.collect.log_group import CollectTally
from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.lake.lake import Lake, Snapshot
from pipeline.model.settings import Settings
from pipeline.model.tables import MESSAGES, SENT_MESSAGES, Table
from tests.support.lakes import Said, Sent, store_answers, store_sent


@dataclass(frozen=True)
class CrowdedLake(Lake):
    """A lake where another run does something just before the first commit to one of its tables."""

    table: Table = MESSAGES
    others: list[Callable[[], object]] = field(default_factory=list)

    def commit(self, snapshot: Snapshot, **changes: Any) -> None:
        while snapshot.table is self.table and self.others:
            self.others.pop()()
        super().commit(snapshot, **changes)


def test_two_runs_that_read_the_same_logs_at_once_store_them_once(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    write_sent_logs(tmp_path / "logs", messages=100, days=[now.date()], now=now, app_id="app1")
    ours = settings(sent_logs=str(tmp_path / "logs" / "sent-{date}.jsonl"))

    def collect_all(lake: Lake) -> CollectTally:
        return collect([now.date()], lake=lake, settings=ours, now=now)

    crowded = CrowdedLake(lake.folder, lake.mode, table=SENT_MESSAGES, others=[lambda: collect_all(lake)])
    assert (collect_all(crowded).stored, crowded.others) == (0, [])
    assert lake.snapshot(SENT_MESSAGES).rows == 100


def test_a_final_state_that_another_run_derives_meanwhile_is_not_undone(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    day, now, ours = noon.date(), noon + timedelta(hours=1), settings()
    store_sent(lake, [Sent("1", noon)])

    def other_run() -> None:
        store_answers(lake, [(Said("1", "delivered", now), day)])
        derive_messages([day], lake=lake, settings=ours, now=now)

    crowded = CrowdedLake(lake.folder, lake.mode, table=MESSAGES, others=[other_run])
    derive_messages([day], lake=crowded, settings=ours, now=now)
    assert crowded.others == []
    states = duckdb.read_parquet([str(file.path) for file in lake.snapshot(MESSAGES).files])
    assert states.project("delivery_status").fetchall() == [("delivered",)]
