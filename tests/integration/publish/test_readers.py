"""Analysts in other processes read while the lake is published again and again: no error, no mixed snapshot.

A snapshot is mixed if the lake's Parquet and the copied rates do not tell of the same messages in one connection.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings, given_settings
from pipeline.publish.database import publish
from pipeline.publish.page.writing import write_page
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW: Final = datetime(2026, 10, 27, 12, tzinfo=UTC)
DAY: Final = NOW.date()
MIXED: Final = """
WITH of_messages AS (
  SELECT
    count(*) AS sent,
    count(*) FILTER (delivery_status = 'delivered') AS delivered,
    count(*) FILTER (delivery_status = 'pending') AS pending
  FROM messages
),
of_rates AS (SELECT sum(sent) AS sent, sum(delivered) AS delivered, sum(pending) AS pending FROM delivery_rates_daily),
of_hours AS (SELECT sum(sent) AS sent, sum(delivered) AS delivered, sum(pending) AS pending FROM delivery_rates_hourly),
of_days AS (SELECT sum(sent) AS sent, sum(delivered) AS delivered, sum(pending) AS pending FROM delivery_rollups_daily
  WHERE dimension = 'all'),
of_logs AS (SELECT count(*) AS sent FROM sent_messages),
of_answers AS (SELECT count(DISTINCT msg_id) AS delivered FROM delivery_reports),
info AS (SELECT max(rows) FILTER (table_name = 'messages') AS sent FROM snapshot_info)
SELECT of_messages.sent, of_messages.delivered, (SELECT any_value(published_at)::VARCHAR FROM snapshot_info),
  of_messages = of_rates AND of_rates = of_hours AND of_hours = of_days
  AND of_logs.sent = of_messages.sent AND of_answers.delivered = of_messages.delivered AND info.sent = of_logs.sent
FROM of_messages, of_rates, of_hours, of_days, of_logs, of_answers, info
"""
"""One row: messages, delivered, when published, and whether everything in the snapshot agrees."""
OPENED: Final = """
import duckdb
def opened(path):
    return duckdb.connect(path, read_only=True, config={"threads": 1})
"""
READING: Final = """
import json, sys, time
path, query, open_for = sys.argv[1], sys.argv[2], float(sys.argv[3])
told = {"connections": 0, "readings": 0, "snapshots": set(), "errors": []}
stopped = False
print("reading", flush=True)
import threading
def wait():
    global stopped
    sys.stdin.readline()
    stopped = True
threading.Thread(target=wait, daemon=True).start()
while not stopped:
    try:
        with opened(path) as connection:
            told["connections"] += 1
            first, until = None, time.monotonic() + open_for
            while first is None or (time.monotonic() < until and not stopped):
                found = connection.execute(query).fetchall()[0]
                first = first or found
                if not found[3] or found != first:
                    told["errors"].append(str((first, found)))
                told["readings"] += 1
                time.sleep(0.3)  # leaves the machine to the publications
            told["snapshots"].add(first[2])
    except Exception as error:
        told["errors"].append(str(error))
print(json.dumps(told | {"snapshots": len(told["snapshots"])}), flush=True)
"""
"""Reads until a line comes, each connection open for so many seconds; what it sees must never change in one."""
READ_WRITER: Final = """
import os, sys, time, duckdb
path = sys.argv[1]
print("writing", flush=True)
written = 0
while True:
    try:
        os.chmod(path, 0o640)
        connection = duckdb.connect(path)
        connection.execute("CREATE TABLE IF NOT EXISTS mine (a INTEGER)")
        connection.execute("INSERT INTO mine VALUES (1)")
        written += 1
        print(written, flush=True)
        time.sleep(0.05)
        connection.close()
    except (duckdb.Error, OSError):
        time.sleep(0.001)
"""
"""Opens the file for writing again and again, whatever the publications do to it; ended from outside."""


@dataclass
class World:
    """A lake that grows by a message and an answer before each publication."""

    lake: Lake
    settings: Settings
    published: int = 0

    def publish(self) -> None:
        """Log ten messages more, answer five of them, derive and publish, as a run does."""
        first = 10 * self.published
        sent = [Sent(str(first + n), NOW - timedelta(minutes=n)) for n in range(10)]
        store_sent(self.lake, sent)
        store_answers(self.lake, [(Said(s.msg_id, "delivered", NOW, s.sent_at), DAY) for s in sent[:5]])
        derive_messages([DAY], lake=self.lake, settings=self.settings, now=NOW)
        derive_rates([DAY], lake=self.lake, settings=self.settings, now=NOW)
        self.published += 1
        publish(lake=self.lake, settings=self.settings, now=NOW + timedelta(seconds=self.published))

    def state(self) -> tuple[Any, ...]:
        """Read the published file by a connection of this process, which holds no other."""
        with duckdb.connect(self.settings.duckdb, read_only=True) as connection:
            row: tuple[Any, ...] = connection.execute(MIXED).fetchall()[0]
        return row


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    before = os.umask(0o077)
    chosen = given_settings(tmp_path)
    yield World(Lake.open(chosen.lake, mode=chosen.file_mode, recorded={}), chosen)
    os.umask(before)


@contextmanager
def process(code: str, *arguments: str, python: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    """Run code in a process of its own until the block ends; it has begun when the block begins."""
    with subprocess.Popen(
        [python, "-c", code, *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        try:
            assert running.stdout
            assert running.stdout.readline()
            yield running
        finally:
            running.kill()


def what_it_told(reader: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = reader.communicate("\n", timeout=60)
    told: dict[str, Any] = json.loads(said)
    return told


PUBLICATIONS: Final = [
    pytest.param(5, marks=pytest.mark.slow),
    pytest.param(50, marks=pytest.mark.slow),
    pytest.param(200, marks=pytest.mark.thorough),  # each adds files that every reading opens
]


@pytest.mark.parametrize("publications", PUBLICATIONS)
def test_readers_short_and_long_see_no_error_and_no_mixed_snapshot(publications: int, world: World) -> None:
    world.publish()
    path = str(world.settings.duckdb)
    with ExitStack() as stack:
        readers = [
            stack.enter_context(process(OPENED + READING, path, MIXED, open_for)) for open_for in ("0", "1", "3600")
        ]
        for _ in range(publications):
            world.publish()
        short, middling, long = [what_it_told(reader) for reader in readers]
    assert [told["errors"] for told in (short, middling, long)] == [[], [], []]
    assert short["connections"] > long["connections"] == long["snapshots"] == 1
    assert short["snapshots"] > 2
    assert middling["readings"] > middling["connections"]
    sent = 10 * (publications + 1)
    assert world.state()[:2] == (sent, sent // 2)


@pytest.mark.parametrize("publications", PUBLICATIONS[1:])
def test_a_read_write_connection_beside_them_stops_no_publication(publications: int, world: World) -> None:
    world.publish()
    with process(READ_WRITER, str(world.settings.duckdb)) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "1\n"
        for _ in range(publications):
            world.publish()
            write_page(settings=world.settings)
    world.publish()
    sent = 10 * (publications + 2)
    *counts, _, is_whole = world.state()
    assert (counts, is_whole) == ([sent, sent // 2], True)
    with duckdb.connect(world.settings.duckdb, read_only=True) as connection:
        assert connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'mine'").fetchall() == []


def test_a_second_connection_of_a_process_sees_the_newest_while_the_first_is_open(world: World) -> None:
    world.publish()
    with duckdb.connect(world.settings.duckdb, read_only=True) as first:
        world.publish()
        assert world.state()[0] == 20
        assert first.execute(MIXED).fetchall()[0][0] == 10
