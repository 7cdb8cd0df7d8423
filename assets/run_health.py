"""Which of our runs are at work, told from Dagster's storage: the same for one machine and for several.

What belongs here: what a run does for others to see it and to share pools with it, and ending runs that are dead. What
does not: which runs are ours (`project.py`), and when somebody looks (`schedules.py`, `sensors.py`).

A run that is at work writes an event at least once a minute, whichever launcher started it and whatever step it is in.
Launchers see less: Celery's says of a run whose machine was lost that it has started, for ever.
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import dagster as dg

from assets.internals import make_pools
from assets.project import ASKING_POOL, PUBLICATION_POOL, Project
from pipeline.lake.lake import Lake
from pipeline.lake.locks import SharedFolder
from pipeline.model.settings import Settings

DEAD_AFTER: Final = timedelta(minutes=10)
"""Time without a new event after which a run counts as dead."""
_BEATS: Final = 10
"""Signs of life in that time: some may be late, on a machine under load or with a storage that is slow."""
_ON_A_MACHINE: Final = [dg.DagsterRunStatus(name) for name in ("STARTING", "STARTED", "CANCELING")]
_UNDER_WAY: Final = [dg.DagsterRunStatus.QUEUED, *_ON_A_MACHINE]
_LOGGER: Final = logging.getLogger(__name__)


@contextmanager
def seen_at_work(context: dg.InitResourceContext, *, dead_after: timedelta = DEAD_AFTER) -> Iterator[None]:
    """Make the pools that a run may need, and write events of it to the storage while the block lasts.

    Events of the engine: the instance may leave out lines of the log (`python_log_level`).
    """
    if context.run is None or context.instance is None:  # a resource that is made outside a run
        yield
        return
    make_pools(context.instance, (ASKING_POOL, PUBLICATION_POOL))
    ended = threading.Event()
    seconds = dead_after.total_seconds() / _BEATS
    beat = threading.Thread(target=_beat, args=(context.instance, context.run, ended, seconds), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()


def _beat(instance: dg.DagsterInstance, run: dg.DagsterRun, ended: threading.Event, seconds: float) -> None:
    while not ended.wait(seconds):
        try:
            instance.report_engine_event("the run is at work", run)
        except Exception as error:  # noqa: BLE001 - the storage may be back at the next beat; the run finds out itself
            _LOGGER.warning("a sign of life could not be written: %s", type(error).__name__)


class Silence:
    """For how long each run has written no event, as this process saw it. No wall clock is asked: one may be set.

    The time while the machine is suspended does not count (`CLOCK_MONOTONIC`).

    Args:
        dead_after: time without a new event after which a run counts as dead.
        ticks: a clock that nobody sets, seconds.
    """

    def __init__(self, dead_after: timedelta = DEAD_AFTER, ticks: Callable[[], float] = time.monotonic) -> None:
        self.dead_after, self._ticks = dead_after, ticks
        self._seen: dict[str, tuple[int, float]] = {}  # the newest event of a run, and when it was seen first
        self._lock = threading.Lock()  # ticks of the schedule and of the sensor may come at once

    def is_dead(self, instance: dg.DagsterInstance, run_id: str) -> bool:
        """Look at the newest event of a run, and say whether it was seen `dead_after` ago; never at the first look."""
        events = instance.get_records_for_run(run_id, limit=1, ascending=False).records
        newest, now = events[0].storage_id if events else 0, self._ticks()
        with self._lock:
            number, since = self._seen.get(run_id, (newest, now))
            self._seen[run_id] = (newest, since if number == newest else now)
            return now - self._seen[run_id][1] >= self.dead_after.total_seconds()

    def keep(self, run_ids: Collection[str]) -> None:
        """Forget all other runs: they have ended."""
        with self._lock:
            self._seen = {run_id: seen for run_id, seen in self._seen.items() if run_id in run_ids}


def runs_at_work(
    instance: dg.DagsterInstance,
    project: Project,
    silence: Silence,
    *,
    location: str | None,
    is_lake_in_use: bool,
) -> list[dg.DagsterRun]:
    """Return our runs that have not ended, newest first, and mark those that are dead as failed.

    Args:
        instance: where runs are recorded.
        project: our names.
        silence: what this process saw of runs earlier.
        location: our code location; None if it is unknown.
        is_lake_in_use: what `is_lake_in_use` says; then no run is taken for dead.
    """
    alive = []
    for record in project.runs(instance, dg.RunsFilter(statuses=_UNDER_WAY), location=location):
        run = record.dagster_run
        if _waits(instance, run) or not silence.is_dead(instance, run.run_id) or is_lake_in_use:
            alive.append(run)
        else:
            instance.report_run_failed(run, "its process has gone: it was killed, or the machine went down")
    silence.keep([run.run_id for run in alive])
    return alive


def others_at_work(
    instance: dg.DagsterInstance, project: Project, run: dg.DagsterRun, *, location: str | None
) -> list[str]:
    """Return the ids of our runs that a machine works on, but for one."""
    records = project.runs(instance, dg.RunsFilter(statuses=_ON_A_MACHINE), location=location)
    return [record.dagster_run.run_id for record in records if record.dagster_run.run_id != run.run_id]


def is_lake_in_use(settings: Settings) -> bool:
    """Say whether a process of this machine is at work in a lake in a folder: a suspended one gives no signs of life.

    False for a lake in a bucket: its processes may be on any machine.
    """
    if settings.lake_url or not Lake.exists(settings.lake):
        return False
    return SharedFolder(settings.lake, settings.file_mode).working_since() is not None


def _waits(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether a run waits for a worker. Run monitoring has a limit of its own for runs that were launched."""
    is_launched = run.status is dg.DagsterRunStatus.STARTING
    return run.status is dg.DagsterRunStatus.QUEUED or (is_launched and instance.run_monitoring_enabled)
