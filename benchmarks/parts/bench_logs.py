"""Log reading: JSON lines to messages with line numbers and rejects.

The reader works in one thread, so it stands beside DuckDB in one thread, too; what DuckDB does with two is measured
beside it. Most programs write all lines of a log alike; a log in which they are not is read another way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from benchmarks.floor import LOG
from benchmarks.parts.conftest import DAY, MESSAGES, Measure
from pipeline.collect.files import LogFile
from pipeline.collect.reading import read_sent_log
from pipeline.collect.sent_messages import log_rules
from pipeline.model.settings import Settings

ALIKE, MIXED, CORES = "log reading", "log reading, lines of two forms", "log reading, floor of two threads"


def bench_reading(part: Measure, sent_log: Path, settings: Settings) -> None:
    _read(part, ALIKE, sent_log, settings)


def bench_reading_floor(floor: Measure, sent_log: Path) -> None:
    _read_by_duckdb(floor, ALIKE, sent_log, threads=1)


def bench_reading_mixed(part: Measure, mixed_log: Path, settings: Settings) -> None:
    _read(part, MIXED, mixed_log, settings)


def bench_reading_mixed_floor(floor: Measure, mixed_log: Path) -> None:
    _read_by_duckdb(floor, MIXED, mixed_log, threads=1)


def bench_reading_beside_two_threads(part: Measure, sent_log: Path, settings: Settings) -> None:
    _read(part, CORES, sent_log, settings)


def bench_reading_floor_of_two_threads(floor: Measure, sent_log: Path) -> None:
    _read_by_duckdb(floor, CORES, sent_log, threads=2)


def _read(part: Measure, name: str, log: Path, settings: Settings) -> None:
    there = log.stat()
    file = LogFile(log, DAY, there.st_size, there.st_mtime_ns)
    rules = log_rules(settings, datetime.now(UTC))
    amount = f"{MESSAGES:,} records, {there.st_size / 1e6:.0f} MB"
    rows = part(name, amount, lambda: sum(chunk.messages.num_rows for chunk in read_sent_log(file, rules)))
    assert rows == MESSAGES


def _read_by_duckdb(floor: Measure, name: str, log: Path, *, threads: int) -> None:
    with duckdb.connect(config={"memory_limit": "400MB", "threads": threads}) as connection:
        select = f"FROM read_json('{log}', format = 'newline_delimited', columns = {LOG})"
        words = f"DuckDB's read_json, {threads} {'thread' if threads == 1 else 'threads'}"
        rows = floor(name, words, lambda: connection.sql(select).to_arrow_table().num_rows)
    assert rows == MESSAGES
