"""Use case: read the sent logs of some days into `sent_messages`.

Belongs here: which logs are read, and storing their new messages.
Does not belong here: reading one log (`reading`), storing rejects (`rejected_records`).

A log is skipped if neither it (path, size, modification time) nor a setting that it is read with has changed since it
was read. One commit stores messages, replaces corrected ones and notes that their logs were read, so two runs can't
store a message twice; rejects are committed before. A log that vanishes, shrinks or is renamed removes nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import duckdb

from pipeline.collect.corrections import Change, Comparison
from pipeline.collect.fields import FieldNames
from pipeline.collect.files import LogFile, LogFileGone, LogFileUnreadable, find_log_files
from pipeline.collect.reading import read_sent_log
from pipeline.collect.records import LogRules
from pipeline.collect.rejected_records import StagedRejects
from pipeline.collect.staging import Staging
from pipeline.collect.told import Told, is_unusable, unusable_lines
from pipeline.lake.lake import Lake, Snapshot, retry
from pipeline.lake.moves import answers_follow, finish_moves, has_unfinished_moves
from pipeline.lake.queries import database
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import SENT_MESSAGES

logger = logging.getLogger(__name__)

_REPEATS: Final = "sent_log_repeats:"
_UNUSABLE: Final = "sent_log_unusable:"
"""Beginning of the application transaction whose version is the state in which a log is mostly unusable."""
GROUP_ROWS: Final = 5_000_000
"""Messages staged on disk before they are stored: bounds scratch space, not memory."""


@dataclass
class CollectTally:
    """What collecting did; `records == stored + duplicates + rejected`.

    Attributes:
        files_gone: logs that were deleted before they were read to their end.
        duplicates: messages that the lake or an earlier record had already, corrected ones included.
        corrected: messages that the lake had with another app, time, number or sender.
        told: rejects by code.
        failures: logs that could not be read or are mostly unusable, one line each, for a person.
    """

    files_matched: int = 0
    files_read: int = 0
    files_gone: list[str] = field(default_factory=list)
    records: int = 0
    stored: int = 0
    duplicates: int = 0
    corrected: int = 0
    rejected: int = 0
    stored_by_day: Counter[date] = field(default_factory=Counter)
    told: dict[str, Told] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def collect(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> CollectTally:
    """Read the logs of some partitions: files whose date is one of them or a day either side.

    Records more than a day after `now`, the run's start, are rejected.

    Raises:
        LakeError: the lake can't be read or written.
    """
    found = find_log_files(settings.sent_logs, days)
    tally = CollectTally(files_matched=len(found))
    waiting = deque(_unread(found, lake, settings))
    if waiting or has_unfinished_moves(lake):
        _read(waiting, lake, settings, now, tally)
    present = lake.snapshot(SENT_MESSAGES)
    unusable = [file.label for file in found if present.transaction(_UNUSABLE + file.label) == _state(file, settings)]
    tally.failures += unusable_lines(unusable, lake=lake, settings=settings)
    return tally


def _read(waiting: deque[LogFile], lake: Lake, settings: Settings, now: datetime, tally: CollectTally) -> None:
    with (
        database(lake, settings) as connection,
        lake.scratch() as scratch,
        Staging(scratch / "staged") as staging,
    ):
        finish_moves(connection, lake)
        group = _Group(connection, lake, settings, log_rules(settings, now), staging, tally)
        while waiting:
            group.start()
            group.stage(waiting)
            group.stage_witnesses(waiting)
            group.store()


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
        labels=settings.sent_log_labels,
        fields=dict(settings.sent_log_fields),
        time_format=settings.sent_log_time_format,
    )


def _unread(files: Iterable[LogFile], lake: Lake, settings: Settings) -> list[LogFile]:
    present = lake.snapshot(SENT_MESSAGES)
    return [file for file in files if present.transaction(_note(file)) != _state(file, settings)]


def _note(file: LogFile) -> str:
    """Name of the application transaction that says which state of a log was read."""
    return f"sent_log:{file.label}"


def _repeats(file: LogFile) -> str:
    """Name of the application transaction that marks a log with a message that counts from another log."""
    return _REPEATS + file.label


def _state(file: LogFile, settings: Settings) -> int:
    """Number of 63 bits for a log's size and modification time, and for the settings that it is read with."""
    read_with = (*settings.logs_read_with, file.file_date)
    text = repr((file.size, file.mtime_ns, read_with))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


@dataclass
class _Group:
    """Logs that are read and stored together.

    Attributes:
        good: messages that were read, by label of their log.
        dates: dates of all logs that were opened, by label.
        read: logs that were read to their end. Records of the others are staged too; their logs are not noted as
            read, and the next run reads them again.
        unfinished: labels of logs whose last record is not whole and may still be; they are not noted as read either.
    """

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    settings: Settings
    rules: LogRules
    staging: Staging
    tally: CollectTally
    read: list[LogFile] = field(default_factory=list)
    unfinished: set[str] = field(default_factory=set)
    good: Counter[str] = field(default_factory=Counter)
    dates: dict[str, date | None] = field(default_factory=dict)
    rejects: StagedRejects = field(init=False)
    _latest: Comparison | None = None

    def start(self) -> None:
        """Forget the logs of the group before."""
        self.staging.clear()
        self.read.clear()
        self.unfinished.clear()
        self.good.clear()
        self.dates.clear()
        self._latest = None
        self.rejects = StagedRejects(self.connection)

    def stage(self, waiting: deque[LogFile]) -> None:
        """Read logs until GROUP_ROWS messages are staged."""
        while waiting and self.staging.rows < GROUP_ROWS:
            self._stage(waiting.popleft())

    def stage_witnesses(self, waiting: deque[LogFile]) -> None:
        """Read the logs that repeat messages of other logs and may hold some that the group corrects."""
        present = self.lake.snapshot(SENT_MESSAGES)
        while witnesses := self._witnesses(present):
            for file in witnesses:
                if file in waiting:
                    waiting.remove(file)
                self._stage(file)

    def _witnesses(self, present: Snapshot) -> list[LogFile]:
        days = self._compared(present).days_corrected()
        near = find_log_files(self.settings.sent_logs, days) if days else []
        return [file for file in near if file.label not in self.dates and present.transaction(_repeats(file))]

    def _stage(self, file: LogFile) -> None:
        self._latest = None
        self.dates[file.label] = file.file_date
        try:
            names = FieldNames(self.rules.labels, self.rules.fields)
            for chunk in read_sent_log(file, self.rules, names=names):
                self.staging.add(chunk.messages)
                self.good[file.label] += chunk.messages.num_rows
                self.rejects.add(chunk.rejects)
                if chunk.is_unfinished and file.is_being_written(self.rules.now):
                    self.unfinished.add(file.label)
            self.read.append(file)
            self.tally.files_read += 1
            if names.seen and names.lacking:
                logger.warning("%s has no field %s; fix SMS_SENT_LOG_FIELDS", file.label, ", ".join(names.lacking))
        except LogFileGone as gone:
            logger.warning("%s", gone)
            self.tally.files_gone.append(file.label)
        except LogFileUnreadable as unreadable:
            self.tally.failures.append(f"SMS_SENT_LOGS: {unreadable}")

    def store(self) -> None:
        """Store rejects, then in one commit messages and the note of which logs they came from."""
        self.rejects.store(self.lake, [file.label for file in self.read], set(self.dates.values()), self.rules.now)
        _count_rejects(self.rejects, self.tally)
        _count_messages(self.staging.rows, retry(self._commit), self.tally)

    def _commit(self) -> Change:
        present = self.lake.snapshot(SENT_MESSAGES)
        compared = self._compared(present)
        change = compared.change()
        states = {file.label: _state(file, self.settings) for file in self.read}
        notes = {_note(file): states[file.label] for file in self.read if file.label not in self.unfinished}
        rejected = self.rejects.by_log()
        unusable = [label for label in states if is_unusable(self.good[label], rejected.get(label, {}))]
        notes |= {_UNUSABLE + label: states[label] for label in unusable}
        notes |= {_REPEATS + label: 1 for label in change.repeating}
        with answers_follow(self.connection, self.lake, compared.moves):
            self.lake.commit(present, add=change.add, remove=change.remove, transactions=notes | self._guards(present))
        return change

    def _guards(self, present: Snapshot) -> dict[str, int]:
        """Return transactions of the days: of two runs that store messages of one day the second compares again."""
        days = {file.sent_date + timedelta(days=step) for file in self.staging.files() for step in (-1, 0, 1)}
        names = [f"{SENT_MESSAGES.name}/{day}" for day in sorted(days)]
        return {name: (present.transaction(name) or 0) + 1 for name in names}

    def _compared(self, present: Snapshot) -> Comparison:
        if self._latest is not None and self._latest.present is present:
            return self._latest
        read_before = [file for file in self.read if present.transaction(_note(file)) is not None]
        days = {file.file_date + timedelta(days=step) for file in read_before if file.file_date for step in (-1, 0, 1)}
        if any(file.file_date is None for file in read_before):
            days.update(present.days())
        staged, read = self.staging.files(), [file.label for file in self.read]
        self._latest = Comparison(self.connection, self.lake, present, staged=staged, read=read, days=days)
        return self._latest


def _count_messages(read: int, change: Change, tally: CollectTally) -> None:
    stored = change.stored_by_day.total()
    tally.records += read
    tally.stored += stored
    tally.duplicates += read - stored
    tally.corrected += change.corrected
    tally.stored_by_day += change.stored_by_day


def _count_rejects(rejects: StagedRejects, tally: CollectTally) -> None:
    for told in rejects.told():
        tally.records += told.records
        tally.rejected += told.records
        earlier = tally.told.get(told.code)
        tally.told[told.code] = earlier.and_of_later_logs(told) if earlier else told
