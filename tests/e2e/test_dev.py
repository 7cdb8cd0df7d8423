"""`sms-delivery ui` and the daemon, as processes: what opens, what runs by itself, and that all of it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from assets.project import LOCATION, REFRESH
from pipeline.api.simulator.faults import Faults
from pipeline.api.simulator.rules import DELIVERED, FAILED, fate_of, make_msg_id
from tests.support.places import COMMAND, Place, opened_place, without_settings
from tests.support.wheels import installed_from_wheel

pytestmark = pytest.mark.slow

STATE = """{
  repositoriesOrError { ... on RepositoryConnection { nodes { schedules { name scheduleState { status } } } } }
  assetNodes { assetKey { path } partitionStats { numMaterialized numPartitions } }
  runsOrError { ... on Runs { results { repositoryOrigin { repositoryLocationName } } } }
}"""
EVERY_MINUTE = """
from assets.definitions import build_definitions
from assets.partitions import settings_for_loading
from assets.resources import Workspace

defs = build_definitions(settings_for_loading(), Workspace(), refresh_cron="* * * * *")
"""
MINUTES = 5
"""Longest time for each half; on a machine with nothing else to do the whole takes under five."""


def wait_for(found: Callable[[], Any], seconds: float, step: float = 0.5) -> Any:
    """Return the first true value; None where there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(step)
    return None


def processes_with(text: str) -> list[str]:
    """List the processes, other than dead ones, whose environment names something."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if text.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found


@contextmanager
def started(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the block, its output in a file; it is interrupted at the end, if it is still there."""
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(45)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@pytest.fixture(params=["clone", "wheel"])
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of `sms-delivery` as `pip install` puts it there: from a clone, and from the wheel."""
    return COMMAND if request.param == "clone" else str(installed_from_wheel(tmp_path_factory.mktemp("wheel")))


def test_the_ui_without_settings_opens_the_demo_and_ends_all_its_processes(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = without_settings() | {"MARK_OF_TEST": str(tmp_path)}

    def state() -> Any:
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": STATE}, timeout=20).json()["data"]
        except (httpx.HTTPError, json.JSONDecodeError):
            return None
        return answer if answer["repositoriesOrError"].get("nodes") else None

    with started([command, "ui", "--port", str(port)], tmp_path, environment) as process:
        found = wait_for(state, 300)
        assert found, (tmp_path / "output.txt").read_text()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(45) == 0
    (repository,) = found["repositoriesOrError"]["nodes"]
    assert {s["name"]: s["scheduleState"]["status"] for s in repository["schedules"]} == {
        REFRESH: "STOPPED",
        "delivery_reconcile": "STOPPED",
        "maintenance": "STOPPED",
    }
    stats = {n["assetKey"]["path"][0]: n["partitionStats"] for n in found["assetNodes"] if n["partitionStats"]}
    assert {name for name, found in stats.items() if (found["numMaterialized"], found["numPartitions"]) == (4, 42)} >= {
        "sent_messages", "delivery_reports", "messages", "delivery_rates",
    }  # fmt: skip
    assert [run["repositoryOrigin"]["repositoryLocationName"] for run in found["runsOrError"]["results"]] == [LOCATION]
    assert f"http://127.0.0.1:{port}" in (tmp_path / "output.txt").read_text()
    assert wait_for(lambda: not processes_with(str(tmp_path)), 10), processes_with(str(tmp_path))


def maturing_ids(now: datetime, count: int) -> list[str]:
    """Return ids of the last seconds whose messages become final within the next minutes."""
    found: list[str] = []
    sequence = 0
    while len(found) < count:
        msg_id = make_msg_id(now - timedelta(seconds=5), sequence)
        fate = fate_of(msg_id)
        if fate.final_at and fate.listed_at and 10 < (fate.final_at - now).total_seconds() < 75:
            found.append(msg_id)
        sequence += 1
    return found


def log(place: Place, msg_ids: list[str]) -> None:
    now = datetime.now(UTC)
    (place.folder / "logs").mkdir(exist_ok=True)
    with (place.folder / "logs" / f"sent-{now.date()}.jsonl").open("a") as sent:
        for msg_id in msg_ids:
            sent_at = datetime.strptime(msg_id[:12] + "Z", "%y%m%d%H%M%S%z")
            sent.write(json.dumps({"msg_id": msg_id, "sent_at": sent_at.isoformat(), "app_id": "app"}) + "\n")


def test_the_daemon_follows_messages_to_their_final_state_through_an_outage(tmp_path: Path) -> None:
    (tmp_path / "every_minute.py").write_text(EVERY_MINUTE)
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    command = [sys.executable, "-m", "dagster._daemon", "run", "-f", str(tmp_path / "every_minute.py")]
    with opened_place(tmp_path, faults=Faults.from_specs(["down=2:2"])) as place:
        environment = place.environment | {
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DAGSTER_HOME": str(home),
            "SMS_SCHEDULES": "on",
            "SMS_MAX_ATTEMPTS": "1",
            "SMS_BATCH_SIZE": "20",
        }
        expected: dict[str, str] = {}

        def send() -> None:
            msg_ids = maturing_ids(datetime.now(UTC), 20)
            fates = {msg_id: fate_of(msg_id).status for msg_id in msg_ids}
            expected.update({i: {DELIVERED: "delivered", FAILED: "failed"}[s] for i, s in fates.items()})
            log(place, msg_ids)

        def is_complete() -> bool:
            if not place.published.exists():
                return False
            rows = place.query("SELECT msg_id, delivery_status FROM messages")
            return len(expected) == 40 and {str(i): s for i, s in rows} == expected

        send()
        with started(command, tmp_path, environment):
            assert wait_for(place.published.exists, 300, 1), (tmp_path / "output.txt").read_text()[-3000:]
            send()
            assert wait_for(is_complete, 60 * MINUTES, 2), (tmp_path / "output.txt").read_text()[-3000:]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        records = instance.get_run_records(dg.RunsFilter(job_name=REFRESH))
        times = sorted((r.start_time, r.end_time) for r in records if r.start_time and r.end_time)
        statuses = [record.dagster_run.status.value for record in records]
        ticks = [r.dagster_run.tags["dagster/tick"] for r in records]
    assert len(set(ticks)) == len(records) >= 3
    assert all(end <= begin for (_, end), (begin, _) in pairwise(times))
    assert "FAILURE" in statuses  # of the outage
    assert statuses[0] == "SUCCESS"
