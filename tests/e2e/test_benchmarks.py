"""Benchmarks measure what they say: tried with few messages."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks.checking import faults_of
from benchmarks.made_lake import make_lake, settings_in
from benchmarks.measuring import Cost
from benchmarks.messages import write_expected, write_log
from benchmarks.parts.table import parts_table
from benchmarks.results import Load, Run, lines_of
from pipeline.derive.messages import derive_messages
from pipeline.model.tables import LAKE_TABLES
from pipeline.model.tables import MESSAGES as MESSAGES_TABLE

ROOT = Path(__file__).parents[2]
DAY = date(2026, 3, 1)
RATES = (ROOT / "benchmarks" / "delivery_rates_daily.sql").read_text("utf-8")
MESSAGES = """
    SELECT *, epoch(receive_time) - epoch(sent_at) AS latency_seconds, sent_at::DATE AS sent_date
    FROM read_parquet($expected)"""


@pytest.mark.slow
def test_pipeline_and_floor_get_right_results_with_the_fewest_calls(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.end_to_end", "--messages=2100", "--latency=0,5", "--rounds=1"]
    command += ["--contenders=pipeline,floor", f"--dir={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)

    runs = re.findall(r"(\d) ms  (\w+) .* s +([\d.]+) s CPU +(\d+) MB +(\d+) calls  (.*)", done.stdout)
    assert [(run[0], run[1], run[4], run[5]) for run in runs] == [
        (latency, contender, "11", "right") for latency in "05" for contender in ("pipeline", "floor")
    ]
    for _, _, cpu_seconds, megabytes, *_ in runs:
        assert float(cpu_seconds) > 0.1
        assert int(megabytes) > 50
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_cost_of_syncs_is_measured_in_runs_with_a_right_result(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.syncs", "--messages=500", "--latency=0", "--rounds=1"]
    done = subprocess.run(
        [*command, f"--dir={tmp_path}"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    (row,) = re.findall(r"^[|] 500 [|] 0 ms [|] 1 [|].*[|] (\d+) [|] (\d+) ms [|]", done.stdout, re.MULTILINE)
    assert int(row[0]) > 50
    assert int(row[1]) > 0


@pytest.mark.thorough
def test_each_step_on_a_lake_in_a_bucket_stands_beside_the_same_on_a_folder() -> None:
    told = printed_by("benchmarks.buckets", "--messages=210", "--days=3", "--delay=0")
    rows = re.findall(r"^[|] 210 [|] 3 [|] (.*?) [|] (.*?) [|] .* s [|] .*MB [|] ([\d,]+|-) [|]", told, re.MULTILINE)
    steps = ["first run", "nothing due", "run --force", "publish"]
    assert [row[:2] for row in rows] == [(step, lake) for lake in ("folder", "bucket, 0 ms") for step in steps]
    assert [row[2] == "-" for row in rows] == [True] * 4 + [False] * 4


@pytest.mark.thorough
def test_two_workers_stand_beside_one() -> None:
    told = printed_by("benchmarks.workers", "--messages=400", "--days=4", "--rounds=1")
    assert re.findall(r"^[|] 400 [|] 4 [|] (.*?) [|] [\d.]+ s [|]", told, re.MULTILINE) == ["read logs", "derive"]


def test_each_amount_of_a_part_has_a_row_beside_the_floor_of_its_group() -> None:
    def measured(name: str, seconds: float, amount: str, *, is_floor: bool = False) -> dict[str, Any]:
        extra = {"is_floor": is_floor, "amount": amount}
        return {"group": "flatten", "name": name, "stats": {"median": seconds}, "extra_info": extra}

    made = [measured("odd", 0.3, "odd rows"), measured("a", 0.2, "plain"), measured("z", 0.1, "bare", is_floor=True)]
    assert parts_table(made)[2:] == [
        "| flatten | plain | 200 ms | 100 ms | 2.0 | bare |",
        "| flatten | odd rows | 300 ms | 100 ms | 3.0 | bare |",
    ]


@pytest.mark.slow
def test_lakes_can_be_made_for_benchmarks(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    lake = make_lake(settings, days=5, closed_rows=100, open_rows=100)
    with duckdb.connect(settings.duckdb, read_only=True) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT sent_date) FROM messages").fetchall() == [(500, 5)]
    before = [lake.snapshot(table).version for table in LAKE_TABLES]
    derive_messages(lake.snapshot(MESSAGES_TABLE).days(), lake=lake, settings=settings, now=datetime.now(UTC))
    assert [lake.snapshot(table).version for table in LAKE_TABLES] == before  # they are as derived ones are


def printed_by(module: str, *arguments: str) -> str:
    """Run a benchmark; return what it prints."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True).stdout


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """Return a file in which all is right, beside `expected.parquet`."""
    write_expected(tmp_path / "expected.parquet", messages=3000, day=DAY)
    with duckdb.connect(tmp_path / "result.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE messages AS {MESSAGES}", {"expected": str(tmp_path / "expected.parquet")})
        connection.execute(f"CREATE TABLE delivery_rates_daily AS {RATES}")
    return tmp_path / "result.duckdb"


def test_a_correct_result_has_no_fault(result: Path) -> None:
    assert faults_of(result, result.with_name("expected.parquet")) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("DELETE FROM messages WHERE order_id = '7'", "1 messages are missing or wrong"),
        ("INSERT INTO messages FROM messages LIMIT 1", "1 messages are missing or wrong"),
        ("UPDATE messages SET receive_time = receive_time + INTERVAL 1 SECOND WHERE order_id = '7'", "2 messages"),
        ("UPDATE messages SET delivery_status = 'sending' WHERE order_id = '7'", "2 messages"),
        ("UPDATE delivery_rates_daily SET delivered = delivered + 1 WHERE sender_id = 'sender1'", "2 rates"),
        (
            "UPDATE delivery_rates_daily SET latency_p95_seconds = latency_p95_seconds + 1 WHERE sender_id = 'sender1'",
            "2 rates",
        ),
        ("DROP TABLE delivery_rates_daily", "delivery_rates_daily"),
    ],
)
def test_a_wrong_result_is_a_fault(result: Path, change: str, fault: str) -> None:
    with duckdb.connect(result) as connection:
        connection.execute(change)
    (found,) = faults_of(result, result.with_name("expected.parquet"))
    assert fault in found


def test_no_result_is_a_fault(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "none.duckdb", tmp_path / "expected.parquet") == ["no result"]


def test_all_messages_of_a_log_are_of_one_day_and_have_ids_of_their_own(tmp_path: Path) -> None:
    write_log(tmp_path / "sent.jsonl", messages=3000, day=DAY)
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT count(DISTINCT msg_id), min(sent_at), max(sent_at), min(length(msg_id)), max(length(msg_id)) "
            "FROM read_json($log, columns = {'msg_id': 'VARCHAR', 'sent_at': 'VARCHAR'})",
            {"log": str(tmp_path / "sent.jsonl")},
        ).fetchall()
    assert found == [(3000, "2026-03-01T00:00:00Z", "2026-03-01T23:59:31Z", 19, 19)]


def test_a_wrong_run_is_reported_and_left_out_of_the_medians() -> None:
    load = Load(1_000_000, 0)

    def run(contender: str, wall: float, *faults: str) -> Run:
        return Run(load, contender, Cost(0, wall, wall, int(wall * 1e8)), 5000, faults)

    runs = [
        *(run("floor", wall) for wall in (1, 2, 9)),
        run("pipeline", 7),
        run("pipeline", 7),
        run("pipeline", 1, "no"),
    ]
    lines = "\n".join(lines_of([*runs, run("vendor", 1, "no")]))
    assert "| 1,000,000 | 0 ms | floor | 3 | 2.00 s | 1.00 to 9.00 s | 1.0 | 2.00 s | 1.0 | 900 MB | 5,000 |" in lines
    assert (
        "| 1,000,000 | 0 ms | pipeline | 2 of 3 | 7.00 s | 7.00 to 7.00 s | 3.5 | 7.00 s | 3.5 | 700 MB | 5,000 |"
        in lines
    )
    assert "| 1,000,000 | 0 ms | vendor | 0 of 1 |" in lines
    assert lines.count("Not counted: ") == 2
    assert "| wall beside the floor, 1,000,000 messages, 0 ms | ≤ 6 times | 3.50 times | met |" in lines
    assert "| peak memory, 1,000,000 messages, 0 ms | ≤ 650 MB | 700 MB | **missed** |" in lines
    assert "vendor's loop" not in lines
