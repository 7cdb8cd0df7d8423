"""Lakes as earlier versions made them: each opens, is read on with its logs, and publishes the rates that it had.

The files in `made_by` hold a lake, its logs, and what that version published of them. To add one: run that version over
logs of three days with a broken line and a record that is more than a day ahead, and pack `data/lake`, `logs` and
`expected.json` (rows of `delivery_by_day` and `delivery_rollups_daily`).
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings
from pipeline.model.tables import LAKE_TABLES, REJECTED_RECORDS
from pipeline.publish.database import publish

pytestmark = pytest.mark.slow

PACKED = Path(__file__).with_name("made_by")
MADE = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAYS = [date(2026, 11, day) for day in (27, 28, 29)]
BY_DAY = "SELECT sent_date::VARCHAR, sent, delivered, failed FROM delivery_by_day ORDER BY ALL"
ROLLUPS = (
    "SELECT sent_date::VARCHAR, dimension, value, sent, delivered, failed FROM delivery_rollups_daily ORDER BY ALL"
)


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize("version", sorted(path.name.partition(".")[0] for path in PACKED.iterdir()))
def test_it_opens_reads_on_and_publishes_the_rates_that_it_had(
    version: str, tmp_path: Path, settings: Callable[..., Settings]
) -> None:
    with tarfile.open(PACKED / f"{version}.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    chosen = settings(sent_logs="logs/sent-{date}.jsonl", lake="data/lake")
    lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded=chosen.recorded)
    rejects = lake.snapshot(REJECTED_RECORDS).rows

    again = collect(DAYS, lake=lake, settings=chosen, now=MADE)
    assert (again.stored, again.duplicates, again.corrected) == (0, 120, 0)
    derive_messages(DAYS, lake=lake, settings=chosen, now=MADE)
    derive_rates(DAYS, lake=lake, settings=chosen, now=MADE)
    publish(lake=lake, settings=chosen, now=MADE)

    expected = json.loads((tmp_path / "expected.json").read_text())
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        assert [list(row) for row in connection.execute(BY_DAY).fetchall()] == expected["days"]
        if expected["rollups"]:
            assert [list(row) for row in connection.execute(ROLLUPS).fetchall()] == expected["rollups"]
    assert all(lake.snapshot(table).version >= 0 for table in LAKE_TABLES)
    assert rejects == 4

    later = collect([date(2026, 11, 30)], lake=lake, settings=chosen, now=MADE + timedelta(days=2))
    assert (later.stored, later.rejected) == (1, 0)
