"""`sms-delivery ui`: the Dagster UI on this machine, with your settings if there are any, otherwise with the demo.

The demo has simulated sent logs, followed once, and a simulated API that runs beside the UI. Run history is kept beside
the lake unless DAGSTER_HOME is set. Ctrl-C or SIGTERM ends every process that was started. What does not belong here:
the demo itself (`demo.py`), and the folder of the history (`home.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from assets.cli.demo import WRITTEN_BY, simulated_api, write_env
from assets.cli.home import home_of, make_home
from assets.cli.output import say
from assets.cli.signals import signal_handler
from assets.internals import GUARDED_UI, WORKSPACE, is_dagster_home_set
from assets.partitions import settings_for_loading
from assets.resources import utc_now
from pipeline.api.simulator.server import running
from pipeline.model.errors import SettingsError
from pipeline.model.settings import env_file, environment_with, has_own_settings
from pipeline.model.trusted import read_trusted

DEMO: Final = Path("data/demo")
_DEMO_PORT: Final = 8765
"""Port of the simulated API if it is free, as `sms-delivery simulator` has it."""
_GRACE_SECONDS: Final = 20.0


def open_ui(host: str, port: int) -> int:
    """Serve the UI until it ends or a signal arrives; return the exit status."""
    if _is_taken(host, port):
        say(f"port {port} is taken; choose another: --port {port + 1} (make dev PORT={port + 1})", err=True)
        return 1
    try:
        return _open(host, port)
    except SettingsError as error:
        say(f"sms-delivery: {error}", err=True)
        return 2


def _open(host: str, port: int) -> int:
    status = 0
    with contextlib.suppress(KeyboardInterrupt), signal_handler(signal.default_int_handler), _folder() as folder:
        say(f"the UI opens at http://{host}:{port} in about ten seconds; Ctrl-C ends it")
        say("schedules: Automation in the UI switches them on, or SMS_SCHEDULES=on from the start")
        status = _serve(host, port, folder)
    return status


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give the folder whose settings the UI is for: this one, or the demo's, whose API runs for the block."""
    found = env_file()
    is_demo = found is not None and read_trusted(found, ".env").startswith(WRITTEN_BY)
    if has_own_settings() and not is_demo:
        say(f"settings: those of the environment and {found or 'no .env'}")
        yield Path.cwd()
        return
    demo = found.parent if found and is_demo else DEMO.resolve()
    say(f"settings: those of the demo in {demo}, with a simulated API; its .env holds them for other commands")
    if not _is_loaded(demo):
        command = [sys.executable, "-P", "-c", "from assets.cli.main import main; main()", "demo", "--dir", str(demo)]
        subprocess.run(command, check=True)
    port = 0 if _is_taken("127.0.0.1", _DEMO_PORT) else _DEMO_PORT
    with running(simulated_api(demo), port=port, record=False) as simulator:
        write_env(demo, simulator.base_url)
        yield demo


def _is_loaded(demo: Path) -> bool:
    """Return whether the demo has logs of today, was published and its run recorded."""
    needed = ("analytics.duckdb", f"logs/sent-{utc_now().date()}.jsonl", "dagster/dagster.yaml")
    return all((demo / name).exists() for name in needed)


def _serve(host: str, port: int, folder: Path) -> int:
    """Run `dagster dev`, guarded, in a folder until it ends or a signal arrives; end all its processes."""
    with contextlib.chdir(folder), tempfile.TemporaryDirectory() as temporary:
        home = home_of(settings_for_loading()).resolve()
        variables = {"PYTHONSAFEPATH": "1"}  # Dagster's `-m` would run modules that others put into the folder
        if not is_dagster_home_set():
            make_home(home)
            variables["DAGSTER_HOME"] = str(home)
        workspace = Path(temporary, "workspace.yaml")
        workspace.write_text(WORKSPACE, "utf-8")
        options = ["-w", str(workspace), "-h", host, "-p", str(port)]
        command = [sys.executable, "-P", "-m", GUARDED_UI, "dev", *options]
        # Its own process group: Ctrl-C on the terminal would reach all its processes at once, and they end in disorder.
        process = subprocess.Popen(command, env=environment_with(variables), start_new_session=True)
        try:
            return process.wait()
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
