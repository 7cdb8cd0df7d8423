"""Use case: read the sent logs of some days into `sent_messages`; set aside what can't be used.

A log that has not changed since it was read (path, size, modification time) is not read again. What was read
is stored in one commit together with the note that it was, so that two runs can't store it twice; the
records set aside are committed before. `sent_messages` only grows.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import duckdb

from pipeline.collect.files import LogFile, find_log_files
from pipeline.collect.formats.compression import LogFileGone, LogFileUnreadable
from pipeline.collect.reading import read_sent_log
from pipeline.collect.records import LogRules
from pipeline.collect.staging import Staging
from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.queries import connect, query, rows_of, show_files, show_staged, write_partition
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES

logger = logging.getLogger(__name__)

GROUP_ROWS: Final = 5_000_000
"""Messages staged on disk before they are stored: bounds scratch space, not memory."""
_ONE_DAY: Final = timedelta(days=1)


@dataclass
class CollectTally:
    """What collecting did; `records == stored + duplicates + rejected`.

    Attributes:
        files_matched: files that the patterns name for these days.
        files_read: those read in this run.
        files_gone: those that vanished before they were read to their end.
        records: messages read, and records set aside.
        stored: messages that are new in the lake.
        duplicates: messages that the lake or this reading had already.
        rejected: records set aside.
        stored_by_day: stored messages by partition.
        rejected_by_reason: records set aside, by code.
        failures: logs that could not be read, one line each, for a person.
    """

    files_matched: int = 0
    files_read: int = 0
    files_gone: list[str] = field(default_factory=list)
    records: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    stored_by_day: dict[date, int] = field(default_factory=dict)
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def collect(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> CollectTally:
    """Read the logs of some partitions: files whose date is one of them or a day either side.

    Args:
        days: partitions asked for.
        lake: where messages and rejects go.
        settings: patterns, zones, default app, treatment of numbers, memory.
        now: the run's start; records more than a day after it are set aside.

    Raises:
        LakeError: the lake can't be read or written.
    """
    rules = log_rules(settings, now)
    found = find_log_files(settings.sent_logs, days)
    tally = CollectTally(files_matched=len(found))
    present = lake.snapshot(SENT_MESSAGES)
    changed = [file for file in found if present.transaction(_note(file)) != _state(file, settings)]
    if not changed:
        return tally
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        waiting = deque(changed)
        with Staging(scratch / "staged") as staging:
            while waiting:
                dates = {file.file_date for file in waiting}
                read = _stage_group(connection, staging, waiting, rules, tally)
                _store_rejects(connection, lake, read, dates, now)
                notes = {_note(file): _state(file, settings) for file in read}
                _store_messages(connection, staging, lake, notes, tally)
                staging.clear()
    return tally


def days_read(days: Collection[date], *, lake: Lake, settings: Settings) -> list[date]:
    """Return those of some partitions whose logs are all read as they are now, and that have one.

    Raises:
        LakeError: the lake can't be read.
    """
    present = lake.snapshot(SENT_MESSAGES)

    def is_read(day: date) -> bool:
        found = find_log_files(settings.sent_logs, [day])
        return bool(found) and all(present.transaction(_note(file)) == _state(file, settings) for file in found)

    return [day for day in sorted(days) if is_read(day)]


def unread_logs(*, lake: Lake, settings: Settings) -> list[LogFile]:
    """List the logs, of whatever day, that are new or have changed since they were read; none is opened.

    Raises:
        LakeError: the lake can't be read.
    """
    present = lake.snapshot(SENT_MESSAGES)
    return [
        file
        for file in find_log_files(settings.sent_logs, None)
        if present.transaction(_note(file)) != _state(file, settings)
    ]


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


def _note(file: LogFile) -> str:
    """Name of the application transaction that says which state of a log was read."""
    return f"sent_log:{file.label}"


def _state(file: LogFile, settings: Settings) -> int:
    """Number of 63 bits for a log's size and modification time, and for the settings that it is read with."""
    read_with = (settings.sent_log_timezone.key, settings.app_id, settings.start_date, file.file_date)
    text = repr((file.size, file.mtime_ns, read_with))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def _stage_group(
    connection: duckdb.DuckDBPyConnection,
    staging: Staging,
    waiting: deque[LogFile],
    rules: LogRules,
    tally: CollectTally,
) -> list[LogFile]:
    """Read logs into `staging` and the tables of `staging.sql` until there are enough; return those read to their end.

    What was read of the others is staged too; they are not noted as read, and are read again by the next run.
    """
    connection.execute(query("collect/sql/staging"))
    read: list[LogFile] = []
    while waiting and staging.rows < GROUP_ROWS:
        file = waiting.popleft()
        try:
            _stage(connection, staging, file, rules)
            read.append(file)
        except LogFileGone as gone:
            logger.warning("%s", gone)
            tally.files_gone.append(file.label)
        except LogFileUnreadable as unreadable:
            tally.failures.append(f"SMS_SENT_LOGS: {unreadable}")
    tally.files_read += len(read)
    return read


def _stage(connection: duckdb.DuckDBPyConnection, staging: Staging, file: LogFile, rules: LogRules) -> None:
    for chunk in read_sent_log(file, rules):
        staging.add(chunk.messages)
        if chunk.rejects.num_rows:
            connection.register("chunk", chunk.rejects)
            connection.execute("INSERT INTO staged_rejects BY NAME SELECT * FROM chunk")
            connection.unregister("chunk")


def _store_messages(
    connection: duckdb.DuckDBPyConnection,
    staging: Staging,
    lake: Lake,
    notes: Mapping[str, int],
    tally: CollectTally,
) -> None:
    """Store what is new of `staging`, and note which logs it came from, in one commit."""

    def store() -> list[DataFile]:
        present = lake.snapshot(SENT_MESSAGES)
        files = _new_messages(connection, staging, lake, present)
        lake.commit(present, add=files, transactions=notes)
        return files

    _count(connection, staging.rows, retry(store), tally)


def _new_messages(
    connection: duckdb.DuckDBPyConnection, staging: Staging, lake: Lake, present: Snapshot
) -> list[DataFile]:
    """Give files of the messages of `staging` that the lake does not have: its own, where none of them is doubtful."""
    staged = staging.files()
    days = sorted({file.sent_date for file in staged})
    near = {day + step * _ONE_DAY for day in days for step in (-1, 0, 1)}
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


def _count(
    connection: duckdb.DuckDBPyConnection, messages: int, files: Sequence[DataFile], tally: CollectTally
) -> None:
    ((rejects,),) = rows_of(connection, "SELECT count(*) FROM staged_rejects")
    stored = sum(file.rows for file in files)
    tally.records += messages + rejects
    tally.stored += stored
    tally.duplicates += messages - stored
    tally.rejected += rejects
    for file in files:
        if file.sent_date is not None:
            tally.stored_by_day[file.sent_date] = tally.stored_by_day.get(file.sent_date, 0) + file.rows
    for code, rows in rows_of(connection, query("collect/sql/rejected_by_reason")):
        tally.rejected_by_reason[code] = tally.rejected_by_reason.get(code, 0) + rows


def _store_rejects(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    read: Sequence[LogFile],
    dates: Collection[date | None],
    now: datetime,
) -> None:
    """Make the rejects of the logs read what this reading says: add new ones, drop those that were mended.

    Of logs that were not read to their end new rejects are added, and none is dropped.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE files_read (file VARCHAR)")
    if read:
        connection.executemany("INSERT INTO files_read VALUES (?)", [(file.label,) for file in read])

    def store() -> None:
        present = lake.snapshot(REJECTED_RECORDS)
        add, remove = _changed_rejects(connection, lake, present, dates, now)
        if add or remove:
            version = (present.transaction(_REJECTS_NOTE) or 0) + 1
            lake.commit(present, add=add, remove=remove, transactions={_REJECTS_NOTE: version})

    retry(store)


_REJECTS_NOTE: Final = "sent_log_rejects"


def _changed_rejects(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    present: Snapshot,
    dates: Collection[date | None],
    now: datetime,
) -> tuple[list[DataFile], list[DataFile]]:
    add: list[DataFile] = []
    remove: list[DataFile] = []
    for day in sorted(dates, key=str):
        there = present.of([day])
        show_files(connection, REJECTED_RECORDS, there)
        parameters = {"day": day.isoformat() if day else None, "now": now}
        connection.execute(query("collect/sql/rejects_now"), parameters)
        ((mended, new),) = rows_of(connection, query("collect/sql/rejects_change"))
        if not mended and not new:
            continue
        select = "SELECT * FROM rejects_now" + ("" if mended else " WHERE is_new")
        file = write_partition(connection, lake, REJECTED_RECORDS, select=select, day=day)
        add += [file] if file else []
        remove += there if mended else []
    return add, remove
