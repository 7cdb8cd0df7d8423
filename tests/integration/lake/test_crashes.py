"""A process that dies, or a commit that fails, leaves nothing that later runs can't complete."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, LAKE_TABLES, MESSAGES
from tests.support.lakes import Said, Sent, store_answers, store_sent


def test_the_next_run_of_any_days_derives_what_a_dead_run_did_not(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ours, now = settings(), noon + timedelta(days=5)
    store_sent(lake, [Sent("1", noon), Sent("2", noon)])

    def run(day: date) -> None:
        derive_messages([day], lake=lake, settings=ours, now=now)
        derive_rates([day], lake=lake, settings=ours, now=now)

    def published(table: str) -> list[Any]:
        files = [str(file.path) for t in LAKE_TABLES if t.name == table for file in lake.snapshot(t).files]
        return duckdb.read_parquet(files).project("*").fetchall() if files else []

    run(noon.date())
    # It dies between messages and rates.
    store_answers(lake, [(Said("1", "delivered", now), noon.date())])
    derive_messages([noon.date()], lake=lake, settings=ours, now=now)
    run(date(2026, 3, 4))
    assert sum(row.count("delivered") for row in published("messages")) == 1
    rates = duckdb.read_parquet([str(f.path) for f in lake.snapshot(LAKE_TABLES[-2]).files])
    assert rates.filter("dimension = 'all'").project("delivered").fetchall() == [(1,)]
    # It dies between answers and messages.
    store_answers(lake, [(Said("2", "delivered", now), noon.date())])
    run(date(2026, 3, 4))
    assert sum(row.count("delivered") for row in published("messages")) == 2


def test_old_temporary_files_of_the_delta_log_are_deleted_and_young_ones_kept(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", mode=0o640, recorded={})
    old, young = (lake.folder / "messages" / "_delta_log" / f"{1:020}.json#{n}" for n in (1, 2))
    for path in (old, young):
        path.write_text('{"half')
    os.utime(old, (0, 0))
    Lake.open(lake.folder, mode=0o640, recorded={})
    assert not old.exists()
    assert young.exists()
    assert lake.snapshot(MESSAGES).version == 0


def test_a_failed_commit_adds_no_file(lake: Lake) -> None:
    rows = DeltaTable(lake.folder / "api_calls").to_pyarrow_table()
    snapshot, file = lake.snapshot(API_CALLS), lake.write(API_CALLS, rows, None)
    log = lake.folder / "api_calls" / "_delta_log"
    log.rename(log.with_name("gone"))
    log.write_text("a file where the log's folder was")
    with pytest.raises(LakeError):
        lake.commit(snapshot, add=[file])
    log.unlink()
    log.with_name("gone").rename(log)
    assert lake.snapshot(API_CALLS).files == ()
