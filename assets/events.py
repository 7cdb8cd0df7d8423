"""A run's event log: what steps write into it, how failures read in it, and reading it back.

What belongs here: log lines of the library, the days that a failed step completed, the one line that a failure becomes,
and the events of a run that ended. What does not: figures (`metadata.py`), and whom a failure is posted to
(`sensors.py`).
"""

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, Final

import dagster as dg
import duckdb
from deltalake.exceptions import DeltaError
from sqlalchemy.exc import DBAPIError  # what Dagster's own storage raises

from pipeline.lake.damage import REMEDY
from pipeline.model.errors import LakeError, RunFailed, SmsDeliveryError
from pipeline.model.phone_numbers import mask_digits
from pipeline.model.printable import printable

LIBRARY: Final = "pipeline"
"""Logger of the library. Its lines name the call (`call_id`) and hold no phone number and no secret."""
MAX_LINES: Final = 20
"""Most log lines of the library per step: an outage would log one for each batch."""


@contextmanager
def step_events(
    context: dg.AssetExecutionContext, completed_days: Callable[[], Iterable[date]] | None = None
) -> Iterator[None]:
    """Write the library's log lines to the run's log, and make failures readable.

    When a step succeeds, Dagster marks every day of the range. When it fails, the days that `completed_days` returns
    are marked here.
    """
    with library_log(context.log):
        try:
            with readable_failures():
                yield
        except BaseException:
            if completed_days is not None:
                _mark_completed(context, completed_days)
            raise


def _mark_completed(context: dg.AssetExecutionContext, completed_days: Callable[[], Iterable[date]]) -> None:
    keys, marked = context.partition_keys, 0
    try:
        for day in completed_days():
            if day.isoformat() in keys:
                for asset in sorted(context.selected_asset_keys):
                    context.log_event(dg.AssetMaterialization(asset, partition=day.isoformat()))
                marked += 1
    except Exception as error:  # noqa: BLE001 - it must not replace the failure of the step
        context.log.warning("the completed days can't be determined: %s", type(error).__name__)
    context.log.info("the step fails; %s of %s days were done and are kept", marked, len(keys))


@contextmanager
def library_log(log: logging.Logger) -> Iterator[None]:
    """Write the library's log lines to the log of a run."""
    logger, handler = logging.getLogger(LIBRARY), _RunLogHandler(log)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        if handler.left_out:
            log.warning("%s more such lines; each call is a row of api_calls", handler.left_out)


class _RunLogHandler(logging.Handler):
    """Writes up to `MAX_LINES` log lines of the library to the run's log, and counts the rest."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__(level=logging.INFO)
        self._log = log
        self._written = 0
        self.left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self._written >= MAX_LINES:
            self.left_out += 1
            return
        self._written += 1
        self._log.log(record.levelno, printable(mask_digits(record.getMessage(), is_own=True)))


@contextmanager
def readable_failures() -> Iterator[None]:
    """Turn expected errors into Dagster failures of one line, which are not retried."""
    try:
        yield
    except Exception as error:
        expected = expected_error(error)
        if expected is None:
            raise
        cause = error if isinstance(expected, LakeError) else None  # causes of others may quote a request
        raise dg.Failure(description=one_line(expected), allow_retries=False) from cause


_FULL: Final = os.strerror(errno.ENOSPC)
"""What DuckDB, Arrow and the system say of a full disk, which no repair puts right."""


def expected_error(error: Exception) -> SmsDeliveryError | None:
    """Return the project's error for a failure that is no bug; None for a bug.

    Errors of the lake, the disk (full, a lost folder) and Dagster's storage get one line of text.
    """
    match error:
        case LakeError():
            return LakeError(one_line(error))
        case SmsDeliveryError():
            return error
        case DBAPIError():
            return RunFailed(f"DAGSTER_HOME: the run can't be recorded there: {error.orig}")
        case OSError() | duckdb.Error() | DeltaError():
            text = f"the lake or the disk: {mask_digits(f'{type(error).__name__}: {one_line(error)}')}"
            if _FULL in text:
                return LakeError(text[: text.index(_FULL) + len(_FULL)])
            return LakeError(f"{text}; {REMEDY}" if ".parquet" in text else text)
        case _:
            return None


def one_line(text: object) -> str:
    """Return a text, or that of an error, as one printable line; DuckDB and Delta write several lines."""
    return printable(" ".join(str(text).split()))


def run_events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> Iterator[dg.DagsterEvent]:
    """Yield the events of one kind that a run recorded, in order."""
    for entry in instance.all_logs(run_id, of_type=kind):
        if entry.dagster_event is not None:
            yield entry.dagster_event


def materializations_of(instance: dg.DagsterInstance, run_id: str) -> dict[str, dict[str, Any]]:
    """Return what `materializations` finds in a run that is recorded."""
    return materializations(run_events(instance, run_id, dg.DagsterEventType.ASSET_MATERIALIZATION))


def materializations(events: Iterable[dg.DagsterEvent]) -> dict[str, dict[str, Any]]:
    """Return the metadata of each asset's materialization by its name without prefix; of a range, its last day's."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    found = [e.step_materialization_data.materialization for e in events if e.event_type is kind]
    return {m.asset_key.path[-1]: {name: v.value for name, v in m.metadata.items()} for m in found}


def failure_reasons(events: Iterable[dg.DagsterEvent]) -> list[str]:
    """Return why the steps of a run failed: our own text if a step gave one, else the error."""
    reasons = []
    for event in events:
        if event.is_step_failure:
            failure = event.step_failure_data
            own = failure.user_failure_data.description if failure.user_failure_data else None
            reasons.append(own or (failure.error.to_string() if failure.error else "a step failed"))
    return reasons


def failure_lines(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return why a recorded run failed, for somebody who sees one line: our own lines, else the first of the error."""
    lines: list[str] = []
    for event in run_events(instance, run_id, dg.DagsterEventType.STEP_FAILURE):
        failure = event.step_failure_data
        if failure.user_failure_data and failure.user_failure_data.description:
            lines += failure.user_failure_data.description.splitlines()
        elif failure.error:
            lines += (failure.error.cause or failure.error).message.strip().splitlines()[:1]
    if not lines:  # no step failed: it was killed, or never started
        ends = run_events(instance, run_id, dg.DagsterEventType.RUN_FAILURE)
        lines = [(event.message or "it failed").splitlines()[0] for event in ends]
    return lines
