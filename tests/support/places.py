"""A folder to run the real command in: sent logs, settings, and a simulator of the API on a socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from pipeline.api.simulator.rules import report_at
from pipeline.api.simulator.sample_logs import write_sent_logs
from pipeline.api.simulator.server import Running, SimulatorOptions, running
from tests.support.commands import run_command

KEY, SECRET = "key-of-tests", "secret-of-tests-3141592"
STATES = {"0": "delivered", "1": "failed", "-1": "sending", None: "not_found"}
"""The project's state for each status of a getReport row, and for no row."""
COMMAND = str(Path(sys.executable).with_name("sms-delivery"))


@dataclass(frozen=True)
class Place:
    """A folder with sent logs, and the environment of commands that run in it."""

    folder: Path
    environment: dict[str, str]
    simulator: Running

    @property
    def lake(self) -> Path:
        """Folder of the lake."""
        return self.folder / "data" / "lake"

    @property
    def published(self) -> Path:
        """The published DuckDB file."""
        return self.folder / "data" / "analytics.duckdb"

    def run(
        self, *arguments: str, status: int = 0, given: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `sms-delivery` to its end; assert its exit status."""
        done = run_command(arguments, folder=self.folder, environment=self.environment | environment, given=given)
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command by its full path; it keeps running."""
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment | environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Query the published file as analysts do."""
        with duckdb.connect(self.published, read_only=True) as connection:
            return connection.execute(sql).fetchall()


def without_settings() -> dict[str, str]:
    """Return the environment of this process without settings of the project or Dagster."""
    environment = os.environ  # noqa: TID251 - commands under test inherit it
    return {name: value for name, value in environment.items() if not name.startswith(("SMS_", "DAGSTER_"))}


@contextmanager
def opened_place(folder: Path, *, clock: datetime | None = None, **options: Any) -> Iterator[Place]:
    """Give a place in a folder, with a simulator that runs for the block.

    Args:
        folder: where logs are and results go.
        clock: fixed time of the simulator, so that its answers don't change; None for the real time.
        options: of the simulator.
    """
    chosen = SimulatorOptions(api_key=KEY, api_secret=SECRET, **options)
    with running(chosen) if clock is None else running(chosen, clock=lambda: clock) as simulator:
        environment = without_settings() | {
            "SMS_API_BASE_URL": simulator.base_url,
            "SMS_API_KEY": KEY,
            "SMS_API_SECRET": SECRET,
            "SMS_SENT_LOGS": "logs/sent-{date}.jsonl",
            "SMS_MAX_REQUESTS_PER_SECOND": "0",
        }
        yield Place(folder, environment, simulator)


@dataclass(frozen=True)
class Answers:
    """What the simulator answers for every message: its state, and its day of sending in UTC, by id."""

    states: Mapping[str, str]
    days: Mapping[str, str]


@contextmanager
def still_place(
    folder: Path, *, messages: int, batch: int, days: int = 3, **options: Any
) -> Iterator[tuple[Place, Answers]]:
    """Give a place with logs of some days, and a simulator whose clock stands still a month from now.

    Its answers never change, so a run's result follows from the ids. Existing logs are kept.
    """
    clock = datetime.now(UTC) + timedelta(days=30)
    with opened_place(folder, clock=clock, window_seconds=10**8, **options) as place:
        if not (folder / "logs").is_dir():
            write_logs(place, messages, days)
        place.environment.update({"SMS_BATCH_SIZE": str(batch), "SMS_UNKNOWN_AFTER_HOURS": "100"})
        logged = logged_messages(folder / "logs")
        reports = {msg_id: report_at(msg_id, clock) for msg_id in logged}
        yield place, Answers({i: STATES[report.status if report else None] for i, report in reports.items()}, logged)


def logged_messages(folder: Path) -> dict[str, str]:
    """Read the logs in plain Python; return the day of sending in UTC by msg_id."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            ids = [r["msgId"] for r in record["response"]["array"]] if "response" in record else [record["msg_id"]]
            sent_at = datetime.fromisoformat(record["sent_at"])
            found |= dict.fromkeys(ids, sent_at.astimezone(UTC).date().isoformat())
    return found


def write_logs(place: Place, messages: int, days: int = 3) -> datetime:
    """Write sent logs of the last days, today included; return the present time."""
    now = datetime.now(UTC)
    dates = [now.date() - timedelta(days=step) for step in reversed(range(days))]
    write_sent_logs(place.folder / "logs", messages=messages, days=dates, now=now, app_id="app1")
    return now
