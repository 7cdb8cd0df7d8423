"""Workers as `deploy/dagster.yaml` has them: Celery with Redis, Dagster's storage in PostgreSQL, homes of their own.

Each server runs on a free port of the loopback and ends with the test. The times of run monitoring are shorter than
those of the file; all else is as it is deployed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import dagster as dg
import redis
import yaml

from assets.internals import is_queue_served
from tests.support.postgres import execute, running_postgres

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 60.0
QUICK: Final = {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1}
DEFINITIONS: Final = "tests.support.cluster_definitions"


@dataclass(frozen=True)
class Cluster:
    """The servers of an instance, and the processes that were started on it.

    Attributes:
        folder: where each process has its home, cache and working directory.
        environment: variables of every process.
        processes: those at work, by name.
    """

    folder: Path
    environment: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        """File that names the code location."""
        return self.folder / "workspace.yaml"

    def environment_of(self, name: str) -> dict[str, str]:
        """Return the environment of a process with a home of its own."""
        place = self.folder / name
        for part in ("home", "work"):
            (place / part).mkdir(parents=True, exist_ok=True)
        (place / "home" / "dagster.yaml").write_text(_instance_text())
        mine = {
            "DAGSTER_HOME": str(place / "home"),
            "HOME": str(place),
            "SMS_CACHE": str(place / "cache"),
            "SMS_REPORT": str(place / "report.html"),
        }
        return {**self.environment, **mine}

    def start(self, name: str, *command: str) -> None:
        """Start a command, in a group of its own, that writes to the file `log` in its folder."""
        environment = self.environment_of(name)
        with (self.folder / name / "log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environment, cwd=self.folder / name / "work",
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def start_worker(self, name: str) -> None:
        """Start a Celery worker that takes one run at a time, as compose.yaml does."""
        app = (sys.executable, "-m", "celery", "-A", "dagster_celery.app", "worker")
        self.start(name, *app, "-n", f"{name}@%h", "--concurrency", "1", "--disable-prefetch", "--loglevel", "info")

    def kill(self, name: str) -> None:
        """Kill a process and all that it started: its machine is lost."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log_of(self, name: str) -> str:
        """Return what a process wrote."""
        return (self.folder / name / "log").read_text(errors="replace")

    def wait_until(self, moment: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
        """Wait for a condition; fail with the ends of all logs where it does not come, or a process has ended."""
        until = time.monotonic() + seconds
        while not moment():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended or time.monotonic() > until:
                logs = {
                    path.parent.name: path.read_text(errors="replace")[-3000:] for path in self.folder.glob("*/log")
                }
                raise AssertionError(
                    f"ended: {ended}; " + "\n".join(f"== {name}\n{text}" for name, text in logs.items())
                )
            time.sleep(0.1)


@contextmanager
def running_cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[Cluster, dg.DagsterInstance]]:
    """Give servers, a daemon and two workers that end with the block, and the instance as the test sees it."""
    folder.mkdir()
    with ExitStack() as ends:
        address = ends.enter_context(running_postgres())
        execute(f"{address}/postgres", "CREATE DATABASE dagster")
        port = ends.enter_context(running_redis())
        servers = {
            "DAGSTER_POSTGRES_URL": f"{address}/dagster",
            "CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0",
            "CELERY_RESULT_BACKEND": f"redis://127.0.0.1:{port}/1",
            "PYTHONPATH": str(ROOT),
        }
        cluster = Cluster(folder, {**environment, **servers})
        cluster.workspace.write_text(
            yaml.safe_dump(
                {"load_from": [{"python_module": {"module_name": DEFINITIONS, "location_name": "sms_delivery"}}]}
            )
        )
        cluster.environment_of("test")
        config = _with_variables(yaml.safe_load(_instance_text()), servers)
        (folder / "test" / "home" / "dagster.yaml").write_text(yaml.safe_dump(config))
        instance = ends.enter_context(dg.DagsterInstance.from_config(str(folder / "test" / "home")))
        ends.callback(_end, cluster)
        cluster.start(
            "daemon", str(Path(sys.executable).with_name("dagster-daemon")), "run", "-w", str(cluster.workspace)
        )
        for name in ("worker-1", "worker-2"):
            cluster.start_worker(name)
        cluster.wait_until(lambda: is_queue_served(instance))
        for name in ("worker-1", "worker-2"):
            cluster.wait_until(lambda name=name: " ready." in cluster.log_of(name))  # type: ignore[misc]
        yield cluster, instance


def _end(cluster: Cluster) -> None:
    for name in list(cluster.processes):
        cluster.kill(name)


def _instance_text() -> str:
    """Return `deploy/dagster.yaml` with quick run monitoring."""
    config = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
    config["run_monitoring"] |= QUICK
    return str(yaml.safe_dump(config))


def _with_variables(config: Any, variables: Mapping[str, str]) -> Any:
    """Return a configuration with the values of variables in place of their names."""
    match config:
        case {"env": str() as name}:
            return variables[name]
        case dict():
            return {key: _with_variables(value, variables) for key, value in config.items()}
        case _:
            return config


@contextmanager
def running_redis() -> Iterator[int]:
    """Give the port of a new, empty Redis server that ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                _wait_for_redis(port, server)
                yield port
            finally:
                server.terminate()


def _wait_for_redis(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    with redis.Redis(port=port) as client:
        while time.monotonic() < until and server.poll() is None:
            try:
                client.ping()
            except redis.ConnectionError:
                time.sleep(0.05)
            else:
                return
    raise TimeoutError("Redis does not answer")
