"""What is used of Dagster beyond its public interface still does what it is used for.

If one of these fails with a new version of Dagster, its docstring says what users lose and what to do; each function is
in `assets/internals.py` and nowhere else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData

from assets import internals
from assets.project import LOCATION, REFRESH
from pipeline.model.settings import environment_secret, load_settings, restore_environment, revealed
from tests.support.places import without_settings
from tests.support.postgres import binaries, instance_in, running_postgres
from tests.support.runs import origin

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def counted() -> None: ...


def materialize(instance: dg.DagsterInstance, key: str) -> str:
    return dg.materialize([counted], partition_key=key, instance=instance, run_config=QUIET).run_id


def test_the_latest_materialization_of_each_partition_is_found(tmp_path: Path) -> None:
    """Else maintenance would delete what shows a day as done: leave `prune_run_history` out until it is fixed."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        runs = [materialize(instance, key) for key in "aab"]
        found = internals.latest_materializations(instance, dg.AssetKey("counted"))
        assert {record.run_id for record in found} == set(runs[1:])


def test_the_event_file_of_a_run_is_deleted(tmp_path: Path) -> None:
    """Else a deleted run leaves 168 KB: look for the storage's new way to name the file, or drop the function."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run_id = materialize(instance, "a")
        assert list(tmp_path.rglob(f"{run_id}.db"))
        internals.delete_event_file(instance, run_id)
        assert not list(tmp_path.rglob(f"{run_id}.db*"))


def test_runs_of_the_command_line_are_recorded_under_the_code_location() -> None:
    """Else the timeline of the UI doesn't show them; they are recorded all the same."""
    with dg.DagsterInstance.ephemeral() as instance:
        internals.record_under_location(instance, REFRESH)
        run = instance.get_run_by_id(materialize(instance, "a"))
        assert run is not None
        assert run.remote_job_origin is not None
        assert run.remote_job_origin.location_name == LOCATION


def test_a_tick_learns_its_code_location_from_the_states_of_schedules(tmp_path: Path) -> None:
    """Else ticks tell runs apart by job and assets alone: enough unless another copy has the same prefix."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert internals.location_of_schedule(instance, REFRESH) is None
        for location, known in (("ours", "ours"), ("another", None)):
            place = RemoteInstigatorOrigin(origin(location, REFRESH).repository_origin, REFRESH)
            data = ScheduleInstigatorData("* * * * *", 0.0)
            state = InstigatorState(place, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
            instance.add_instigator_state(state)
            assert internals.location_of_schedule(instance, REFRESH) == known


POOLS = "concurrency: {pools: {granularity: op, default_limit: 1}}\n"


@pytest.mark.slow
@pytest.mark.skipif(binaries() is None, reason="needs PostgreSQL")
def test_runs_that_meet_a_new_pool_at_once_all_find_it_with_its_limit(tmp_path: Path) -> None:
    """Else a run on a new instance fails beside another one. If Dagster makes pools safely, drop ours."""
    with running_postgres() as server, instance_in(server, tmp_path, more=POOLS) as (instance, _):
        names = [f"pool_{number}" for number in range(20)]
        with ThreadPoolExecutor(4) as runs:
            list(runs.map(lambda _: internals.make_pools(instance, names), range(4)))
        assert {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()} == dict.fromkeys(
            names, 1
        )


DEFS = """
import os, dagster as dg
from assets.internals import environment_before_dagster
from pipeline.model.settings import restore_environment
before = os.environ.get("SMS_APP_ID"), os.environ.get("SMS_BATCH_SIZE")
restore_environment(environment_before_dagster() or {})
print("FOUND", *before, os.environ.get("SMS_APP_ID"), os.environ.get("SMS_BATCH_SIZE"), flush=True)
defs = dg.Definitions(assets=[dg.asset(name="nothing")(lambda: None)])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc; elsewhere a reload is needed")
def test_what_dagster_copied_from_the_env_file_is_told_from_the_environment(tmp_path: Path) -> None:
    """Else a corrected `.env` counts only after the UI was started again: see how Dagster's commands load `.env`."""
    (tmp_path / "defs.py").write_text(DEFS)
    (tmp_path / ".env").write_text("SMS_APP_ID=of_the_file\n")
    environment = without_settings()
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "--select", "nothing"]
    done = subprocess.run(
        [*command, "-f", "defs.py"],
        cwd=tmp_path,
        env=environment | {"SMS_BATCH_SIZE": "7", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "FOUND of_the_file 7 None 7" in done.stdout, done.stdout + done.stderr


def test_variables_that_were_not_given_are_taken_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMS_BATCH_SIZE", "7")
    monkeypatch.setenv("SMS_APP_ID", "stale")
    (tmp_path / ".env").write_text("SMS_APP_ID=corrected\nSMS_BATCH_SIZE=9\n")
    restore_environment({"SMS_BATCH_SIZE": "7", "PATH": "elsewhere"})
    settings = load_settings(folder=tmp_path)
    assert (settings.app_id, settings.batch_size) == ("corrected", 7)


def test_secrets_that_accounts_name_are_read_anew_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OF_THE_FILE", "OF_BOTH"):
        monkeypatch.setenv(name, "stale")  # as Dagster copied it from the file
    (tmp_path / ".env").write_text("OF_THE_FILE=corrected\nOF_BOTH=of-the-file\nDAGSTER_HOME=elsewhere\n")
    before = os.environ.get("DAGSTER_HOME")  # noqa: TID251 - of the tests
    restore_environment({"OF_BOTH": "of-the-environment"})
    secrets = [revealed(environment_secret(name)) for name in ("OF_THE_FILE", "OF_BOTH")]
    assert secrets == ["corrected", "of-the-environment"]
    assert os.environ.get("DAGSTER_HOME") == before  # noqa: TID251 - as above
