"""What assets need of the outside: settings, read when a run needs them and never part of Dagster's config."""

# No `from __future__ import annotations`: Dagster reads annotations of what it calls.
from collections.abc import Callable
from datetime import UTC, datetime

from pipeline.lake.lake import Lake
from pipeline.model.accounts import Accounts, load_accounts
from pipeline.model.settings import Settings, load_settings


def _silent(asked: int, final: int) -> None:
    del asked, final


class Workspace:
    """Settings, lake and accounts of a run.

    A plain object, not configuration: Dagster shows configuration in its UI, and this holds secrets.

    Args:
        load: gives the settings; called when a run needs them, so that loading definitions needs none.
        on_progress: told how many messages were answered, and how many of the answers were final.
        anew: derive although no input changed.
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
        """Return a workspace that reads the settings anew: those of this one are kept for a run."""
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
        """Open the lake, made if it is not there; once, so that one that is lost in mid-run is not made anew, empty.

        Raises:
            SettingsError: it can't be used with these settings.
            LakeError: it can't be read or written.
        """
        if self._lake is None:
            settings = self.settings
            self._lake = Lake.open(settings.lake, mode=settings.file_mode, recorded=settings.recorded)
        return self._lake

    def accounts(self) -> Accounts:
        """Gather the credentials.

        Raises:
            SettingsError: there are none.
        """
        return load_accounts(self.settings)


def utc_now() -> datetime:
    """Return the present instant, aware."""
    return datetime.now(UTC)
