"""Runs beside each other: pools, signs of life, dead runs, and a backfill's runs in the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import RepositoryPythonOrigin

from assets.backfill import STEP, backfill_config
from assets.cli.backfill import wait_for_all
from assets.definitions import build_definitions
from assets.internals import Origin, queue_run, record_under_location
from assets.partitions import range_of, range_tags
from assets.project import ASKING_POOL, BACKFILL, PART_OF, PUBLICATION_POOL, REFRESH, Project
from assets.resources import Workspace
from assets.run_health import DEAD_AFTER, others_at_work, seen_at_work
from pipeline.model.errors import RunFailed
from pipeline.model.settings import Settings, given_settings
from tests.support.runs import origin

TODAY = datetime.now(UTC).date()
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return given_settings(tmp_path, api_key="key", api_secret="secret", sent_logs="sent-{date}.jsonl")


class Ticks:
    """A clock that a test puts forward."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def definitions(settings: Settings, ticks: Ticks) -> dg.Definitions:
    return build_definitions(settings, Workspace(lambda: settings), ticks=ticks)


@contextmanager
def opened(home: Path, **config: object) -> Iterator[dg.DagsterInstance]:
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}, **config}))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with opened(tmp_path / "home") as instance:
        yield instance


@pytest.fixture(params=[{}, {"run_monitoring": {"enabled": True}}], ids=["plain", "watched"])
def instance(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dg.DagsterInstance]:
    with opened(tmp_path / "home", **request.param) as instance:
        yield instance


def test_one_step_asks_one_publishes_and_all_others_have_no_pool(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def(REFRESH)
    pools = {
        node.name: node.definition.pool for node in job.graph.nodes if isinstance(node.definition, dg.OpDefinition)
    }
    asking = {"delivery_reports", "account_balance"}
    publishing = {"analytics_db", "delivery_page"}
    assert {name for name, pool in pools.items() if pool == ASKING_POOL} == asking
    assert {name for name, pool in pools.items() if pool == PUBLICATION_POOL} == publishing
    assert {pool for name, pool in pools.items() if name not in asking | publishing} == {None}


def test_a_run_at_work_gives_signs_of_life_whatever_its_step_does(tmp_path: Path) -> None:
    """And whatever the instance leaves out of logs."""

    @dg.resource
    def alive(context: dg.InitResourceContext) -> Iterator[None]:
        with seen_at_work(context, dead_after=timedelta(seconds=0.5)):
            yield

    @dg.op(required_resource_keys={"alive"})
    def silent() -> None:
        time.sleep(0.5)

    @dg.job(resource_defs={"alive": alive})
    def long_job() -> None:
        silent()

    with opened(tmp_path / "home", python_logs={"python_log_level": "WARNING"}) as instance:
        result = long_job.execute_in_process(instance=instance, run_config=QUIET)
        said = [entry.message for entry in instance.all_logs(result.run_id)]
    assert said.count("the run is at work") >= 2


def make_run(instance: dg.DagsterInstance, status: str, tags: Mapping[str, str] | None = None) -> str:
    """Record a run of ours."""
    run = instance.create_run(
        job_name=REFRESH, run_id=None, run_config=None, status=dg.DagsterRunStatus(status), tags=tags,
        root_run_id=None, parent_run_id=None, step_keys_to_execute=None, execution_plan_snapshot=None,
        job_snapshot=None, parent_job_snapshot=None, asset_selection=None, asset_check_selection=None,
        resolved_op_selection=None, op_selection=None, remote_job_origin=origin("sms_delivery", REFRESH),
        job_code_origin=None, asset_graph=dg.Definitions().resolve_asset_graph(),
    )  # fmt: skip
    return run.run_id


def test_maintenance_knows_which_runs_other_machines_work_on(settings: Settings, plain: dg.DagsterInstance) -> None:
    project = Project.of(settings)
    run = plain.get_run_by_id(make_run(plain, "STARTED"))
    assert run is not None
    for status in ("SUCCESS", "QUEUED"):
        make_run(plain, status)
    assert others_at_work(plain, project, run, location="sms_delivery") == []
    other = make_run(plain, "STARTED")
    assert others_at_work(plain, project, run, location="sms_delivery") == [other]


def look(definitions: dg.Definitions, instance: dg.DagsterInstance) -> str | None:
    (sensor,) = [sensor for sensor in definitions.sensors or () if sensor.name == "dead_runs"]
    assert isinstance(sensor, dg.SensorDefinition)
    return sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).skip_message


def test_a_silent_run_is_ended_whether_or_not_dagster_watches_its_process(
    definitions: dg.Definitions, instance: dg.DagsterInstance, ticks: Ticks
) -> None:
    """Celery says of a run whose machine was lost that it has started; run monitoring believes it."""
    dead, alive = make_run(instance, "STARTED"), make_run(instance, "STARTED")
    assert look(definitions, instance) == "2 runs are under way"
    ticks.now += DEAD_AFTER.total_seconds() - 1
    assert look(definitions, instance) == "2 runs are under way"
    run = instance.get_run_by_id(alive)
    assert run is not None
    instance.report_engine_event("the run is at work", run)
    ticks.now += 1
    assert look(definitions, instance) == "1 runs are under way"
    statuses = {run_id: instance.get_run_by_id(run_id).status.value for run_id in (dead, alive)}  # type: ignore[union-attr]
    assert statuses == {dead: "FAILURE", alive: "STARTED"}


@pytest.mark.parametrize("status", ["QUEUED", "STARTING"])
def test_a_run_that_waits_for_a_worker_is_not_dead(
    definitions: dg.Definitions, instance: dg.DagsterInstance, ticks: Ticks, status: str
) -> None:
    run_id = make_run(instance, status)
    look(definitions, instance)
    ticks.now += DEAD_AFTER.total_seconds()
    look(definitions, instance)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    is_ours_to_end = status == "STARTING" and not instance.run_monitoring_enabled
    assert run.status.value == ("FAILURE" if is_ours_to_end else status)


@pytest.fixture
def launched(definitions: dg.Definitions, plain: dg.DagsterInstance) -> Callable[[date], dg.ExecuteInProcessResult]:
    """Run `delivery_backfill` up to today as if the daemon had launched it from our code location."""
    record_under_location(plain, BACKFILL)
    repository = definitions.get_repository_def()

    def run(first: date) -> dg.ExecuteInProcessResult:
        return repository.get_job(BACKFILL).execute_in_process(
            instance=plain, run_config=backfill_config(first, TODAY, days_per_run=2) | QUIET, raise_on_error=False
        )

    return run


def reason(result: dg.ExecuteInProcessResult) -> str:
    failure = result.failure_data_for_node(STEP)
    assert failure is not None
    assert failure.user_failure_data is not None
    return str(failure.user_failure_data.description)


def test_a_backfill_needs_a_run_that_dagster_launched(
    launched: Callable[[date], dg.ExecuteInProcessResult], plain: dg.DagsterInstance
) -> None:
    assert "was not launched from a code location" in reason(launched(TODAY - timedelta(days=3)))
    assert [run.job_name for run in plain.get_runs()] == [BACKFILL]


def test_the_command_counts_the_newest_run_of_each_part(
    plain: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part that failed may be run again in the UI, which copies its tags."""
    parent = make_run(plain, "SUCCESS")
    first, second = (range_tags(day, day) | {PART_OF: parent} for day in (TODAY - timedelta(days=1), TODAY))
    make_run(plain, "FAILURE", first)
    make_run(plain, "SUCCESS", first)
    make_run(plain, "SUCCESS", second)
    assert wait_for_all(plain, parent, 2) == 0
    assert capsys.readouterr().out.count("success") == 2


def test_a_run_is_queued_under_the_code_location(definitions: dg.Definitions, plain: dg.DagsterInstance) -> None:
    place = origin("sms_delivery", REFRESH).repository_origin
    code = RepositoryPythonOrigin("python", ModuleCodePointer("assets.definitions", "defs"))
    job = definitions.resolve_job_def(REFRESH)
    queue_run(plain, job, range_tags(TODAY - timedelta(days=1), TODAY) | {PART_OF: "a"}, Origin(place, code))
    (run,) = plain.get_runs()
    assert run.status.value == "QUEUED"
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == "sms_delivery"
    assert range_of(run.tags) == (TODAY - timedelta(days=1), TODAY)
    assert run.tags["sms_delivery/job"] == "true"
    assert run.tags["dagster/max_retries"] == "0"


def test_an_instance_without_a_queue_is_one_clear_line(definitions: dg.Definitions) -> None:
    place = origin("sms_delivery", REFRESH).repository_origin
    code = RepositoryPythonOrigin("python", ModuleCodePointer("assets.definitions", "defs"))
    with dg.DagsterInstance.ephemeral() as unqueued, pytest.raises(RunFailed, match="run_coordinator: has no queue"):
        queue_run(unqueued, definitions.resolve_job_def(REFRESH), {}, Origin(place, code))
