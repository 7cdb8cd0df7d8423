"""`make dev`: the Dagster UI on this machine, with your settings if there are any, otherwise with the demo.

The demo has simulated sent logs, followed once, and a simulated API that runs beside the UI. Run history is kept in
`data/dagster`. Ctrl-C or SIGTERM ends every process that was started. What does not belong here: the demo itself
(`demo.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from assets.cli.demo import API, demo_environment
from assets.cli.signals import signal_handler
from assets.resources import utc_now
from pipeline.api.simulator.server import running
from pipeline.model.settings import environment_with, has_own_settings

HOME: Final = Path("data/dagster")
DEMO: Final = Path("data/demo")
WORKSPACE: Final = Path(__file__).parents[2] / "workspace.yaml"
_GRACE_SECONDS: Final = 20.0
_INSTANCE: Final = """\
# Written by `make dev`; change it as you like. The README says what production needs instead.
telemetry:
  enabled: false
concurrency:
  pools: {granularity: run, default_limit: 1}
retention:
  schedule: {purge_after_days: {skipped: 7, failure: 30, success: 30}}
  sensor: {purge_after_days: {skipped: 7, failure: 30, success: 30}}
"""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the UI.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port of the UI.")
def main(host: str, port: int) -> None:
    """Open the Dagster UI, with the demo if there are no settings."""
    if _is_taken(host, port):
        click.echo(f"port {port} is taken; choose another: make dev PORT={port + 1}", err=True)
        sys.exit(1)
    HOME.mkdir(parents=True, exist_ok=True)
    if not (HOME / "dagster.yaml").exists():
        (HOME / "dagster.yaml").write_text(_INSTANCE, "utf-8")
    with contextlib.suppress(KeyboardInterrupt), signal_handler(signal.default_int_handler), _settings() as settings:
        click.echo(f"the UI opens at http://{host}:{port} in about ten seconds; Ctrl-C ends it")
        click.echo("schedules: Automation in the UI switches them on, or SMS_SCHEDULES=on from the start")
        _serve(host, port, settings | {"DAGSTER_HOME": str(HOME.resolve())})


@contextlib.contextmanager
def _settings() -> Iterator[dict[str, str]]:
    """Give the variables to add to the environment: none, or those of the demo, whose API runs for the block."""
    if has_own_settings():
        click.echo("settings: those of the environment and .env")
        yield {}
        return
    click.echo(f"settings: none (no .env), so this is the demo in {DEMO}, with a simulated API")
    if not _is_loaded():
        command = [sys.executable, "-c", "from assets.cli.main import main; main()", "demo", "--dir", str(DEMO)]
        subprocess.run(command, check=True, env=environment_with({"DAGSTER_HOME": str(HOME.resolve())}))
    with running(API, record=False) as simulator:
        yield demo_environment(DEMO.resolve(), simulator.base_url)


def _is_loaded() -> bool:
    """Return whether the demo has logs of today and was published."""
    return (DEMO / "analytics.duckdb").exists() and (DEMO / "logs" / f"sent-{utc_now().date()}.jsonl").exists()


def _serve(host: str, port: int, settings: Mapping[str, str]) -> None:
    """Run `dagster dev` until it ends or a signal arrives; end all its processes."""
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(WORKSPACE), "-h", host, "-p", str(port)]
    # Its own process group: Ctrl-C on the terminal would reach all its processes at once, and they end in disorder.
    process = subprocess.Popen(command, env=environment_with(settings), start_new_session=True)
    try:
        sys.exit(process.wait())
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process, then terminate and kill its group."""
    with signal_handler(signal.SIG_IGN):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, number)
                process.wait(_GRACE_SECONDS)


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


if __name__ == "__main__":
    main()
