"""`sms-delivery listen`: takes pushed reports until it is told to stop.

What belongs here: the settings that it needs, and which numbers were forgotten. What does not: taking pushes
(`pipeline/api/push_server.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from assets.cli.output import say
from assets.resources import Workspace, utc_now
from pipeline.api.push_journal import HourFile
from pipeline.api.push_server import PushOptions, serve_pushes
from pipeline.lake.durable import make_folder
from pipeline.lake.lake import Lake
from pipeline.lake.notes import NewestForgotten
from pipeline.model.errors import SettingsError
from pipeline.model.phone_numbers import NumberPolicy
from pipeline.model.settings import LOOPBACK_HOSTS, Settings, number_policy, revealed

_TOKEN: Final = "<SMS_PUSH_TOKEN>"  # noqa: S105 - what is shown in its place


def take_pushes(settings: Settings, *, host: str, port: int, max_requests_per_second: float) -> None:
    """Serve until a signal.

    Raises:
        SettingsError: a setting is missing or wrong, or the address can't be had.
    """
    token, folder = revealed(settings.push_token), settings.pushed_reports
    if not token:
        raise SettingsError("SMS_PUSH_TOKEN: is not set; make one with `openssl rand -hex 32`")
    if folder is None:
        raise SettingsError("SMS_PUSHED_REPORTS: is not set: the folder for pushed reports until a run has read them")
    if Lake.is_made(settings):
        _ = Workspace(lambda: settings).lake  # its numbers are treated as these settings say, else status 2
    try:
        make_folder(folder)
    except OSError as error:
        raise SettingsError(f"SMS_PUSHED_REPORTS: {folder} can't be used: {error.strerror}") from None
    options = PushOptions(token, _numbers(settings), settings.app_id, max_requests_per_second)
    file = HourFile(folder, mode=settings.file_mode, now=utc_now)
    if host not in LOOPBACK_HOSTS:
        say("sms-delivery: warning: without a proxy with TLS before it, token and numbers can be read on the way")
    try:
        serve_pushes(options, file, host=host, port=port, now=utc_now, announce=lambda url: say(f"POST {url}{_TOKEN}"))
    except OSError as error:
        raise SettingsError(f"--host {host} --port {port}: {error.strerror or error}") from None


def _numbers(settings: Settings) -> Callable[[], NumberPolicy]:
    """Return what gives the treatment of numbers as of now: numbers may be forgotten at any time."""
    policy, newest = number_policy(settings), NewestForgotten(Lake(settings.lake, settings.file_mode))
    return lambda: replace(policy, forgotten=newest.numbers())
