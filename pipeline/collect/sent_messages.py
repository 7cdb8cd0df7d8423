"""Use case: read the sent logs of some days into `sent_messages`.

Belongs here: which logs are read. Does not belong here: reading and storing a group of them (`log_group`).

A log is skipped if neither it (path, size, modification time) nor a setting that it is read with has changed since it
was read, or if its days were dropped (`SMS_KEEP_DAYS`). One commit stores messages, replaces corrected ones and notes
that their logs were read, so two runs can't store a message twice; rejects are committed before. A log that vanishes,
shrinks or is renamed removes nothing.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime

from pipeline.collect.earlier_lakes import note_waits_of_earlier_versions
from pipeline.collect.files import LogFile
from pipeline.collect.listing import list_logs
from pipeline.collect.log_group import CollectTally, LogGroup, ReadBytes
from pipeline.collect.log_notes import awaited, unread, unusable_logs
from pipeline.collect.records import LogRules
from pipeline.collect.staging import Staging
from pipeline.collect.told import unusable_lines
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake
from pipeline.lake.moves import finish_moves, has_unfinished_moves
from pipeline.lake.notes import forgotten_numbers
from pipeline.lake.queries import database
from pipeline.model.accounts import readable_apps
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import SENT_MESSAGES


def collect(
    days: Collection[date], *, lake: Lake, settings: Settings, now: datetime, on_progress: Progress = untold
) -> CollectTally:
    """Read the logs of some partitions: files whose date is one of them or a day either side.

    Records more than a day after `now`, the run's start, are rejected, and looked at again when they no longer are.
    `on_progress` is told the bytes of the files.

    Raises:
        LakeError: the lake can't be read or written.
    """
    note_waits_of_earlier_versions(lake, settings)
    found = list_logs(days, lake, settings)
    tally = CollectTally(files_matched=len(found))
    waiting = deque(unread(found, lake, settings, now))
    if waiting or has_unfinished_moves(lake):
        read = ReadBytes(on_progress, sum(file.size for file in waiting))
        _read(waiting, lake, settings, now=now, tally=tally, read=read)
    tally.failures += unusable_lines(unusable_logs(found, lake, settings), lake=lake, settings=settings)
    return tally


def _read(
    waiting: deque[LogFile], lake: Lake, settings: Settings, *, now: datetime, tally: CollectTally, read: ReadBytes
) -> None:
    with (
        database(lake, settings) as connection,
        lake.scratch() as scratch,
        Staging(scratch / "staged") as staging,
    ):
        finish_moves(connection, lake)
        group = LogGroup(connection, lake, settings, _rules(lake, settings, now), staging, tally, read)
        while waiting:
            group.start()
            group.stage(waiting)
            group.stage_witnesses(waiting)
            group.store()


def _rules(lake: Lake, settings: Settings, now: datetime) -> LogRules:
    rules = log_rules(settings, now)
    numbers = replace(rules.numbers, forgotten=forgotten_numbers(lake))
    return replace(rules, numbers=numbers, kept_days=kept_days(lake))


def days_read(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> list[date]:
    """Return the days that have a log, and whose logs were all read as they are now.

    Raises:
        LakeError: the lake can't be read.
    """
    logs = {day: list_logs([day], lake, settings) for day in sorted(days)}
    missing = set(unread(itertools.chain.from_iterable(logs.values()), lake, settings, now))
    return [day for day, found in logs.items() if found and missing.isdisjoint(found)]


def unread_logs(*, lake: Lake, settings: Settings, now: datetime) -> list[LogFile]:
    """List the logs of any day that a run at `now` would read; none is opened.

    Raises:
        LakeError: the lake can't be read.
    """
    return unread(list_logs(None, lake, settings), lake, settings, now)


def awaited_logs(*, lake: Lake, settings: Settings, now: datetime) -> list[LogFile]:
    """List the logs of any day with a record that was read too early and whose time has come; none is opened.

    Raises:
        LakeError: the lake can't be read.
    """
    return awaited(list_logs(None, lake, settings), lake.snapshot(SENT_MESSAGES), now)


def log_rules(settings: Settings, now: datetime) -> LogRules:
    """Return the rules that logs are read by."""
    return LogRules(
        log_zone=settings.sent_log_timezone,
        partition_zone=settings.timezone,
        default_app_id=settings.app_id,
        start_date=settings.start_date,
        now=now,
        numbers=number_policy(settings),
        named_apps=readable_apps(settings),
        labels=settings.sent_log_labels,
        fields=dict(settings.sent_log_fields),
        time_format=settings.sent_log_time_format,
    )
