"""Run the job inside this process, against a place's simulator, in a Dagster instance that tests read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from assets.definitions import build_definitions
from assets.partitions import range_tags
from assets.project import REFRESH
from assets.resources import Workspace
from pipeline.model.settings import Settings, given_settings
from tests.support.places import KEY, SECRET, Place


@dataclass(frozen=True)
class Recorded:
    """A Dagster instance that records runs, and the settings of these runs."""

    instance: dg.DagsterInstance
    settings: Settings

    def run(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        """Run the job over a range of days; it may fail."""
        return (
            build_definitions(self.settings, Workspace(lambda: self.settings))
            .resolve_job_def(REFRESH)
            .execute_in_process(
                instance=self.instance,
                tags=range_tags(first, last),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                raise_on_error=False,
            )
        )

    def materializations(self, run_id: str, asset: str) -> dict[str | None, dict[str, Any]]:
        """Return the metadata of an asset's materializations in a run by partition; each occurs once."""
        found: dict[str | None, dict[str, Any]] = {}
        for event in self._materialized(run_id, asset):
            assert event.partition not in found
            found[event.partition] = {name: value.value for name, value in event.metadata.items()}
        return found

    def log(self, run_id: str) -> list[str]:
        """Return the lines that the steps of a run logged, in order."""
        return [entry.user_message for entry in self.instance.all_logs(run_id) if not entry.is_dagster_event]

    def _materialized(self, run_id: str, asset: str) -> Iterator[dg.AssetMaterialization]:
        for entry in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            event = entry.asset_materialization
            if event is not None and event.asset_key == dg.AssetKey(asset):
                yield event


@contextmanager
def recorded(place: Place, **more: Any) -> Iterator[Recorded]:
    """Give a new instance, with settings for a place; `more` are further settings by name."""
    values: dict[str, Any] = {
        "api_base_url": place.simulator.base_url,
        "api_key": KEY,
        "api_secret": SECRET,
        "sent_logs": "logs/sent-{date}.jsonl",
        "lake": "data/lake",
        "max_requests_per_second": 0,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        yield Recorded(instance, given_settings(place.folder, **(values | more)))


def origin(location: str, job: str) -> RemoteJobOrigin:
    """Return what Dagster keeps of a run that was launched from a code location."""
    target = LoadableTargetOrigin(module_name="assets.definitions")
    place = ManagedGrpcPythonEnvCodeLocationOrigin(target, location)
    return RemoteJobOrigin(RemoteRepositoryOrigin(place, "__repository__"), job)
