"""Log reading: JSON lines to messages with line numbers and rejects."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from benchmarks.floor import LOG
from benchmarks.parts.conftest import DAY, MESSAGES, Measure
from pipeline.collect import log_rules
from pipeline.log_files import LogFile
from pipeline.sent_logs import read_sent_log
from pipeline.settings import Settings


def bench_reading(part: Measure, sent_log: Path, settings: Settings) -> None:
    there = sent_log.stat()
    file = LogFile(sent_log, DAY, there.st_size, there.st_mtime_ns)
    rules = log_rules(settings, datetime.now(UTC))
    amount = f"{MESSAGES:,} records, {there.st_size / 1e6:.0f} MB"
    rows = part(
        "log reading", amount, lambda: sum(chunk.messages.num_rows for chunk in read_sent_log(file, rules)), rounds=5
    )
    assert rows == MESSAGES


def bench_reading_floor(floor: Measure, sent_log: Path) -> None:
    with duckdb.connect(config={"memory_limit": "400MB"}) as connection:
        select = f"FROM read_json('{sent_log}', format = 'newline_delimited', columns = {LOG})"
        rows = floor("log reading", "DuckDB's read_json", lambda: connection.sql(select).to_arrow_table().num_rows)
    assert rows == MESSAGES
