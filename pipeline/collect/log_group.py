"""Logs that are read and stored together, in one commit.

Belongs here: reading a group of logs, its commit, counting what came of it.
Does not belong here: which logs are read (`sent_messages`), what is new or corrected (`corrections`).
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute

from pipeline.collect.corrections import Change, Comparison
from pipeline.collect.fields import FieldNames
from pipeline.collect.files import LogFile, LogFileGone, LogFileUnreadable
from pipeline.collect.listing import list_logs
from pipeline.collect.log_notes import days_given, has_repeats, notes_of, state_of, waiting_notes
from pipeline.collect.reading import read_sent_log
from pipeline.collect.records import LogRules
from pipeline.collect.rejected_records import StagedRejects
from pipeline.collect.staging import Staging
from pipeline.collect.told import Told, is_unusable
from pipeline.lake.lake import Lake, Snapshot, retry
from pipeline.lake.moves import answers_follow
from pipeline.model.progress import Progress
from pipeline.model.settings import Settings
from pipeline.model.tables import SENT_MESSAGES

logger = logging.getLogger(__name__)

GROUP_ROWS: Final = 5_000_000
"""Messages staged on disk before they are stored: bounds scratch space, not memory."""
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


@dataclass
class CollectTally:
    """What collecting did; `records == stored + duplicates + rejected + dropped`.

    Attributes:
        files_gone: logs that were deleted before they were read to their end.
        duplicates: messages that the lake or an earlier record had already, corrected ones included.
        corrected: messages that the lake had with another app, time, number or sender.
        forgotten: messages whose number was dropped, since it was erased before (`forget`).
        dropped: records of days that were dropped (`SMS_KEEP_DAYS`), left out without a reject: it would keep them.
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
    forgotten: int = 0
    dropped: int = 0
    stored_by_day: Counter[date] = field(default_factory=Counter)
    told: dict[str, Told] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """Rejected records that are looked at again later."""
        return sum(told.records for told in self.told.values() if told.waits)


@dataclass
class ReadBytes:
    """How many bytes of the logs were read, of how many that are known to be read."""

    on_progress: Progress
    total: int
    done: int = 0

    def tell(self, file: LogFile, position: int) -> None:
        """Tell how far a log was read; one that is being written may have grown."""
        self.on_progress(self.done + min(position, file.size), self.total)

    def end(self, file: LogFile) -> None:
        """Count a log as read to its end, or as one that can't be."""
        self.done += file.size
        self.tell(file, 0)


@dataclass
class LogGroup:
    """Logs that are read and stored together.

    Attributes:
        good: messages that were read, by label of their log.
        spans: first and last day of the messages of logs without a date, by label.
        again: from when logs with a record in the future are read again, by label.
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
    read_bytes: ReadBytes
    read: list[LogFile] = field(default_factory=list)
    unfinished: set[str] = field(default_factory=set)
    good: Counter[str] = field(default_factory=Counter)
    spans: dict[str, tuple[date, date]] = field(default_factory=dict)
    again: dict[str, datetime] = field(default_factory=dict)
    dates: dict[str, date | None] = field(default_factory=dict)
    rejects: StagedRejects = field(init=False)
    _latest: Comparison | None = None

    def start(self) -> None:
        """Forget the logs of the group before."""
        self.staging.clear()
        self.read.clear()
        self.unfinished.clear()
        self.good.clear()
        self.spans.clear()
        self.again.clear()
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
                else:
                    self.read_bytes.total += file.size
                self._stage(file)

    def _witnesses(self, present: Snapshot) -> list[LogFile]:
        days = self._compared(present).days_corrected()
        near = list_logs(days, self.lake, self.settings) if days else []
        return [file for file in near if file.label not in self.dates and has_repeats(file, present)]

    def _stage(self, file: LogFile) -> None:
        self._latest = None
        self.dates[file.label] = file.file_date
        try:
            names = FieldNames(self.rules.labels, self.rules.fields)
            for chunk in read_sent_log(file, self.rules, names=names):
                self.staging.add(chunk.messages)
                self._count(file, chunk.messages)
                self.good[file.label] += chunk.dropped  # no fault of the log
                self.tally.records += chunk.dropped
                self.tally.dropped += chunk.dropped
                self.tally.forgotten += chunk.forgotten
                self.rejects.add(chunk.rejects)
                if chunk.again_at:
                    self.again[file.label] = min(chunk.again_at, self.again.get(file.label, chunk.again_at))
                self.read_bytes.tell(file, chunk.position)
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
        self.read_bytes.end(file)

    def _count(self, file: LogFile, messages: pa.Table) -> None:
        self.good[file.label] += messages.num_rows
        if file.file_date is None and messages.num_rows:
            days: dict[str, date] = _pc.min_max(messages["sent_date"]).as_py()
            first, last = self.spans.get(file.label, (days["min"], days["max"]))
            self.spans[file.label] = min(first, days["min"]), max(last, days["max"])

    def store(self) -> None:
        """Store rejects, then in one commit messages and the note of which logs they came from."""
        self.rejects.store(self.lake, self.read, set(self.dates.values()), self.rules.now)
        _count_rejects(self.rejects, self.tally, min(self.again.values(), default=None))
        _count_messages(self.staging.rows, retry(self._commit), self.tally)

    def _commit(self) -> Change:
        present = self.lake.snapshot(SENT_MESSAGES)
        compared = self._compared(present)
        change = compared.change()
        states = {file.label: state_of(file, self.settings) for file in self.read}
        rejected = self.rejects.by_log()
        unusable = [label for label in states if is_unusable(self.good[label], rejected.get(label, {}))]
        notes = notes_of(
            states, unfinished=self.unfinished, unusable=unusable, repeating=change.repeating, spans=self.spans
        )
        notes |= waiting_notes(states, present, again=self.again, unfinished=self.unfinished, now=self.rules.now)
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
        days = {day for file in self.read for day in days_given(file, present)}
        staged, read = self.staging.files(), [file.label for file in self.read]
        self._latest = Comparison(
            self.connection, self.lake, present, staged=staged, read=read, days=days, is_there=self._is_there
        )
        return self._latest

    def _is_there(self, label: str) -> bool:
        """Say whether there is a log by its stored name, which is no path where it held a number."""
        return Path(label).exists() or label in {file.label for file in list_logs(None, self.lake, self.settings)}


def _count_messages(read: int, change: Change, tally: CollectTally) -> None:
    stored = change.stored_by_day.total()
    tally.records += read
    tally.stored += stored
    tally.duplicates += read - stored
    tally.corrected += change.corrected
    tally.stored_by_day += change.stored_by_day


def _count_rejects(rejects: StagedRejects, tally: CollectTally, again_at: datetime | None) -> None:
    for told in (each.until(again_at) for each in rejects.told()):
        tally.records += told.records
        tally.rejected += told.records
        earlier = tally.told.get(told.code)
        tally.told[told.code] = earlier.and_of_later_logs(told) if earlier else told
