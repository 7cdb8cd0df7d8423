"""Pruning Dagster's run history: old runs are deleted with their events and captured output.

The run that last materialized a partition is kept at any age: without its events the UI would show the partition as
missing. About one run is left of an old day.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import dagster as dg

_ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PAGE: Final = 100


def prune_runs(instance: dg.DagsterInstance, *, before: datetime) -> int:
    """Delete runs that have ended and were created before an instant with a zone; return how many."""
    needed = _runs_of_latest_materializations(instance)
    ended = instance.get_run_ids(dg.RunsFilter(statuses=_ENDED, created_before=before))
    old = [run_id for run_id in ended if run_id not in needed]
    for run_id in old:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        _delete_event_file(instance, run_id)
    return len(old)


def _runs_of_latest_materializations(instance: dg.DagsterInstance) -> set[str]:
    """Return the run that last materialized each asset and each of its partitions."""
    kind, needed = dg.DagsterEventType.ASSET_MATERIALIZATION, set[str]()
    for key in instance.all_asset_keys():
        latest = instance.get_latest_materialization_event(key)
        needed |= {latest.run_id} if latest else set()
        ids = instance.event_log_storage.get_latest_storage_id_by_partition(key, kind)
        needed |= {record.run_id for record in _records(instance, key, sorted(set(ids.values())))}
    return needed


def _records(instance: dg.DagsterInstance, key: dg.AssetKey, ids: Sequence[int]) -> Iterator[dg.EventLogRecord]:
    for start in range(0, len(ids), _PAGE):
        found = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + _PAGE])
        yield from instance.fetch_materializations(found, limit=_PAGE).records


def _delete_event_file(instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete the event file that SQLite's storage keeps for each run; other storages have none."""
    if path_of := getattr(instance.event_log_storage, "path_for_shard", None):
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(path_of(run_id) + suffix).unlink(missing_ok=True)
