"""The files of deploy/ fit each other and what reads them, as far as that can be told without Docker and a cluster."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster_celery.launcher import CeleryRunLauncher

from assets.project import ASKING_POOL, LOCATION, PUBLICATION_POOL

ROOT: Final = Path(__file__).parents[3]
DEPLOY: Final = ROOT / "deploy"
SERVICE_KEYS: Final = {
    "build", "command", "depends_on", "deploy", "env_file", "environment", "healthcheck", "image", "ports", "profiles",
    "restart", "stop_grace_period", "volumes",
}  # fmt: skip
"""Keys of a service that are used, all of the Compose specification (compose-spec.json, read in November 2026)."""
CONDITIONS: Final = {"service_started", "service_healthy", "service_completed_successfully"}
CHART_KEYS: Final = {
    "postgresql": {"postgresqlScheme"},
    "dagster-user-deployments": {"enabled", "deployments"},
    "runLauncher": {"type", "config"},
    "concurrency": {"enabled", "pools", "runs"},
    "dagsterDaemon": {"runMonitoring"},
    "computeLogManager": {"type"},
    "telemetry": {"enabled"},
}
"""Keys of the chart's values that are used, as its own schema names them (helm/dagster/schema, read likewise)."""
MONITORING: Final = {"enabled", "startTimeoutSeconds", "pollIntervalSeconds", "freeSlotsAfterRunEndSeconds"}


def loaded(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://user:password@127.0.0.1:5432/dagster")
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "redis://127.0.0.1:6379/0")


@pytest.mark.usefixtures("variables")
def test_dagster_takes_its_file_and_the_launcher_its_servers() -> None:
    found = InstanceRef.from_dir(str(DEPLOY))
    launcher = found.run_launcher
    assert isinstance(launcher, CeleryRunLauncher)
    assert launcher.broker == "redis://127.0.0.1:6379/0"
    config = loaded("dagster.yaml")
    assert set(config) - {"compute_logs", "run_launcher", "storage"} <= set(found.settings)
    assert config["run_monitoring"]["free_slots_after_run_end_seconds"] > 0
    assert config["concurrency"]["pools"] == {"granularity": "op", "default_limit": 1}


def test_there_are_as_many_workers_as_runs_at_once() -> None:
    """Else runs wait with the status of a run that starts, until run monitoring takes them for lost."""
    runs = loaded("dagster.yaml")["concurrency"]["runs"]["max_concurrent_runs"]
    worker = loaded("compose.yaml")["services"]["worker"]
    assert runs == worker["deploy"]["replicas"]
    assert worker["command"][worker["command"].index("--concurrency") + 1] == "1"
    assert "--disable-prefetch" in worker["command"]


def test_services_use_keys_of_compose_and_wait_for_services_that_there_are() -> None:
    services = loaded("compose.yaml")["services"]
    for name, service in services.items():
        assert set(service) <= SERVICE_KEYS, name
        waits = service.get("depends_on", {})
        assert set(waits) <= set(services), name
        if isinstance(waits, dict):
            assert {wait["condition"] for wait in waits.values()} <= CONDITIONS
    assert services["web"]["ports"] == ["127.0.0.1:3000:3000"]  # the UI has no login


def test_settings_go_before_what_is_there_to_try_and_need_no_server_of_it() -> None:
    """Compose lets `environment` go before files, and later files before earlier ones."""
    services = loaded("compose.yaml")["services"]
    tried = dict(
        line.split("=", 1) for line in (DEPLOY / "try.env").read_text("utf-8").splitlines() if not line.startswith("#")
    )
    assert {name for name in tried if not name.startswith("AWS_")} == {"SMS_LAKE", "SMS_DUCKDB", "SMS_SENT_LOGS"}
    for name in ("code", "daemon", "web", "worker"):
        assert services[name]["env_file"] == [{"path": "try.env", "required": False}, "settings.env"]
        assert not any(each.startswith(("SMS_", "AWS_")) for each in services[name]["environment"])
    to_try = {name for name, service in services.items() if service.get("profiles") == ["try"]}
    assert to_try == {"s3", "bucket"}
    for name in services.keys() - to_try:
        waits = services[name].get("depends_on", {})
        assert all(not waits[each].get("required", True) for each in to_try & waits.keys()), name


def test_every_process_finds_the_code_location_under_its_name() -> None:
    (server,) = loaded("workspace.yaml")["load_from"]
    code = loaded("compose.yaml")["services"]["code"]["command"]
    assert server["grpc_server"] == {"host": "code", "port": int(code[code.index("-p") + 1]), "location_name": LOCATION}
    assert import_module(code[code.index("-m") + 1]).defs


def test_the_values_use_keys_of_the_chart() -> None:
    values = loaded("values.yaml")
    for name, section in values.items():
        if isinstance(section, dict):
            assert set(section) <= CHART_KEYS[name], name
    assert set(values["dagsterDaemon"]["runMonitoring"]) == MONITORING
    assert values["concurrency"]["pools"] == {"granularity": "op", "defaultLimit": 1}
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["includeConfigInLaunchedRuns"]["enabled"]  # else runs have no settings


def test_the_image_installs_extras_that_there_are_and_is_not_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text("utf-8")
    extras = re.search(r"'\.\[(.+?)\]'", lines)
    assert extras
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= set(known)
    assert re.findall(r"^USER (\w+)$", lines, re.MULTILINE)[-1] != "root"
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", lines, re.MULTILINE)
    assert all((ROOT / name).exists() for group in copied for name in group.split())


def test_pools_are_documented_by_their_names() -> None:
    text = (ROOT / "docs" / "production.md").read_text("utf-8")
    assert f"`{ASKING_POOL}`" in text
    assert f"`{PUBLICATION_POOL}`" in text
