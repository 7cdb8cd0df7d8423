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
from assets.run_history import prune_runs, young_runs
from assets.sensors import build_sensors
from pipeline.model.settings import given_settings
from tests.support.alerts import Watch, receiving

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


def test_a_run_that_failed_under_a_clock_that_was_ahead_is_told_once(history: History, tmp_path: Path) -> None:
    """Before, it was told when its time came: after 30 days."""
    with receiving() as receiver:
        settings = given_settings(tmp_path, alert_webhook=receiver.url)
        (sensor,) = [each for each in build_sensors(settings, lambda: settings) if each.name == "run_failures"]
        watch = Watch(history.instance, sensor)
        run_id = history.run(NOW + timedelta(days=30), dg.DagsterRunStatus.FAILURE)
        for _ in range(3):
            watch.tick()
        assert [posted["run_id"] for posted in receiver.posted] == [run_id]
        later = history.run(datetime.now(UTC), dg.DagsterRunStatus.FAILURE)
        watch.an_hour_later()
        watch.tick()
        assert [posted["run_id"] for posted in receiver.posted] == [run_id, later]
