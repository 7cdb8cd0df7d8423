"""What docs/dagster.md says of life in somebody's instance is run as it stands there."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.partitions import range_tags
from assets.project import REFRESH
from tests.support.places import Place, opened_place, without_settings, write_logs

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "dagster.md").read_text("utf-8")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
INSTANCE = """\
telemetry: {enabled: false}
run_coordinator: {module: dagster.core.run_coordinator, class: DefaultRunCoordinator}
"""
COMMANDS = Path(sys.executable).parent


def block(language: str) -> str:
    """Return the one block of the section in a language."""
    section = PAGE.split("## In an instance that others use too")[1].split("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(found)


@contextmanager
def settings_of(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in the place's folder with its settings in `.env`."""
    values = [f"{name}={value}" for name, value in place.environment.items() if name.startswith("SMS_")]
    (place.folder / ".env").write_text("\n".join(values))
    for name in [name for name in os.environ if name.startswith(("SMS_", "DAGSTER_"))]:  # noqa: TID251 - of the tests
        monkeypatch.delenv(name)
    monkeypatch.chdir(place.folder)
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.slow
def test_merged_into_definitions_of_a_host_its_asset_runs_after_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    with opened_place(tmp_path) as place, settings_of(place, monkeypatch), dg.DagsterInstance.ephemeral() as instance:
        today = write_logs(place, 60).date()
        exec(block("python"), names)  # noqa: S102 - the lines of the page
        defs: dg.Definitions = names["defs"]
        cursor = dg.evaluate_automation_conditions(defs, instance).cursor
        done = defs.resolve_job_def(REFRESH).execute_in_process(
            instance=instance, tags=range_tags(today - timedelta(days=2), today), run_config=QUIET
        )
        assert dg.AssetKey("campaign_costs") not in {
            event.asset_key for event in done.get_asset_materialization_events()
        }
        after = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
        assert after.total_requested == 1
        both = [dg.AssetKey("messages"), dg.AssetKey("campaign_costs")]
        of_both = defs.resolve_job_def("__ASSET_JOB").execute_in_process(
            instance=instance, asset_selection=both, tags=range_tags(today, today), run_config=QUIET
        )
        steps = [event.step_key for event in of_both.all_events if event.is_step_success]
        assert steps.index("messages") < steps.index("campaign_costs")


@pytest.mark.slow
def test_as_a_code_location_of_its_own_it_runs_in_its_own_folder_on_its_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    host = tmp_path / "host"
    host.mkdir()
    (host / "dagster.yaml").write_text(INSTANCE)
    # A host has its databases already; two processes that create them at once spoil them (Dagster's own race).
    dg.DagsterInstance.from_config(str(host)).dispose()
    (host / "workspace.yaml").write_text(block("yaml").replace("4266", port))
    (tmp_path / "ours").mkdir()
    environment = without_settings() | {"DAGSTER_HOME": str(host), "PYTHONPATH": str(ROOT)}
    command = block("console").removeprefix("$ .venv/bin/").replace("4266", port).split()
    with opened_place(tmp_path / "ours") as place, settings_of(place, monkeypatch):
        today = write_logs(place, 60).date()
        with (tmp_path / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [str(COMMANDS / command[0]), *command[1:]],
                cwd=place.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Dagster's server may wait for processes of its own, and for ever
            )
        try:
            launched = launch(host, environment, f"{today}")
            assert launched.returncode == 0, launched.stdout + launched.stderr
            with dg.DagsterInstance.from_config(str(host)) as instance:
                (record,) = wait_for_end(instance)
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)
        assert record.dagster_run.status is dg.DagsterRunStatus.SUCCESS
        origin = record.dagster_run.remote_job_origin
        assert origin is not None
        assert origin.location_name == "sms_delivery"
        assert place.published.exists()


def launch(host: Path, environment: dict[str, str], day: str) -> subprocess.CompletedProcess[str]:
    """Launch the job from the host's folder as soon as the code server answers."""
    tags = f'{{"dagster/partition": "{day}"}}'
    command = [str(COMMANDS / "dagster"), "job", "launch", "-w", "workspace.yaml", "-j", REFRESH, "--tags", tags]
    until = time.monotonic() + 120
    while True:
        done = subprocess.run(
            command, cwd=host, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode == 0 or time.monotonic() > until:
            return done


def wait_for_end(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    until = time.monotonic() + 150
    while time.monotonic() < until:
        records = list(instance.get_run_records())
        if all(record.dagster_run.is_finished for record in records):
            return records
        time.sleep(1)
    raise TimeoutError("the run has not ended")
