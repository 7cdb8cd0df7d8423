"""The folder with the run history of `sms-delivery ui`, beside the lake: used while DAGSTER_HOME is not set.

What belongs here: where it is, and what it holds at first. What does not: starting the UI (`ui.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg

from assets.internals import is_dagster_home_set
from pipeline.model.settings import Settings
from pipeline.model.trusted import check_trusted

_INSTANCE: Final = """\
# Written by `sms-delivery ui`; change it as you like. docs/production.md says what production needs instead.
telemetry: {enabled: false}
nux: {enabled: false}
concurrency:
  pools: {granularity: run, default_limit: 1}
retention:
  schedule: {purge_after_days: {skipped: 7, failure: 30, success: 30}}
  sensor: {purge_after_days: {skipped: 7, failure: 30, success: 30}}
"""


def home_of(settings: Settings) -> Path:
    """Return the folder, whether it exists or not: beside the lake, or what is local where that is in a bucket."""
    beside = settings.report if settings.duckdb_url else settings.duckdb
    return (beside if settings.lake_url else settings.lake).parent / "dagster"


def check_home(folder: Path) -> None:
    """Check that others can't change the folder: its `dagster.yaml` names classes that Dagster runs.

    Raises:
        SettingsError: they can.
    """
    for path in (folder, folder / "dagster.yaml"):
        check_trusted(path, "DAGSTER_HOME")


def make_home(folder: Path) -> None:
    """Create the folder and what it holds at first; a `dagster.yaml` that is there stays as it is.

    Raises:
        SettingsError: others can change it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_home(folder)
    if not (folder / "dagster.yaml").exists():
        (folder / "dagster.yaml").write_text(_INSTANCE, "utf-8")


@contextmanager
def opened_history(settings: Settings) -> Iterator[dg.DagsterInstance | None]:
    """Give the instance that records the runs of commands: DAGSTER_HOME, else this folder's; None without either.

    Raises:
        SettingsError: others can change the folder.
    """
    if is_dagster_home_set():
        with dg.DagsterInstance.get() as instance:
            yield instance
    elif (home_of(settings) / "dagster.yaml").exists():
        check_home(home_of(settings))
        with dg.DagsterInstance.from_config(str(home_of(settings))) as instance:
            yield instance
    else:
        yield None
