"""What a step tells Dagster besides its result: log lines of the library, and the days that it did before it failed."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date

import dagster as dg

from assets.failures import readable_failures

LIBRARY = "pipeline"
"""Logger of the library; its lines name the call (`call_id`) and hold no number and no secret."""
MAX_LINES = 20
"""Log lines of the library that a step passes on: an outage is one story, not one line a batch."""
_NUMBER_LIKE = re.compile(r"(?<![0-9A-Za-z-])\d{7,}(?![0-9A-Za-z-])")


@contextmanager
def told(context: dg.AssetExecutionContext, done: Callable[[], Iterable[date]] | None = None) -> Iterator[None]:
    """Pass the library's log lines to the run's log, let failures read well, and show the days done before one.

    At success Dagster itself marks every day of the range, once; so this speaks of days only when the step fails.

    Args:
        context: of the step.
        done: gives the days that are done, when the step fails in the middle; None where none can be.
    """
    with library_logged_to(context.log):
        try:
            with readable_failures():
                yield
        except BaseException:
            if done is not None:
                _show_done(context, done)
            raise


def _show_done(context: dg.AssetExecutionContext, done: Callable[[], Iterable[date]]) -> None:
    """Mark days as materialized that are; the failure itself counts for more than what this may meet."""
    asked_for, shown = context.partition_keys, 0
    try:
        for day in done():
            if day.isoformat() in asked_for:
                context.log_event(dg.AssetMaterialization(context.asset_key, partition=day.isoformat()))
                shown += 1
    except Exception as error:  # noqa: BLE001 - see above; it is told beside the failure
        context.log.warning("which days are done can't be told: %s", type(error).__name__)
    context.log.info("the step fails; %s of %s days were done and are kept", shown, len(asked_for))


@contextmanager
def library_logged_to(log: logging.Logger) -> Iterator[None]:
    """Pass the library's log lines to the log of a run, so that they stand in its event log beside its steps."""
    logger, passing = logging.getLogger(LIBRARY), _Passing(log)
    logger.addHandler(passing)
    try:
        yield
    finally:
        logger.removeHandler(passing)
        if passing.left_out:
            log.warning("%s more such lines; each call is a row of api_calls", passing.left_out)


class _Passing(logging.Handler):
    """Gives log lines of the library to the run's log, up to `MAX_LINES`."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__(level=logging.INFO)
        self._log = log
        self._passed = 0
        self.left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self._passed >= MAX_LINES:
            self.left_out += 1
            return
        self._passed += 1
        self._log.log(record.levelno, without_numbers(record.getMessage()))


def without_numbers(text: str) -> str:
    """Hide what may be a phone number; ids of calls, which hold letters too, stay."""
    return _NUMBER_LIKE.sub(lambda run: "*" * len(run[0]), text)
