"""What a run uses: settings, lake and accounts, opened when they are first needed.

What belongs here: opening each once per run. What does not: how settings are read (`pipeline/model/settings.py`).
No import of Dagster: commands that start no run use it too.
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from collections.abc import Callable
from datetime import UTC, datetime

from pipeline.lake.lake import Lake
from pipeline.model.accounts import Accounts, load_accounts
from pipeline.model.settings import Settings, load_settings


def _silent(asked: int, final: int) -> None:
    del asked, final


class Workspace:
    """Settings, lake and accounts of a run.

    A plain object and no `ConfigurableResource`: Dagster shows configuration in its UI, and this holds secrets.

    Args:
        load: returns the settings; called at the first use, so that definitions load without settings.
        on_progress: called with the number of messages answered, and of final answers among them.
        anew: derive even if no input changed.
    """

    def __init__(
        self,
        load: Callable[[], Settings] = load_settings,
        *,
        on_progress: Callable[[int, int], None] = _silent,
        anew: bool = False,
    ) -> None:
        self._load = load
        self._settings: Settings | None = None
        self._lake: Lake | None = None
        self.on_progress = on_progress
        self.anew = anew

    def reread(self) -> "Workspace":
        """Return a workspace that reads the settings again; this one keeps those of its run."""
        return Workspace(self._load)

    @property
    def settings(self) -> Settings:
        """The settings, read once.

        Raises:
            SettingsError: one is wrong.
        """
        if self._settings is None:
            self._settings = self._load()
        return self._settings

    def lake(self) -> Lake:
        """Open the lake, created if it does not exist.

        It is opened once per run, so that a lake lost during the run is not replaced by an empty one.

        Raises:
            SettingsError: it can't be used with these settings.
            LakeError: it can't be read or written.
        """
        if self._lake is None:
            settings = self.settings
            self._lake = Lake.open(settings.lake, mode=settings.file_mode, recorded=settings.recorded)
        return self._lake

    def accounts(self) -> Accounts:
        """Return the credentials of every app.

        Raises:
            SettingsError: there are none.
        """
        return load_accounts(self.settings)


def utc_now() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)
