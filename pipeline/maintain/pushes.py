"""What doctor says of pushed reports: their folder, whether they still come and are read, whose messages they are of.

Belongs here: what a person who set `SMS_PUSH_TOKEN` or `SMS_PUSHED_REPORTS` should look at. Does not: taking pushes
(`api/push_server.py`), storing them (`collect/pushed_reports.py`). All works without pushes, so most of it is advice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_IMODE
from typing import Final

from pipeline.collect.push_files import PushFile, push_files
from pipeline.collect.pushed_reports import unread_files
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.maintain.surroundings import Remark
from pipeline.model.settings import Settings, revealed
from pipeline.model.tables import PUSHED_REPORTS, SENT_MESSAGES
from pipeline.model.trusted import user_name, why_untrusted

SILENT: Final = timedelta(hours=6)
"""Time without a report, while messages were sent, that is told."""
UNREAD: Final = timedelta(hours=1)
"""Age of a report that no run has read that is told: the schedule reads every 15 minutes."""
UNLOGGED_SHARE: Final = 0.01
"""Share of the reports for messages that no log has that is told."""
_DAYS: Final = 7
_SUBJECT: Final = "pushes"
_FOLDER: Final = "SMS_PUSHED_REPORTS"


def push_remarks(settings: Settings, *, lake: Lake | None, now: datetime) -> Iterator[Remark]:
    """Say how pushed reports are doing; nothing where they are not set up.

    Args:
        settings: name the folder and the token.
        lake: what runs have stored; None where there is none, or it can't be read.
        now: the time.

    Raises:
        LakeError: the lake can't be read.
    """
    token, folder = revealed(settings.push_token), settings.pushed_reports
    if folder is None:
        if token:
            text = f"{_FOLDER}: is not set, and SMS_PUSH_TOKEN is: `sms-delivery listen` needs both"
            yield Remark(_SUBJECT, text, is_wrong=True)
        return
    if not folder.is_dir():
        text = f"{_FOLDER}: {folder} is no folder; `sms-delivery listen` makes it when it starts"
        yield Remark(_SUBJECT, text, is_advice=not folder.exists(), is_wrong=folder.exists())
        return
    if fault := _fault_of(folder, settings.file_mode):
        yield Remark(_SUBJECT, f"{_FOLDER}: {folder} {fault}", is_wrong=True)
        return
    advice = list(_advice(settings, folder, lake, now))
    yield from advice
    if not advice:
        state = folder.stat()
        owner, mode = user_name(state.st_uid), S_IMODE(state.st_mode)
        yield Remark(_SUBJECT, f"{folder} belongs to {owner}, mode {mode:04o}; reports come and are read")


def _fault_of(folder: Path, mode: int) -> str | None:
    """Return why the folder can't be used, or not be trusted."""
    if why := why_untrusted(folder.stat(), shared=mode):
        return why
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return "can't be read and written by this user: runs read its files and delete them; chmod u+rwx it"
    return None


def _advice(settings: Settings, folder: Path, lake: Lake | None, now: datetime) -> Iterator[Remark]:
    files = push_files(folder)
    if text := _unread(unread_files(lake=lake, settings=settings) if lake else files, now):
        yield Remark(_SUBJECT, text, is_advice=True)
    taken = _taken(lake, settings, now) if lake else _Taken()
    latest = max([moment for moment in (taken.latest, *(file.changed_at for file in files)) if moment], default=None)
    if lake and (text := _silence(lake, settings, latest, now)):
        yield Remark(_SUBJECT, text, is_advice=True)
    if taken.unlogged > UNLOGGED_SHARE * taken.reports:
        text = (
            f"{taken.unlogged:,} of {taken.reports:,} reports of the last {_DAYS} days are of messages that no log "
            "has: a log is missing (SMS_SENT_LOGS), or somebody else knows the address: see `pushes_by_hour`"
        )
        yield Remark(_SUBJECT, text, is_advice=True)


def _unread(files: list[PushFile], now: datetime) -> str | None:
    waiting = [file for file in files if file.size and file.hour + UNREAD < now and file.changed_at + UNREAD < now]
    if not waiting:
        return None
    return (
        f"{len(waiting):,} files hold reports that no run has read, the oldest of {_utc(waiting[0].hour)}: "
        "does the schedule run? `sms-delivery run` reads them"
    )


@dataclass(frozen=True)
class _Taken:
    """Reports in the lake, of the last days: when the latest came, how many, how many that no log has."""

    latest: datetime | None = None
    reports: int = 0
    unlogged: int = 0


def _taken(lake: Lake, settings: Settings, now: datetime) -> _Taken:
    present = lake.snapshot(PUSHED_REPORTS)
    since = (now - timedelta(days=_DAYS + 1)).date()
    days = [None, *(day for day in present.days() if day >= since)]
    with database(lake, settings) as connection:
        show_files(connection, PUSHED_REPORTS, present.of(days))
        ((latest, reports, unlogged),) = rows_of(
            connection, query("maintain/sql/pushes_taken"), {"now": now, "days": _DAYS}
        )
    return _Taken(latest, reports, unlogged)


def _silence(lake: Lake, settings: Settings, latest: datetime | None, now: datetime) -> str | None:
    """Say that no report has come for long, if messages were sent that reports should be of."""
    since = now - timedelta(days=_DAYS) if latest is None else latest
    if now - since < SILENT:
        return None
    sent = lake.snapshot(SENT_MESSAGES)
    with database(lake, settings) as connection:
        show_files(connection, SENT_MESSAGES, sent.of([day for day in sent.days() if day >= (since - SILENT).date()]))
        bounds = {"since": since, "until": now - UNREAD}
        ((messages,),) = rows_of(connection, query("maintain/sql/sent_between"), bounds)
    if not messages:
        return None
    when = f"since {_utc(latest)}" if latest else f"in the last {_DAYS} days"
    return (
        f"no report was pushed {when}, but {messages:,} messages were sent: does `sms-delivery listen` run, and does "
        "the platform have its address?"
    )


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
