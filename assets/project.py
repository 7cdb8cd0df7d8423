"""What is ours in a Dagster instance that others may use too: names, asset keys, and which runs are ours.

What belongs here: `SMS_ASSET_PREFIX`, and the one rule that everything goes by that looks at runs. What does not: what
is done with them (`schedules.py`, `run_history.py`, `sensors.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from pipeline.model.settings import Settings
from pipeline.model.tables import LAKE_TABLES, RATE_PUBLICATIONS, RECORD_TABLES

REFRESH: Final = "delivery_refresh"
RECONCILE: Final = "delivery_reconcile"
MAINTENANCE: Final = "maintenance"
BACKFILL: Final = "delivery_backfill"
PART_OF: Final = "sms_delivery/backfill"
"""Tag of the runs of a backfill: the run of `delivery_backfill` that queued them."""
RUN_TAGS: Final = {
    "sms_delivery/job": "true",
    "dagster/max_retries": "0",
    "dagster/retry_on_asset_or_op_failure": "false",
}
"""Tags of the runs of our jobs. A failure is reported once; the next run does what is missing. No run is retried,
whatever the instance does with others': a copy of a part of a backfill, or of what queues them, would double work."""
ASKING_POOL: Final = "sms_delivery_asking"
"""Pool of the steps that ask the platform. Its limit must be 1: SMS_MAX_REQUESTS_PER_SECOND is kept by each process."""
PUBLICATION_POOL: Final = "sms_delivery_publication"
"""Pool of the steps that write the published file and the page. Its limit must be 1; other steps run side by side."""
LOCATION: Final = "sms_delivery"
"""Name of the code location in `workspace.yaml`."""
ASSETS: Final = (*(table.name for table in LAKE_TABLES), "delivery_rates", "analytics_db", "delivery_page")
_RECORD: Final = tuple(table.name for table in RECORD_TABLES)
REFRESHED: Final = tuple(name for name in ASSETS if name not in _RECORD)
"""Assets of the job `delivery_refresh`."""
RECONCILED: Final = (*_RECORD, RATE_PUBLICATIONS.name, "analytics_db", "delivery_page")
"""Assets of the job `delivery_reconcile`."""
NOTHING_UNREAD: Final = "nothing to read: the record of each day on which no message is under way was read"
_PAGE: Final = 100


@dataclass(frozen=True)
class Project:
    """Our names. The prefix of assets is a part of their key; that of groups, jobs, schedules and sensors, of the name.

    Attributes:
        prefix: SMS_ASSET_PREFIX; empty for none.
    """

    prefix: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Project":
        """Return the project with the prefix of the settings."""
        return cls(settings.asset_prefix or "")

    def named(self, name: str) -> str:
        """Return the name of a group, job, schedule, sensor or op."""
        return f"{self.prefix}_{name}" if self.prefix else name

    def key(self, name: str) -> dg.AssetKey:
        """Return the key of an asset."""
        return dg.AssetKey([self.prefix, name] if self.prefix else name)

    def keys(self, *names: str) -> list[dg.AssetKey]:
        """Return the keys of some assets."""
        return [self.key(name) for name in names]

    def owns(self, run: dg.DagsterRun, *, location: str | None) -> bool:
        """Say whether a run is ours: of one of our jobs, or of our assets alone.

        Runs started in a process of their own have no code location. `maintenance` is anybody's word, so that a run of
        that name also needs our code location or our tag.

        Args:
            run: a run of the instance.
            location: our code location; None if it is unknown.
        """
        origin = run.remote_job_origin.location_name if run.remote_job_origin else None
        if origin and location and origin != location:
            return False
        if run.job_name == self.named(MAINTENANCE):
            return bool(origin and location) or run.tags.get("sms_delivery/job") == "true"
        jobs = {self.named(name) for name in (REFRESH, RECONCILE, BACKFILL)}
        return run.job_name in jobs or self._holds(assets_of(run))

    def runs(
        self, instance: dg.DagsterInstance, wanted: dg.RunsFilter, *, location: str | None
    ) -> Iterator[dg.RunRecord]:
        """Yield our runs of an instance, newest first."""
        cursor: str | None = None
        while page := instance.get_run_records(wanted, limit=_PAGE, cursor=cursor):
            yield from (record for record in page if self.owns(record.dagster_run, location=location))
            cursor = page[-1].dagster_run.run_id

    def _holds(self, keys: Sequence[dg.AssetKey]) -> bool:
        return bool(keys) and set(keys) <= set(self.keys(*ASSETS))


def assets_of(run: dg.DagsterRun) -> list[dg.AssetKey]:
    """Return the assets that a run was started for, by themselves or for a check; none for a whole job."""
    checked = [check.asset_key for check in run.asset_check_selection or ()]
    return sorted({*(run.asset_selection or ()), *checked})


def job_words(run: dg.DagsterRun) -> str:
    """Return what was run as a person knows it: the job, or the assets that were materialized by hand."""
    names = [key.to_user_string() for key in assets_of(run)]
    return f"materialization of {', '.join(names)}" if names else run.job_name


def record_config(project: Project, *, only_unread: bool) -> dict[str, Any]:
    """Return the run config of `delivery_reconcile`."""
    return {"ops": {project.named("platform_record"): {"config": {"only_unread": only_unread}}}}
