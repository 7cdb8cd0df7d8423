"""Log reading in messages per second of CPU time: each format with clean, dirty, quoted, nested and mixed input.

CPU time is measured, so that other work on the machine changes the figures less. The floor of a format is what DuckDB's
reader takes in one thread for the clean log; it checks and counts nothing.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.parts.conftest import DAY, Measure
from benchmarks.report import table_of
from pipeline.collect.files import LogFile
from pipeline.collect.reading import read_sent_log
from pipeline.collect.sent_messages import log_rules
from pipeline.model.settings import Settings

LOG_MESSAGES = 50_000
BROKEN_EVERY = 1000
NUMBERS_PER_CALL = 50
INPUTS = ("clean", "dirty", "quoted", "nested", "mixed")
FORMATS = ("jsonl", "csv", "parquet")
READERS = {"jsonl": "read_json", "csv": "read_csv", "parquet": "read_parquet"}
START = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
Record = dict[str, Any]


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("ending", FORMATS)
def bench_reading(part: Measure, tmp_path: Path, settings: Settings, ending: str, kind: str) -> None:
    path = tmp_path / f"{DAY}.{ending}"
    write(path, list(records(kind)), is_dirty=kind == "dirty")
    there = path.stat()
    file = LogFile(path, DAY, there.st_size, there.st_mtime_ns)
    rules = log_rules(settings, datetime.now(UTC))
    rows = part(f"{ending} {kind}", kind, lambda: sum(chunk.records for chunk in read_sent_log(file, rules)), rounds=3)
    assert rows >= LOG_MESSAGES


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("ending", FORMATS)
def bench_reading_floor(floor: Measure, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"{DAY}.{ending}"
    write(path, list(records("clean")), is_dirty=False)
    with duckdb.connect(config={"memory_limit": "400MB", "threads": 1}) as connection:
        select = f"FROM {READERS[ending]}('{path}')"
        rows = floor(ending, "clean", lambda: connection.sql(select).to_arrow_table().num_rows, rounds=3)
    assert rows == LOG_MESSAGES


def records(kind: str) -> Iterator[Record]:
    """Make the records of one day; with `nested` one for each call of `sendSms`."""
    if kind == "nested":
        for first in range(0, LOG_MESSAGES, NUMBERS_PER_CALL):
            yield call(first)
        return
    for index in range(LOG_MESSAGES):
        record = message(index)
        if kind == "quoted":
            record["content"] = f'He said "yes", then:\nsee you at {index}'
        if kind == "mixed" and not index % 3:
            record |= {"msg_id": int(record["msg_id"]), "number": f"+{record['number']}", "sender_id": None}
        yield record


def message(index: int) -> Record:
    return {
        "msg_id": str(2_108_021_054_000_000_000 + index),
        "sent_at": f"{START + timedelta(milliseconds=index * 800):%Y-%m-%dT%H:%M:%SZ}",
        "app_id": "marketing1",
        "number": str(919_856_000_000 + index),
        "sender_id": f"sender{index // 1000 % 10}",
        "order_id": str(index),
        "content": "Your parcel is on its way",
    }


def call(first: int) -> Record:
    rows = [message(index) for index in range(first, first + NUMBERS_PER_CALL)]
    array = [{"msgId": row["msg_id"], "number": row["number"], "orderId": row["order_id"]} for row in rows]
    answer = {"status": "0", "reason": "success", "success": "50", "fail": "0", "array": array}
    return {"sent_at": rows[0]["sent_at"], "app_id": rows[0]["app_id"], "response": answer}


def write(path: Path, made: Sequence[Record], *, is_dirty: bool) -> None:
    """Write a log; in a dirty one every thousandth record is broken."""
    if path.suffix == ".parquet":
        if is_dirty:
            made = [record | ({} if index % BROKEN_EVERY else {"sent_at": "?"}) for index, record in enumerate(made)]
        pq.write_table(pa.table({name: column_of(name, made) for name in made[0]}), path)
        return
    lines = as_json_lines(made) if path.suffix == ".jsonl" else as_csv_lines(made)
    broken = [line[:40] + "\n" if is_dirty and not index % BROKEN_EVERY else line for index, line in enumerate(lines)]
    head = "" if path.suffix == ".jsonl" else ",".join(made[0]) + "\n"
    path.write_text(head + "".join(broken), "utf-8", newline="")


def column_of(name: str, made: Sequence[Record]) -> list[object]:
    """Return a column; one of Parquet has one type."""
    values = [record[name] for record in made]
    return values if isinstance(values[0], dict) else [None if each is None else str(each) for each in values]


def as_json_lines(made: Sequence[Record]) -> list[str]:
    return [json.dumps({k: v for k, v in record.items() if v is not None}) + "\n" for record in made]


def as_csv_lines(made: Sequence[Record]) -> list[str]:
    def line(record: Record) -> str:
        sink = io.StringIO()
        cells = [json.dumps(value) if isinstance(value, dict) else value for value in record.values()]
        csv.writer(sink, lineterminator="\n").writerow(cells)
        return sink.getvalue()

    return list(map(line, made))


def logs_table(benchmarks: Sequence[Record]) -> list[str]:
    """Return a table of all inputs, the slowest of each format first."""
    seconds = {(one["group"], one["extra_info"]["is_floor"]): one["stats"]["median"] for one in benchmarks}
    rows: list[tuple[str, ...]] = []
    for ending in FORMATS:
        taken = {kind: seconds[f"{ending} {kind}", False] for kind in INPUTS if (f"{ending} {kind}", False) in seconds}
        for kind, median in sorted(taken.items(), key=lambda each: -each[1]):
            floor = seconds.get((ending, True))
            rows.append(
                (
                    f"{ending}, {kind}",
                    f"{LOG_MESSAGES / median:,.0f}",
                    f"{median / min(taken.values()):.1f}",
                    f"{median / floor:.1f}" if floor else "",
                )
            )
    return table_of(("log", "messages a second", "times the format's best", "times DuckDB's reader"), rows)
