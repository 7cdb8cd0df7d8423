"""Rejects of sent logs, stored in `rejected_records` and counted.

Belongs here: staging rejects in DuckDB, and updating the table to the latest reading of each log.
Does not belong here: why a record is rejected (`rejects`, `records`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import Final

import duckdb
import pyarrow as pa

from pipeline.collect.files import LogFile
from pipeline.collect.log_heads import begins_like, head_of
from pipeline.collect.told import Told, by_log, told_in
from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.queries import query, rows_of, show_files, write_partition
from pipeline.model.tables import REJECTED_RECORDS

_NOTE: Final = "sent_log_rejects"
"""Application transaction of commits of rejects: two runs can't both commit the same version."""
_HEAD: Final = "sent_log_head:"
_SIZE: Final = "sent_log_size:"
"""Beginnings of the application transactions that say how a log with rejects began, and its size."""


class StagedRejects:
    """The rejects of a group of logs, in a table of a connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Start without rejects."""
        self._connection = connection
        connection.execute(query("collect/sql/staging"))

    def add(self, rejects: pa.Table) -> None:
        """Add rejects of `reading.REJECTS_SCHEMA`."""
        if rejects.num_rows:
            self._connection.register("chunk", rejects)
            self._connection.execute("INSERT INTO staged_rejects BY NAME SELECT * FROM chunk")
            self._connection.unregister("chunk")

    def told(self) -> list[Told]:
        """Count them by reason."""
        return told_in(self._connection, "staged_rejects")

    def by_log(self) -> dict[str, dict[str, int]]:
        """Count them by log and code."""
        return by_log(self._connection, "staged_rejects")

    def store(self, lake: Lake, read: Sequence[LogFile], dates: Collection[date | None], now: datetime) -> None:
        """Store new rejects, and delete stored ones whose lines were fixed.

        A log that shrank or begins with other bytes is another one: the rejects of the former stay, under its name and
        the time when it was found to be replaced, unless the former is there under a new name.

        Args:
            lake: where they are stored.
            read: logs that were read to their end; stored rejects of other logs are kept.
            dates: dates of the logs.
            now: `rejected_at` of new rejects.

        Raises:
            LakeError: the lake can't be read or written.
        """
        heads = {file.label: head_of(file) for file in read}
        rejected = self.by_log()

        def commit() -> None:
            present = lake.snapshot(REJECTED_RECORDS)
            self._show_read(read, present, now)
            add, remove = self._changes(lake, present, dates, now)
            notes = {_HEAD + label: head for label, head in heads.items() if head is not None and label in rejected}
            notes |= {_SIZE + file.label: file.size for file in read if file.label in rejected}
            notes = {name: value for name, value in notes.items() if present.transaction(name) != value}
            if add or remove or notes:
                version = (present.transaction(_NOTE) or 0) + 1
                lake.commit(present, add=add, remove=remove, transactions=notes | {_NOTE: version})

        retry(commit)

    def _show_read(self, read: Sequence[LogFile], present: Snapshot, now: datetime) -> None:
        """Make tables of the logs that were read, and of those that replaced another of their name."""
        self._connection.execute("CREATE OR REPLACE TEMP TABLE files_read (file VARCHAR)")
        self._connection.execute("CREATE OR REPLACE TEMP TABLE former_logs (file VARCHAR, kept_as VARCHAR)")
        if read:
            self._connection.executemany("INSERT INTO files_read VALUES (?)", [(file.label,) for file in read])
        former = [file.label for file in read if _is_another(file, read, present)]
        if former:
            kept = f"(replaced {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ})"
            rows = [(label, f"{label} {kept}") for label in former]
            self._connection.executemany("INSERT INTO former_logs VALUES (?, ?)", rows)

    def _changes(
        self, lake: Lake, present: Snapshot, dates: Collection[date | None], now: datetime
    ) -> tuple[list[DataFile], list[DataFile]]:
        """Return files to add and files to remove."""
        add: list[DataFile] = []
        remove: list[DataFile] = []
        for day in sorted(dates, key=str):
            there = present.of([day])
            show_files(self._connection, REJECTED_RECORDS, there)
            parameters = {"day": day.isoformat() if day else None, "now": now}
            self._connection.execute(query("collect/sql/rejects_now"), parameters)
            ((fixed, new),) = rows_of(self._connection, query("collect/sql/rejects_change"))
            if not fixed and not new:
                continue
            select = "SELECT * FROM rejects_now" + ("" if fixed else " WHERE is_new")
            file = write_partition(self._connection, lake, REJECTED_RECORDS, select=select, day=day)
            add += [file] if file else []
            remove += there if fixed else []
        return add, remove


def _is_another(file: LogFile, read: Sequence[LogFile], present: Snapshot) -> bool:
    """Tell whether a log replaced one of its name that is gone: no log that was read begins like it."""
    head, size = present.transaction(_HEAD + file.label), present.transaction(_SIZE + file.label) or 0
    if head is None or (file.size >= size and begins_like(file, head)):
        return False
    return not any(begins_like(other, head) for other in read if other.label != file.label)
