"""Dagster's history under a clock that jumped, either way: nothing is lost, and nothing is told twice or never."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.project import REFRESH, Project
from assets.run_health import Silence
from assets.run_history import prune_runs, young_runs
from assets.sensors import build_sensors
from pipeline.model.settings import given_settings
from tests.support.alerts import Receiver, Watch, receiving

NOW = datetime.now(UTC)


class History:
    """An instance in a folder, whose runs get the times that a test wants."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance

    def run(self, at: datetime, status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS) -> str:
        """Record a run of ours that was made, and ended, at an instant of the clock then."""
        run = self.instance.create_run_for_job(_job(), status=dg.DagsterRunStatus.STARTED)
        if status is dg.DagsterRunStatus.FAILURE:
            self.instance.report_run_failed(run, "it broke")
        (path,) = self.folder.rglob("runs.db")
        stamp = f"{at:%Y-%m-%d %H:%M:%S.%f}"
        with contextlib.closing(sqlite3.connect(path)) as history, history:
            history.execute(
                "UPDATE runs SET create_timestamp = ?, update_timestamp = ?, status = ? WHERE run_id = ?",
                (stamp, stamp, status.value, run.run_id),
            )
        (path,) = self.folder.rglob("index.db")
        with contextlib.closing(sqlite3.connect(path)) as history, history:
            history.execute("UPDATE event_logs SET timestamp = ? WHERE run_id = ?", (stamp, run.run_id))
        return run.run_id

    def prune(self, now: datetime, days: float = 30) -> int:
        """Prune as the maintenance does when the clock says `now`."""
        young = young_runs(self.instance, Project(), now=now, days=days, location=None)
        before = now - timedelta(days=days)
        return prune_runs(self.instance, Project(), before=before, location=None, spared=young)


def _job() -> dg.JobDefinition:
    @dg.op
    def nothing() -> None: ...

    @dg.job(name=REFRESH)
    def refresh() -> None:
        nothing()

    return refresh


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        yield History(tmp_path / "home", instance)


@pytest.mark.parametrize("jump", [timedelta(days=40), timedelta(days=29), timedelta(days=-40)])
def test_a_clock_that_jumps_prunes_no_run_that_was_young_before(history: History, jump: timedelta) -> None:
    """Before, one maintenance under a clock 40 days ahead deleted the whole history."""
    young = [history.run(NOW - timedelta(days=days)) for days in range(25, 0, -1)]
    of_jump = history.run(NOW + jump)
    assert history.prune(NOW + jump) == 0
    assert all(history.instance.has_run(run_id) for run_id in (*young, of_jump))
    assert history.prune(NOW) == 0


def test_runs_that_are_old_go_whatever_the_clock_said_once(history: History) -> None:
    old = [history.run(NOW - timedelta(days=days)) for days in range(45, 35, -1)]
    young = [history.run(NOW - timedelta(days=days)) for days in range(29, -1, -1)]
    assert history.prune(NOW) == len(old)
    assert all(history.instance.has_run(run_id) for run_id in young)


class Alerts:
    """The sensor of failed runs of a history, and what it posts."""

    def __init__(self, history: History, receiver: Receiver) -> None:
        settings = given_settings(history.folder, alert_webhook=receiver.url)
        (sensor,) = [
            each for each in build_sensors(settings, lambda: settings, Silence()) if each.name == "run_failures"
        ]
        self.history, self.receiver, self.watch = history, receiver, Watch(history.instance, sensor)

    def fail(self, at: datetime) -> str:
        """Record a run that failed when the clock said an instant, an hour after what was posted before."""
        self.watch.an_hour_later()
        return self.history.run(at, dg.DagsterRunStatus.FAILURE)

    def told(self) -> list[str]:
        """Let the sensor tick three times; return the runs that were posted."""
        for _ in range(3):
            self.watch.tick()
        return [posted["run_id"] for posted in self.receiver.posted]


@pytest.fixture
def alerts(history: History) -> Iterator[Alerts]:
    with receiving() as receiver:
        yield Alerts(history, receiver)


@pytest.mark.parametrize("jump", [timedelta(days=30), timedelta(days=-30), timedelta(hours=-2)])
def test_a_run_that_failed_under_a_wrong_clock_is_told_once_and_so_is_the_next(alerts: Alerts, jump: timedelta) -> None:
    """Before, it was told after 30 days if the clock was fast, and never if it was slow."""
    failed = alerts.fail(NOW + jump)
    assert alerts.told() == [failed]
    later = alerts.fail(datetime.now(UTC))
    assert alerts.told() == [failed, later]


def test_what_was_remembered_by_an_earlier_version_is_read_and_a_new_history_is_looked_at(alerts: Alerts) -> None:
    failed = alerts.fail(NOW + timedelta(days=1))
    alerts.watch.remember({"since": NOW.timestamp(), "ahead": ["another run"]})
    assert alerts.told() == [failed]
    alerts.watch.remember({"since": NOW.timestamp(), "seen": {"PIPELINE_FAILURE": 999, "PIPELINE_SUCCESS": 999}})
    assert alerts.told() == [failed, failed]


def test_failures_are_not_told_again_when_the_newest_is_pruned(alerts: Alerts) -> None:
    runs = [alerts.fail(datetime.now(UTC)) for _ in range(2)]
    before = alerts.told()
    alerts.history.instance.delete_run(runs[1])
    alerts.watch.an_hour_later()
    assert alerts.told() == before
    later = alerts.fail(datetime.now(UTC))
    assert alerts.told() == [*before, later]


def test_a_webhook_that_is_down_for_an_hour_loses_the_alert_and_holds_no_other_up(alerts: Alerts) -> None:
    alerts.fail(NOW)
    alerts.receiver.status = 500
    for _ in range(60):
        alerts.watch.tick()
    alerts.receiver.posted.clear()
    alerts.receiver.status = 200
    assert alerts.told() == []
    later = alerts.fail(NOW)
    assert alerts.told() == [later]
