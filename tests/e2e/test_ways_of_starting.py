"""A refused run is red, and green once the secret is right, when the daemon or Dagster's own command starts it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.checks import COMPLETE
from tests.support.dagster_ui import DagsterUi, running_ui, waited_for
from tests.support.places import SECRET, Place, opened_place, without_settings, write_logs

pytestmark = pytest.mark.slow

WRONG = "not-the-secret"
DAYS = 3
PARTITIONED = ["sent_messages", "rejected_records", "delivery_reports", "api_calls"]
LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}"""
VERDICTS = """
query ($run: ID!) {
  runOrError(runId: $run) {
    ... on Run { assetChecks: eventConnection(limit: 1000) { events {
      __typename ... on AssetCheckEvaluationEvent { evaluation { checkName success } }
    } } }
  }
}"""


@dataclass(frozen=True)
class Desk:
    place: Place
    first: date
    last: date

    def write_settings(self, secret: str) -> None:
        """Write the `.env` that each run reads when it starts."""
        values = self.place.environment | {"SMS_API_SECRET": secret, "SMS_START_DATE": self.first.isoformat()}
        values |= {"SMS_BATCH_SIZE": "20"}
        lines = [f"{name}={value}" for name, value in values.items() if name.startswith("SMS_")]
        (self.place.folder / ".env").write_text("\n".join(lines))

    @property
    def days(self) -> list[str]:
        return [(self.first + timedelta(days=step)).isoformat() for step in range(DAYS)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened_place(tmp_path) as place:
        last = write_logs(place, 120, DAYS).date()
        desk = Desk(place, last - timedelta(days=DAYS - 1), last)
        desk.write_settings(WRONG)
        yield desk


def backfill(ui: DagsterUi, desk: Desk) -> dict[str, str]:
    """Ask for a backfill of all days as the UI does; return the status of each run that the daemon made of it."""
    params = {"partitionNames": desk.days, "assetSelection": [{"path": [name]} for name in PARTITIONED]}
    known = set(ui.runs())
    launched: dict[str, Any] = ui.ask(LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def ended() -> str | None:
        status: str = ui.ask(BACKFILL, id=launched["backfillId"])["partitionBackfillOrError"]["status"]
        return status if status.startswith(("COMPLETED", "FAILED", "CANCELED")) else None

    assert waited_for(ended)
    return {run: status for run, status in ui.runs().items() if run not in known}


def verdicts(ui: DagsterUi, run: str) -> list[bool]:
    """Return what the check on completeness found in a run."""
    events = ui.ask(VERDICTS, run=run)["runOrError"]["assetChecks"]["events"]
    found = [event["evaluation"] for event in events if event["__typename"] == "AssetCheckEvaluationEvent"]
    return [evaluation["success"] for evaluation in found if evaluation["checkName"] == COMPLETE]


def test_a_backfill_by_the_daemon_is_red_while_refused_and_green_once_the_env_file_is_corrected(desk: Desk) -> None:
    with running_ui(desk.place) as ui:
        ((refused, status),) = backfill(ui, desk).items()
        assert (status, verdicts(ui, refused)) == ("FAILURE", [False])
        desk.write_settings(SECRET)
        ((answered, status),) = backfill(ui, desk).items()
        assert (status, verdicts(ui, answered)) == ("SUCCESS", [True])


def materialize(desk: Desk, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `dagster asset materialize` in a shell on the place's folder."""
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "-m", "assets.definitions"]
    home = desk.place.folder / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environment = without_settings() | {"DAGSTER_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [*command, *arguments], cwd=desk.place.folder, env=environment, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize("select", ["delivery_reports", "*"])
def test_dagster_asset_materialize_ends_with_an_error_while_refused_and_well_afterwards(
    desk: Desk, select: str
) -> None:
    days = ("--partition-range", f"{desk.first}...{desk.last}")
    assert materialize(desk, "--select", "sent_messages", *days).returncode == 0
    refused = materialize(desk, "--select", select, *days)
    assert refused.returncode != 0
    assert "SMS_API_SECRET" in refused.stdout + refused.stderr
    assert SECRET not in refused.stdout + refused.stderr
    desk.write_settings(SECRET)
    answered = materialize(desk, "--select", select, *days)
    assert answered.returncode == 0, answered.stderr
    asked = {msg_id for call in desk.place.simulator.calls for msg_id in call.msg_ids}
    assert len(asked) == 120
