"""The resource `sms_workspace` as Dagster shows it: a field for each setting that is no secret.

What belongs here: which settings the UI shows, and a run's workspace made from them. What does not: the workspace
itself (`resources.py`), and how settings are read (`pipeline/model/settings.py`).
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from inspect import cleandoc
from typing import Any, ClassVar, Final

import dagster as dg
from pydantic import Field, SecretStr, create_model

from assets.resources import Workspace
from assets.run_health import DEAD_AFTER, seen_at_work
from pipeline.model.settings import PREFIX, Settings, load_settings

SHOWN: Final = [name for name, field in Settings.model_fields.items() if field.annotation != SecretStr | None]


class SmsWorkspace(dg.ConfigurableResource[Workspace]):
    """Settings and lake of sms-delivery. The values are those of the time when the code location was loaded.

    Each run reads the environment and `.env` anew. A value that is changed in the launchpad holds for that run alone.
    """

    dead_after: ClassVar[timedelta] = DEAD_AFTER

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Workspace]:
        """Give the workspace of a run, a new one for each: a worker process goes on to other runs."""
        with seen_at_work(context, dead_after=self.dead_after):
            yield self.create_resource(context)

    def create_resource(self, context: dg.InitResourceContext) -> Workspace:
        """Return the workspace of a run; it reads the settings when they are first needed."""
        loaded = {name: field.default for name, field in type(self).model_fields.items()}
        changed = {name: value for name, value in context.resource_config.items() if value != loaded[name]}
        return Workspace(partial(load_settings, **changed))


def given_workspace(workspace: Workspace) -> dg.ResourceDefinition:
    """Return the resource for a workspace that this process made for one run."""

    def workspace_of_run(context: dg.InitResourceContext) -> Iterator[Workspace]:
        with seen_at_work(context):
            yield workspace

    return dg.ResourceDefinition(workspace_of_run)


def shown_workspace(settings: Settings, *, dead_after: timedelta = DEAD_AFTER) -> SmsWorkspace:
    """Return the resource for the settings that were loaded; secrets have no field."""
    fields: dict[str, Any] = {name: (str, _field(name, settings)) for name in SHOWN}
    about = cleandoc(SmsWorkspace.__doc__ or "")
    shown = create_model("SmsWorkspace", __base__=SmsWorkspace, __doc__=about, **fields)
    shown.dead_after = dead_after
    return shown()


def _field(name: str, settings: Settings) -> Any:
    return Field(default=_text(name, settings), description=f"{PREFIX}{name.upper()}")


def _text(name: str, settings: Settings) -> str:
    match getattr(settings, name):
        case None:
            return ""
        case tuple() as several:
            return ", ".join(several)
        case _ if name in {"lake", "duckdb"}:
            return settings.lake_place if name == "lake" else settings.duckdb_place
        case int() as mode if name == "file_mode":
            return f"{mode:04o}"
        case value:
            return str(value)
