"""What a run uses: settings and lake, opened when they are first needed.

What belongs here: opening each once per run. What does not: how settings are read (`pipeline/model/settings.py`).
No import of Dagster: commands that start no run use it too.
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cached_property

from assets.phases import Phase, PhaseView, hidden
from pipeline.lake.lake import Lake
from pipeline.model.accounts import check_inputs
from pipeline.model.settings import Settings, load_settings


class Workspace:
    """Settings and lake of a run.

    A plain object, since commands that start no run use it too and it holds secrets. The UI shows `shown_settings.py`.

    Args:
        load: returns the settings; called at the first use, so that definitions load without settings.
        phase: gives what shows a part of a run while it lasts; by default nothing does.
    """

    def __init__(
        self,
        load: Callable[[], Settings] = load_settings,
        *,
        phase: Callable[[Phase], AbstractContextManager[PhaseView]] = hidden,
    ) -> None:
        self.load = load
        self.phase = phase

    @cached_property
    def settings(self) -> Settings:
        """The settings, read once.

        Raises:
            SettingsError: one is wrong.
        """
        return self.load()

    @cached_property
    def lake(self) -> Lake:
        """The lake, created if it does not exist and the settings are those of a run.

        It is opened once per run, so that a lake lost during the run is not replaced by an empty one.

        Raises:
            SettingsError: it can't be used with these settings.
            LakeError: it can't be read or written.
        """
        settings = self.settings
        if not Lake.is_made(settings):
            check_inputs(settings)
        return Lake.of(settings)


def utc_now() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)
