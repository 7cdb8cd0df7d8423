"""Who takes part: for each contender the command that does the whole work, and the settings that it needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

from benchmarks.rule import API_KEY, API_SECRET

HERE = Path(__file__).parent
OWN_PYTHON = Path(sys.executable)
PEERS_PYTHON = HERE.parent / ".venv-peers" / "bin" / "python"
RESULT = "result.duckdb"
"""In the folder of a task: the DuckDB file that holds `messages` and `delivery_rates_daily` afterwards."""


@dataclass(frozen=True)
class Task:
    """One run: whom to ask, what was sent, and an empty folder for all that comes of it."""

    base_url: str
    log: Path
    day: date
    folder: Path


@dataclass(frozen=True)
class Contender:
    """A way of doing the work."""

    name: str
    python: Path
    arguments: Callable[[Task], Sequence[str]]
    settings: Callable[[Task], Mapping[str, str]] = lambda _: {}
    """Environment variables."""

    def is_installed(self) -> bool:
        """Tell whether there is an environment to run it in."""
        return self.python.exists()

    def command(self, task: Task) -> list[str]:
        """Return what to run."""
        return [str(self.python), *self.arguments(task)]


def _run_command(task: Task) -> Sequence[str]:
    command = OWN_PYTHON.with_name("sms-delivery")
    return [str(command), "run", "--from", str(task.day), "--to", str(task.day)]


def _run_settings(task: Task) -> Mapping[str, str]:
    return {
        "SMS_API_BASE_URL": task.base_url,
        "SMS_API_KEY": API_KEY,
        "SMS_API_SECRET": API_SECRET,
        "SMS_SENT_LOGS": str(task.log.with_name(task.log.name.replace(str(task.day), "{date}"))),
        "SMS_LAKE": "lake",
        "SMS_DUCKDB": RESULT,
        "SMS_REPORT": "report.html",
        "SMS_MAX_REQUESTS_PER_SECOND": "0",
    }


def _script(path: Path, *more: str) -> Callable[[Task], Sequence[str]]:
    return lambda task: [str(path), task.base_url, str(task.log), str(task.folder), *more]


def _dlt_settings(task: Task) -> Mapping[str, str]:
    return {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": str(task.folder / "dlt")}


CONTENDERS: Mapping[str, Contender] = MappingProxyType(
    {
        contender.name: contender
        for contender in (
            Contender("pipeline", OWN_PYTHON, _run_command, _run_settings),
            Contender("floor", OWN_PYTHON, _script(HERE / "floor.py")),
            Contender("vendor", PEERS_PYTHON, _script(HERE / "peers" / "vendor_loop.py")),
            Contender("vendor-quick", PEERS_PYTHON, _script(HERE / "peers" / "vendor_loop.py", "quick")),
            Contender("dlt", PEERS_PYTHON, _script(HERE / "peers" / "dlt_pipeline.py"), _dlt_settings),
        )
    }
)
