"""What Dagster loads: assets, checks, jobs, schedules and sensors put together.

Loading needs no setting and touches no file.
"""

import dagster as dg

from assets.assets import build_assets
from assets.checks import audit, run_outcome
from assets.jobs import maintenance, refresh
from assets.partitions import settings_for_loading
from assets.resources import Workspace
from assets.schedules import REFRESH_CRON, build_schedules
from assets.sensors import build_sensors
from pipeline.model.settings import Settings


def build_definitions(settings: Settings, workspace: Workspace, *, refresh_cron: str = REFRESH_CRON) -> dg.Definitions:
    """Put the definitions together for some settings (zone, first day, schedules) and a workspace."""
    return dg.Definitions(
        assets=build_assets(settings),
        asset_checks=[audit, run_outcome],
        jobs=[refresh, maintenance],
        schedules=build_schedules(settings, workspace.load, refresh_cron=refresh_cron),
        sensors=build_sensors(settings, workspace.load),
        resources={"workspace": workspace},
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of `workspace.yaml`."""
    return build_definitions(settings_for_loading(), Workspace())
