"""Run config of the job: what a person sets in the launchpad reaches the API, and the run says what it left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import checks
from assets.definitions import build_definitions
from assets.partitions import RANGE_END, RANGE_START
from assets.project import REFRESH
from assets.resources import Workspace
from pipeline.api.simulator.sample_logs import write_sent_logs
from pipeline.api.simulator.server import SimulatorOptions, running
from pipeline.maintain.audits.context import AuditContext, Finding, opened_context
from pipeline.maintain.audits.platform_record import logs_complete
from pipeline.maintain.audits.registry import AUDITS
from pipeline.model.errors import LakeError
from pipeline.model.settings import given_settings

Run = Callable[..., dict[str, Any]]
NOW = datetime.now(UTC)
OLD, TODAY = NOW.date() - timedelta(days=95), NOW.date()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run the job over some days with a config; return the metadata of its answers and its log."""
    before = os.umask(0o077)
    write_sent_logs(tmp_path, messages=60, days=[OLD, TODAY], now=NOW, app_id="app")
    options = SimulatorOptions(api_key="key", api_secret="secret")
    with running(options) as simulator, dg.DagsterInstance.ephemeral() as instance:
        settings = given_settings(
            tmp_path, api_base_url=simulator.base_url, api_key="key", api_secret="secret",
            sent_logs="sent-{date}.jsonl", batch_size=10, start_date=OLD,
        )  # fmt: skip
        job = build_definitions(settings, Workspace(lambda: settings)).resolve_job_def(REFRESH)

        def execute(day: date, **config: Any) -> dict[str, Any]:
            calls = len(simulator.calls)
            result = job.execute_in_process(
                instance=instance,
                tags={RANGE_START: day.isoformat(), RANGE_END: day.isoformat()},
                run_config={
                    "ops": {"delivery_reports": {"config": config}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )
            metadata = result.asset_materializations_for_node("delivery_reports")[-1].metadata
            log = [entry.user_message for entry in instance.all_logs(result.run_id)]
            return {"log": log, "calls": len(simulator.calls) - calls} | {k: v.value for k, v in metadata.items()}

        yield execute
    os.umask(before)


@pytest.mark.slow
def test_run_config_limits_calls_and_apps_and_old_days_are_not_asked_for(run: Run) -> None:
    found = run(OLD)
    assert (found["calls"], found["left_to_next_run"], found["days_beyond_memory"]) == (0, 0, 1)
    (line,) = [line for line in found["log"] if "not asked for" in line]
    assert line.startswith(f"1 days ({OLD} to {OLD}) were not asked for: the platform remembers 90")
    assert run(TODAY, apps=["another"])["calls"] == 0
    found = run(TODAY, max_requests=2)
    assert (found["calls"], found["left_to_next_run"], found["days_beyond_memory"]) == (2, 10, 0)
    assert [line for line in found["log"] if line.startswith("10 messages that are due were left")]
    found = run(TODAY)
    assert (found["calls"], found["left_to_next_run"]) == (1, 0)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Return what Dagster records of checks: the name, and whether an audit's tables were open at that moment."""
    found: list[tuple[str, bool]] = []
    is_open: list[bool] = []
    opened, handle = opened_context, dg.DagsterInstance.handle_new_event

    @contextmanager
    def watched(*args: Any, **more: Any) -> Iterator[AuditContext]:
        is_open.append(True)
        try:
            with opened(*args, **more) as context:
                yield context
        finally:
            is_open.pop()

    def noting(instance: dg.DagsterInstance, event: dg.EventLogEntry, **more: Any) -> None:
        logged = event.dagster_event
        if logged and logged.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found.append((logged.asset_check_evaluation_data.check_name, bool(is_open)))
        handle(instance, event, **more)

    monkeypatch.setattr(checks, "opened_context", watched)
    monkeypatch.setattr(dg.DagsterInstance, "handle_new_event", noting)
    return found


def test_tables_are_closed_before_dagster_gets_the_result_of_an_audit(
    run: Run, evaluated: list[tuple[str, bool]]
) -> None:
    """A signal that comes then would leave it open for good, and DuckDB complain at the end of the process."""
    run(TODAY)
    audits = [name for name in AUDITS if name != logs_complete.__name__]  # of another job
    assert evaluated == [(name, False) for name in (checks.COMPLETE, *audits)]


def test_results_of_earlier_audits_survive_an_audit_that_fails(
    run: Run, evaluated: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Finding:
        raise LakeError("the lake has gone")

    monkeypatch.setattr(
        checks, "AUDITS", dict(AUDITS) | {"each_message_once": replace(AUDITS["each_message_once"], run=fail)}
    )
    with pytest.raises(dg.Failure, match="the lake has gone"):
        run(TODAY)
    assert [name for name, _ in evaluated][1:] == ["rejected_share", "answers_reconcile", "nothing_overdue"]
