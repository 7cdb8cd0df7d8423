"""Use case: read the sent logs of some days into `sent_messages`.

Belongs here: which logs are read, and storing their new messages.
Does not belong here: reading one log (`reading`), storing rejects (`rejected_records`).

A log that has not changed since it was read (path, size, modification time) is skipped. One commit stores messages and
the note that their logs were read, so two runs can't store a message twice; rejects are committed before.
`sent_messages` only grows.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import duckdb

from pipeline.collect.files import LogFile, LogFileGone, LogFileUnreadable, find_log_files
from pipeline.collect.reading import read_sent_log
from pipeline.collect.records import LogRules
from pipeline.collect.rejected_records import StagedRejects
from pipeline.collect.staging import Staging
from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.queries import database, query, rows_of, show_files, show_staged, write_partition
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import SENT_MESSAGES

logger = logging.getLogger(__name__)

GROUP_ROWS: Final = 5_000_000
"""Messages staged on disk before they are stored: bounds scratch space, not memory."""


@dataclass
class CollectTally:
    """What collecting did; `records == stored + duplicates + rejected`.

    Attributes:
        files_gone: logs that were deleted before they were read to their end.
        duplicates: messages that the lake or an earlier record had already.
        failures: logs that could not be read, one line each, for a person.
    """

    files_matched: int = 0
    files_read: int = 0
    files_gone: list[str] = field(default_factory=list)
    records: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    stored_by_day: Counter[date] = field(default_factory=Counter)
    rejected_by_reason: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def collect(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> CollectTally:
    """Read the logs of some partitions: files whose date is one of them or a day either side.

    Records more than a day after `now`, the run's start, are rejected.

    Raises:
        LakeError: the lake can't be read or written.
    """
    rules = log_rules(settings, now)
    found = find_log_files(settings.sent_logs, days)
    tally = CollectTally(files_matched=len(found))
    waiting = deque(_unread(found, lake, settings))
    if not waiting:
        return tally
    with (
        database(lake, settings) as connection,
        lake.scratch() as scratch,
        Staging(scratch / "staged") as staging,
    ):
        while waiting:
            dates = {file.file_date for file in waiting}
            rejects = StagedRejects(connection)
            read = _stage_group(staging, rejects, waiting, rules, tally)
            rejects.store(lake, [file.label for file in read], dates, now)
            _count_rejects(rejects, tally)
            notes = {_note(file): _state(file, settings) for file in read}
            _store_messages(connection, staging, lake, notes, tally)
            staging.clear()
    return tally


def days_read(days: Collection[date], *, lake: Lake, settings: Settings) -> list[date]:
    """Return the days that have a log, and whose logs were all read as they are now.

    Raises:
        LakeError: the lake can't be read.
    """
    logs = {day: find_log_files(settings.sent_logs, [day]) for day in sorted(days)}
    unread = set(_unread(itertools.chain.from_iterable(logs.values()), lake, settings))
    return [day for day, found in logs.items() if found and unread.isdisjoint(found)]


def unread_logs(*, lake: Lake, settings: Settings) -> list[LogFile]:
    """List the logs of any day that are new or have changed since they were read; none is opened.

    Raises:
        LakeError: the lake can't be read.
    """
    return _unread(find_log_files(settings.sent_logs, None), lake, settings)


def log_rules(settings: Settings, now: datetime) -> LogRules:
    """Return the rules that logs are read by."""
    return LogRules(
        log_zone=settings.sent_log_timezone,
        partition_zone=settings.timezone,
        default_app_id=settings.app_id,
        start_date=settings.start_date,
        now=now,
        numbers=number_policy(settings),
    )


def _unread(files: Iterable[LogFile], lake: Lake, settings: Settings) -> list[LogFile]:
    present = lake.snapshot(SENT_MESSAGES)
    return [file for file in files if present.transaction(_note(file)) != _state(file, settings)]


def _note(file: LogFile) -> str:
    """Name of the application transaction that says which state of a log was read."""
    return f"sent_log:{file.label}"


def _state(file: LogFile, settings: Settings) -> int:
    """Number of 63 bits for a log's size and modification time, and for the settings that it is read with."""
    read_with = (settings.sent_log_timezone.key, settings.app_id, settings.start_date, file.file_date)
    text = repr((file.size, file.mtime_ns, read_with))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def _stage_group(
    staging: Staging, rejects: StagedRejects, waiting: deque[LogFile], rules: LogRules, tally: CollectTally
) -> list[LogFile]:
    """Read logs until GROUP_ROWS messages are staged; return the logs that were read to their end.

    Records of the others are staged too; their logs are not noted as read, and the next run reads them again.
    """
    read: list[LogFile] = []
    while waiting and staging.rows < GROUP_ROWS:
        file = waiting.popleft()
        try:
            for chunk in read_sent_log(file, rules):
                staging.add(chunk.messages)
                rejects.add(chunk.rejects)
            read.append(file)
        except LogFileGone as gone:
            logger.warning("%s", gone)
            tally.files_gone.append(file.label)
        except LogFileUnreadable as unreadable:
            tally.failures.append(f"SMS_SENT_LOGS: {unreadable}")
    tally.files_read += len(read)
    return read


def _store_messages(
    connection: duckdb.DuckDBPyConnection,
    staging: Staging,
    lake: Lake,
    notes: Mapping[str, int],
    tally: CollectTally,
) -> None:
    """Store the new messages of `staging` and note which logs they came from, in one commit."""

    def store() -> list[DataFile]:
        present = lake.snapshot(SENT_MESSAGES)
        files = _new_messages(connection, staging, lake, present)
        lake.commit(present, add=files, transactions=notes)
        return files

    _count_messages(staging.rows, retry(store), tally)


def _new_messages(
    connection: duckdb.DuckDBPyConnection, staging: Staging, lake: Lake, present: Snapshot
) -> list[DataFile]:
    """Return files of the new messages: if no key is doubtful, the staged files as they are."""
    staged = staging.files()
    days = sorted({file.sent_date for file in staged})
    near = {day + timedelta(days=step) for day in days for step in (-1, 0, 1)}
    show_files(connection, SENT_MESSAGES, present.of(near))
    show_staged(connection, "messages_read", SENT_MESSAGES, [file.path for file in staged])
    connection.execute(query("collect/sql/doubtful_keys"))
    if not rows_of(connection, "SELECT 1 FROM doubtful_keys LIMIT 1"):
        return [lake.write_from(SENT_MESSAGES, file.path, file.sent_date, rows=file.rows) for file in staged]
    connection.execute(query("collect/sql/doubtful"))
    connection.execute(query("collect/sql/new_messages"))
    files = []
    for day in days:
        select, parameters = query("collect/sql/messages_of_day"), {"day": day.isoformat()}
        file = write_partition(connection, lake, SENT_MESSAGES, select=select, day=day, parameters=parameters)
        files += [file] if file else []
    return files


def _count_messages(read: int, files: Sequence[DataFile], tally: CollectTally) -> None:
    stored = sum(file.rows for file in files)
    tally.records += read
    tally.stored += stored
    tally.duplicates += read - stored
    for file in files:
        if file.sent_date is not None:
            tally.stored_by_day[file.sent_date] += file.rows


def _count_rejects(rejects: StagedRejects, tally: CollectTally) -> None:
    by_reason = rejects.by_code()
    tally.records += sum(by_reason.values())
    tally.rejected += sum(by_reason.values())
    tally.rejected_by_reason.update(by_reason)
