"""An instance that others use too: nothing of theirs is ended, pruned, posted or selected; their names stay free."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import build_definitions
from assets.project import ASSETS, MAINTENANCE, REFRESH, REFRESHED, Project
from assets.resources import Workspace
from assets.run_health import DEAD_AFTER, Silence
from assets.run_history import prune_runs
from assets.sensors import build_sensors
from pipeline.model.settings import Settings, given_settings
from tests.support.alerts import Receiver, Watch, receiving
from tests.support.postgres import binaries, execute, instance_in, running_postgres
from tests.support.runs import origin

NOW = datetime.now(UTC)
SILENT_SINCE = NOW - DEAD_AFTER - timedelta(days=40)
STARTED, FAILURE, SUCCESS = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@dataclass
class Shared:
    """An instance with runs of ours and of strangers, all of them old and silent."""

    instance: dg.DagsterInstance
    settings: Settings
    make_old: Callable[[], None]
    ticks: float = 0.0

    @cached_property
    def schedule(self) -> dg.ScheduleDefinition:
        workspace = Workspace(lambda: self.settings)
        return build_definitions(self.settings, workspace, ticks=lambda: self.ticks).resolve_schedule_def(REFRESH)

    def run(
        self, status: dg.DagsterRunStatus, job: str, *, assets: tuple[str, ...] = (), location: str | None = None
    ) -> str:
        keys = frozenset(dg.AssetKey(name) for name in assets)
        created = self.instance.create_run(
            job_name=job, run_id=None, run_config=None, status=status, tags=None, root_run_id=None, parent_run_id=None,
            step_keys_to_execute=None, execution_plan_snapshot=None, job_snapshot=None, parent_job_snapshot=None,
            asset_selection=keys or None, asset_check_selection=None, resolved_op_selection=None, op_selection=None,
            remote_job_origin=origin(location, job) if location else None, job_code_origin=None,
            asset_graph=dg.Definitions(assets=[dg.AssetSpec(key) for key in keys]).resolve_asset_graph(),
        )  # fmt: skip
        return created.run_id

    def strangers(self, status: dg.DagsterRunStatus) -> list[str]:
        return [
            self.run(status, "train", location="theirs"),
            self.run(status, "train"),
            self.run(status, MAINTENANCE, location="theirs"),
            self.run(status, MAINTENANCE),
            self.run(status, "__ASSET_JOB", assets=("features", "model"), location="theirs"),
            self.run(status, "__ASSET_JOB", assets=("features", "messages")),
        ]

    def ours(self, status: dg.DagsterRunStatus) -> list[str]:
        return [
            self.run(status, REFRESH, location="sms_delivery"),
            self.run(status, REFRESH),
            self.run(status, "__ASSET_JOB", assets=("messages",), location="sms_delivery"),
        ]

    def status(self, run_id: str) -> dg.DagsterRunStatus | None:
        run = self.instance.get_run_by_id(run_id)
        return run.status if run else None


@contextlib.contextmanager
def in_sqlite(folder: Path) -> Iterator[Shared]:
    def make_old() -> None:
        (path,) = folder.rglob("runs.db")
        with contextlib.closing(sqlite3.connect(path)) as history, history:
            history.execute("UPDATE runs SET create_timestamp = ?", (f"{SILENT_SINCE:%Y-%m-%d %H:%M:%S.%f}",))

    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield Shared(instance, _settings(folder), make_old)


@contextlib.contextmanager
def in_postgres(folder: Path, server: str) -> Iterator[Shared]:
    with instance_in(server, folder) as (instance, database):
        made_old = "UPDATE runs SET create_timestamp = :since"
        yield Shared(instance, _settings(folder), lambda: execute(database, made_old, since=SILENT_SINCE))


def _settings(folder: Path) -> Settings:
    return given_settings(folder, api_key="key", api_secret="secret", sent_logs="sent-{date}.jsonl")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    if binaries() is None:
        pytest.skip("needs PostgreSQL's server")
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shared]:
    before = os.umask(0o077)
    in_postgres_or_not = (
        in_postgres(tmp_path, request.getfixturevalue("postgres"))
        if request.param == "postgres"
        else in_sqlite(tmp_path)
    )
    with in_postgres_or_not as shared:
        yield shared
    os.umask(before)


def tick(shared: Shared) -> str:
    with dg.build_schedule_context(instance=shared.instance, scheduled_execution_time=NOW) as context:
        return shared.schedule.evaluate_tick(context).skip_message or ""


def test_a_tick_leaves_silent_runs_of_others_alone_and_is_not_held_up_by_them(shared: Shared) -> None:
    theirs = shared.strangers(STARTED)
    assert tick(shared).startswith("nothing to do")
    shared.ticks += DEAD_AFTER.total_seconds()
    assert tick(shared).startswith("nothing to do")
    assert {shared.status(run_id) for run_id in theirs} == {STARTED}
    ours = shared.ours(STARTED)
    assert "is under way" in tick(shared)
    shared.ticks += DEAD_AFTER.total_seconds()
    assert tick(shared).startswith("nothing to do")
    assert {shared.status(run_id) for run_id in ours} == {FAILURE}
    assert {shared.status(run_id) for run_id in theirs} == {STARTED}


@pytest.mark.parametrize("location", [None, "sms_delivery"])
def test_pruning_deletes_our_old_runs_and_none_of_theirs(shared: Shared, location: str | None) -> None:
    theirs, ours = shared.strangers(SUCCESS), shared.ours(FAILURE)
    shared.make_old()
    assert prune_runs(shared.instance, Project(), before=NOW, location=location) == len(ours)
    assert all(shared.instance.has_run(run_id) for run_id in theirs)
    assert not any(shared.instance.has_run(run_id) for run_id in ours)


def test_pages_full_of_strangers_hide_none_of_our_runs(shared: Shared) -> None:
    ours = shared.run(SUCCESS, REFRESH)
    for _ in range(120):
        shared.run(SUCCESS, "train", location="theirs")
    found = Project().runs(shared.instance, dg.RunsFilter(), location=None)
    assert [record.dagster_run.run_id for record in found] == [ours]


def test_another_copy_of_ours_in_the_instance_is_told_apart_by_location_and_prefix(shared: Shared) -> None:
    run = shared.instance.get_run_by_id(shared.run(SUCCESS, REFRESH, location="sms_of_sales"))
    assert run is not None
    assert Project().owns(run, location="sms_of_sales")
    assert not Project().owns(run, location="sms_delivery")
    assert not Project("sales").owns(run, location="sms_of_sales")


def test_alerts_speak_for_our_runs_alone(shared: Shared) -> None:
    with receiving() as receiver:
        watch = _watch(shared, receiver)
        theirs, ours = shared.strangers(STARTED), shared.ours(STARTED)
        for run_id in (*theirs, *ours):
            run = shared.instance.get_run_by_id(run_id)
            assert run is not None
            shared.instance.report_run_failed(run, f"of {run.job_name}")
        watch.tick()
        assert {posted["run_id"] for posted in receiver.posted} <= set(ours)
        assert receiver.posted


def _watch(shared: Shared, receiver: Receiver) -> Watch:
    settings = given_settings(shared.settings.lake.parent, alert_webhook=receiver.url)
    (sensor,) = [s for s in build_sensors(settings, lambda: settings, Silence()) if s.name == "run_failures"]
    return Watch(shared.instance, sensor)


def host(**more: object) -> dg.Definitions:
    """Return the definitions of somebody who uses the same words."""

    @dg.asset(group_name="features")
    def features() -> None: ...

    @dg.op
    def sweep() -> None: ...

    @dg.job(name="maintenance")
    def maintenance() -> None:
        sweep()

    jobs = [maintenance] if "maintenance" in more else []
    return dg.Definitions(
        assets=[features], jobs=jobs, resources={"workspace": "theirs"}, executor=dg.multiprocess_executor
    )


def test_our_job_takes_none_of_the_assets_that_it_is_merged_with(shared: Shared) -> None:
    merged = dg.Definitions.merge(host(), build_definitions(shared.settings))
    job = merged.resolve_job_def(REFRESH)
    assert set(job.asset_layer.selected_asset_keys) == {dg.AssetKey(name) for name in REFRESHED}


def test_with_a_prefix_every_name_is_free_for_the_host(shared: Shared) -> None:
    settings = shared.settings.model_copy(update={"asset_prefix": "acme"})
    merged = dg.Definitions.merge(host(maintenance=True), build_definitions(settings))
    repository = merged.get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= {"acme_delivery_refresh", "acme_maintenance", MAINTENANCE}
    names = {"acme_delivery_refresh", "acme_delivery_reconcile", "acme_maintenance"}
    assert {schedule.name for schedule in repository.schedule_defs} == names
    assert {sensor.name for sensor in repository.sensor_defs} >= {"acme_run_failures", "acme_check_failures"}
    graph = merged.resolve_asset_graph()
    keys = {dg.AssetKey(["acme", name]) for name in ASSETS}
    assert keys < graph.get_all_asset_keys()
    assert {graph.get(key).group_name for key in keys} == {"acme_sms_delivery"}
