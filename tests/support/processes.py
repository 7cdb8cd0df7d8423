"""The real command in processes that tests kill, signal or run beside each other, and what the lake must hold then."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
from deltalake import DeltaTable

from pipeline.follow.recorder import SLICE_CALLS
from pipeline.model.tables import LAKE_TABLES, Table
from tests.support.places import Answers, Place

MANY = 20_000
PACE: Final = {"SMS_MAX_REQUESTS_PER_SECOND": "150"}
"""A pace at which a slice takes about as long on a fast machine as `pipeline/follow/recorder.py` assumes."""
CONCURRENCY = 8
END_SECONDS = 10.0
"""Longest time from a signal to the end of the process."""


def chance_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - moments that can be had again


def wait_for(moment: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until the condition holds or the process has ended."""
    while not moment() and process.poll() is None:
        time.sleep(0.002)


def calls_made(place: Place, calls: int) -> Callable[[], bool]:
    """Return the condition that so many more calls than now were made."""
    calls += len(place.simulator.calls)
    return lambda: len(place.simulator.calls) >= calls


def committed(place: Place, table: Table) -> Callable[[], bool]:
    """Return the condition that a table has a commit after the one that created it."""
    return (place.lake / table.name / "_delta_log" / f"{1:020}.json").is_file


def end(process: subprocess.Popen[str], number: int) -> str:
    """Send a signal to a process; return its standard error. It must end within `END_SECONDS`."""
    began = time.monotonic()
    process.send_signal(number)
    output = output_until_end(process)
    assert time.monotonic() - began < END_SECONDS
    return output


def output_until_end(process: subprocess.Popen[str]) -> str:
    """Wait for the end of a process; return its standard error."""
    try:
        return process.communicate(timeout=120)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def asked_ids(place: Place, first_call: int = 0) -> list[str]:
    return [msg_id for call in place.simulator.calls[first_call:] for msg_id in call.msg_ids]


def final_twice(place: Place, answers: Answers) -> int:
    """Count final answers beyond the first for an id: answers that a dead run had asked for and lost."""
    final = [msg_id for msg_id in asked_ids(place) if answers.states[msg_id] in {"delivered", "failed"}]
    return len(final) - len(set(final))


def most_lost(batch: int) -> int:
    """Return the most answers that a killed process may lose: the slice being written, the next one, open calls."""
    return (2 * SLICE_CALLS + CONCURRENCY) * batch


def stored_ids(place: Place) -> set[str]:
    """Return the ids of the answers in the lake, read without the project's code."""
    table = DeltaTable(place.lake / "delivery_reports").to_pyarrow_table(columns=["msg_id"])
    return {str(msg_id) for msg_id in table["msg_id"].to_pylist()}


def assert_tables_open(place: Place) -> None:
    """Assert that each table opens with deltalake and DuckDB, and that all its files are complete."""
    for table in LAKE_TABLES:
        folder = place.lake / table.name
        if not list(folder.glob("_delta_log/*.json")):
            continue  # the run was killed before it created the table
        delta = DeltaTable(folder)
        with duckdb.connect() as plain:
            files = ", ".join(f"'{uri}'" for uri in delta.file_uris())
            rows = plain.execute(f"SELECT count(*) FROM read_parquet([{files}])").fetchall() if files else [(0,)]
        assert rows == [(delta.to_pyarrow_table().num_rows,)]


def assert_whole(place: Place, answers: Answers) -> None:
    """Assert that every message is there once in the right state, rates agree, and no temporary file is left."""
    for table in ("sent_messages", "messages"):
        assert place.query(f"SELECT count(*), count(DISTINCT msg_id) FROM {table}") == [(len(answers.states),) * 2]
    states = place.query("SELECT msg_id, delivery_status FROM messages")
    assert {msg_id: state for msg_id, state in states} == answers.states  # noqa: C416 - mypy knows no pairs
    counts = Counter((answers.days[msg_id], state) for msg_id, state in answers.states.items())
    for table in ("delivery_rates_daily", "delivery_rates_hourly"):
        rates = place.query(
            f"UNPIVOT (SELECT sent_date::VARCHAR AS day, delivered, failed, sending, not_found, pending, unknown, "
            f"invalid_id FROM {table}) ON COLUMNS(* EXCLUDE day) INTO NAME state VALUE n"
        )
        counted: Counter[tuple[object, object]] = Counter()
        for day, state, n in rates:
            assert isinstance(n, int)
            counted[day, state] += n
        assert +counted == counts
    assert_tables_open(place)
    assert not leftovers(place), leftovers(place)


def leftovers(place: Place) -> list[Path]:
    """Return temporary files: scratch folders, and files written before they are moved into place."""
    data = place.folder / "data"
    return [*place.lake.glob("_scratch/*"), *data.glob("**/.*.tmp*"), *data.glob("**/*.tmp"), *data.glob("**/*.wal")]


def assert_one_clear_line(output: str, line: str = "sms-delivery: ") -> None:
    assert len(output.splitlines()) == 1, output
    assert output.startswith(line)


@dataclass(frozen=True)
class Undisturbed:
    """An undisturbed run: its logs, the seconds from the lake's creation to its end, the published messages."""

    logs: Path
    seconds: float
    messages: list[tuple[object, ...]]


UNDISTURBED_SQL = """
SELECT * EXCLUDE (poll_count, first_polled_at, last_polled_at) FROM messages ORDER BY app_id, msg_id
"""
