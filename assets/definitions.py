"""What Dagster loads: assets, checks, jobs, schedules and sensors put together.

Loading needs no setting and touches no file. `docs/dagster.md` shows how they become a part of somebody's instance.
"""

import contextlib
import time
from collections.abc import Callable
from datetime import timedelta

import dagster as dg

from assets.assets import build_assets
from assets.checks import build_checks
from assets.internals import environment_before_dagster
from assets.jobs import build_jobs
from assets.partitions import settings_for_loading
from assets.project import Project
from assets.resources import Workspace
from assets.run_health import DEAD_AFTER, Silence
from assets.schedules import REFRESH_CRON, build_schedules
from assets.sensors import build_sensors
from assets.shown_settings import given_workspace, shown_workspace
from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings, load_settings, restore_environment


def build_definitions(
    settings: Settings | None = None,
    workspace: Workspace | None = None,
    *,
    refresh_cron: str = REFRESH_CRON,
    dead_after: timedelta = DEAD_AFTER,
    ticks: Callable[[], float] = time.monotonic,
) -> dg.Definitions:
    """Put the definitions together; they merge with those of others.

    Args:
        settings: zone, first day, schedules and prefix; default: those of the environment and `.env`.
        workspace: what runs use; default: each run reads the environment and `.env` anew.
        refresh_cron: when the schedule ticks.
        dead_after: silence after which a run is taken for dead.
        ticks: the clock, in seconds, by which silence is measured.
    """
    if workspace is None and (given := environment_before_dagster()) is not None:
        with contextlib.suppress(SettingsError):  # a file that can't be read: runs say so
            restore_environment(given)
    settings = settings or settings_for_loading()
    resource = given_workspace(workspace) if workspace else shown_workspace(settings, dead_after=dead_after)
    silence = Silence(dead_after, ticks)
    project, load = Project.of(settings), workspace.load if workspace else load_settings
    return dg.Definitions(
        assets=build_assets(settings),
        asset_checks=build_checks(project),
        jobs=build_jobs(project),
        schedules=build_schedules(settings, load, silence, refresh_cron=refresh_cron),
        sensors=build_sensors(settings, load, silence),
        resources={"sms_workspace": resource},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of `workspace.yaml`: ours alone, so that runs by hand take one process, too."""
    return dg.Definitions.merge(build_definitions(), dg.Definitions(executor=dg.in_process_executor))
