"""What this project uses of Dagster beyond its public interface, all in one place.

A new version of Dagster may change any of it; `tests/integration/assets/test_internals.py` says what fails then, and
what to do. What does not belong here: anything that has a public twin.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.instance.config import is_dagster_home_set
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from sqlalchemy.exc import DBAPIError

from assets.project import LOCATION
from pipeline.model.errors import RunFailed

__all__ = ["is_dagster_home_set"]
GUARDED_UI: Final = "assets.cli.guarded_ui"
"""Module that is started in place of Dagster's commands, whose webserver it guards."""
WORKSPACE: Final = f"load_from: [{{python_module: {{module_name: assets.definitions, location_name: {LOCATION}}}}}]\n"
"""A workspace of this package alone."""
_PAGE = 100
_QUEUE_SILENT_SECONDS = 300.0
"""Time without a heartbeat after which the daemon of the queue is not at work; it writes one each 30 s."""
_FEW_WORDS = 4
"""Words of a command line among which Dagster's name is looked for: python, -m, dagster, dev."""


def location_of_schedule(instance: dg.DagsterInstance, name: str) -> str | None:
    """Return the code location whose schedule has a name; None if none or several are known. A tick isn't told it."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    found = {
        state.origin.repository_origin.code_location_origin.location_name
        for state in states
        if state.instigator_name == name
    }
    return found.pop() if len(found) == 1 else None


def record_under_location(instance: dg.DagsterInstance, job_name: str) -> None:
    """Record runs of this process under our code location: the UI's timeline shows no others."""
    target = LoadableTargetOrigin(module_name="assets.definitions")
    repository = RemoteRepositoryOrigin(
        ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION), repository_name="__repository__"
    )
    create = partial(instance.create_run_for_job, remote_job_origin=RemoteJobOrigin(repository, job_name))
    vars(instance)["create_run_for_job"] = create


@dataclass(frozen=True)
class Origin:
    """The code location that a run came from, as the instance and as a worker know it."""

    repository: RemoteRepositoryOrigin
    code: RepositoryPythonOrigin


def origin_of(run: dg.DagsterRun) -> Origin:
    """Return where a run came from.

    Raises:
        RunFailed: it was not launched from a code location.
    """
    if run.remote_job_origin is None or run.job_code_origin is None:
        raise RunFailed(f"{run.job_name}: was not launched from a code location; start it in the UI")
    return Origin(run.remote_job_origin.repository_origin, run.job_code_origin.repository_origin)


def queue_run(instance: dg.DagsterInstance, job: dg.JobDefinition, tags: Mapping[str, str], origin: Origin) -> str:
    """Queue a run of a job of a code location; return its id.

    Raises:
        RunFailed: the instance has no queue.
    """
    coordinator = instance.run_coordinator
    if not isinstance(coordinator, QueuedRunCoordinator):
        raise RunFailed("dagster.yaml: run_coordinator: has no queue; leave the default, QueuedRunCoordinator")
    run = instance.create_run_for_job(
        job,
        tags={**job.run_tags, **tags},
        remote_job_origin=RemoteJobOrigin(origin.repository, job.name),
        job_code_origin=JobPythonOrigin(job.name, origin.code),
    )
    coordinator.submit_run(SubmitRunContext(run, workspace=cast("Any", None)))  # the queue looks at no workspace
    return run.run_id


def launch_job(instance: dg.DagsterInstance, job: str, config: Mapping[str, Any], *, workspace: Path | None) -> str:
    """Submit a run of a job as `dagster job launch` does; return its id. `workspace` None means this package."""
    # One command alone needs these.
    from dagster._cli import job as commands  # noqa: PLC0415
    from dagster._cli.workspace import cli_target  # noqa: PLC0415
    from dagster_shared.cli import WorkspaceOpts  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        if workspace is None:
            workspace = Path(folder, "workspace.yaml")
            workspace.write_text(WORKSPACE, "utf-8")
        options = WorkspaceOpts(workspace=[str(workspace)])
        with cli_target.get_workspace_from_cli_opts(
            instance, version=dg.__version__, workspace_opts=options, log_level="WARNING"
        ) as loaded:
            name = LOCATION if LOCATION in loaded.code_location_names else None  # the only one, whatever its name
            location = cli_target.get_code_location_from_workspace(loaded, name)
            repository = cli_target.get_remote_repository_from_code_location(location, None)
            run: dg.DagsterRun = commands._create_run(  # noqa: SLF001
                instance=instance,
                code_location=location,
                remote_repo=repository,
                remote_job=cli_target.get_remote_job_from_remote_repo(repository, job),
                run_config=config,
                tags={},
                op_selection=None,
                run_id=None,
            )
            instance.submit_run(run.run_id, loaded)
    return run.run_id


def make_pools(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Give pools that nobody has set the default limit of the instance, before a step looks at them.

    Dagster does so when a step first meets a pool, and takes a pool for new that another run made meanwhile; in
    Postgres that fails the run (`InFailedSqlTransaction`).
    """
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits or instance.global_op_concurrency_default_limit is None:
        return
    known = {pool.name for pool in storage.get_pool_limits()}
    for name in sorted(set(names) - known):
        try:
            storage.initialize_concurrency_limit_to_default(name)
        except DBAPIError:
            if name not in {pool.name for pool in storage.get_pool_limits()}:  # else another run was quicker
                raise


def is_queue_served(instance: dg.DagsterInstance) -> bool:
    """Say whether a daemon takes runs off the instance's queue."""
    beat = instance.get_daemon_heartbeats().get("QUEUED_RUN_COORDINATOR")
    return beat is not None and time.time() - beat.timestamp < _QUEUE_SILENT_SECONDS


def latest_materializations(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[dg.EventLogRecord]:
    """Yield the latest materialization of each partition of an asset."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    ids = sorted(set(instance.event_log_storage.get_latest_storage_id_by_partition(key, kind).values()))
    for start in range(0, len(ids), _PAGE):
        found = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + _PAGE])
        yield from instance.fetch_materializations(found, limit=_PAGE).records


def delete_event_file(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete the event file that SQLite's storage keeps for each run; other storages have none."""
    if path_of := getattr(instance.event_log_storage, "path_for_shard", None):
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(path_of(run_id) + suffix).unlink(missing_ok=True)


def environment_before_dagster() -> dict[str, str] | None:
    """Return the environment that the outermost Dagster command was started with; None without one, or without /proc.

    Dagster's commands copy the `.env` of the working directory over it, for themselves and all processes they start.
    """
    commands = [process for process in _ancestors(os.getpid()) if _is_dagster(process)]
    if not commands:
        return None
    entries = os.fsdecode((commands[-1] / "environ").read_bytes()).split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def _ancestors(pid: int) -> Iterator[Path]:
    """Yield the folders in /proc of a process and of those above it that may be read."""
    while pid > 1:
        process = Path("/proc", str(pid))
        try:
            status = (process / "stat").read_text()
            (process / "environ").read_bytes()
        except OSError:
            return
        yield process
        pid = int(status.rpartition(")")[2].split()[1])


def _is_dagster(process: Path) -> bool:
    words: Iterable[str] = os.fsdecode((process / "cmdline").read_bytes()).split("\0")[:_FEW_WORDS]
    return any(Path(word).name.startswith("dagster") or Path(word).name in {"dg", GUARDED_UI} for word in words)


def run_dev(arguments: Sequence[str]) -> None:
    """Run `dagster dev`, whose webserver is started by `GUARDED_UI`."""
    from dagster._cli import dev  # noqa: PLC0415 - the UI's process alone needs it

    names: dict[str, Any] = vars(dev)
    start, webserver = names["open_ipc_subprocess"], [sys.executable, "-m", "dagster_webserver"]

    def start_guarded(parts: Sequence[str], **options: Any) -> Any:
        if list(parts[:3]) == webserver:
            return start([sys.executable, "-P", "-m", GUARDED_UI, "webserver", *parts[3:]], **options)
        if any("webserver" in part for part in parts):
            raise RuntimeError("Dagster starts its webserver in another way, which has no guard: pin its version")
        return start(parts, **options)

    names["open_ipc_subprocess"] = start_guarded
    dev.dev_command(list(arguments))


def run_webserver(guard: Callable[[Any], Any]) -> None:
    """Run `dagster-webserver` with the arguments of this process; `guard` is put around its ASGI application."""
    from dagster_webserver import cli  # noqa: PLC0415 - the UI's process alone needs it

    names: dict[str, Any] = vars(cli)
    make = names["create_app_from_workspace_process_context"]
    names["create_app_from_workspace_process_context"] = lambda *given, **named: guard(make(*given, **named))
    names["main"]()
