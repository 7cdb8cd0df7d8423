"""Stores the platform's record of a day of an app: pages to scratch space, then all in place of the former ones.

What belongs here: staging, replacing, the note that the day was read. What does not: requests (`record_reader.py`),
which days are read (`reconcile.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from pipeline.follow.rows import StoredRows
from pipeline.lake.lake import DataFile, Lake, retry
from pipeline.lake.parquet import PartitionFile, arrow_schema
from pipeline.lake.queries import (
    Scalar,
    database,
    literal,
    query,
    relation,
    rows_of,
    show_files,
    show_staged,
    write_partition,
)
from pipeline.model.settings import Settings
from pipeline.model.tables import PARTITION_KEY, PLATFORM_RECORD, RECORD_READS, REJECTED_RECORDS, Table

if TYPE_CHECKING:
    from pipeline.api.envelope import AnsweredCall
    from pipeline.api.windows import Window

_ONE_DAY = timedelta(days=1)


@dataclass
class DayOfRecord:
    """A day of an app's record while it is read.

    Attributes:
        window: the span that is read.
        read_at: when the reading began.
        rejected: rows that were rejected.
        forgotten: rows whose number was dropped, since it was erased before (`forget`).
    """

    window: Window
    day: date
    read_at: datetime
    rows: StoredRows
    folder: Path
    rejected: int = 0
    forgotten: int = 0

    def __post_init__(self) -> None:
        """Create the file that pages are written to."""
        place = self.folder / f"{PARTITION_KEY}={self.day}"
        place.mkdir()
        self._file = PartitionFile(place / "read.parquet", PLATFORM_RECORD)
        self._rejects: list[pa.Table] = []

    def add(self, page: AnsweredCall) -> list[str]:
        """Write the rows of a page to scratch space; return their ids."""
        from pipeline.api.sent_record import flatten_record  # noqa: PLC0415 - pandas: 0.3 s that other commands save

        flat = flatten_record(page, self.day, read_at=self.read_at)
        stored = self.rows.record(flat.rows)
        self._file.write(stored)
        self.rejected += len(flat.rejects)
        self.forgotten += self.rows.count_forgotten(flat.rows)
        if len(flat.rejects):
            self._rejects.append(self.rows.rejects(flat.rejects))
        return [str(msg_id) for msg_id in stored["msg_id"].to_pylist()]

    def close(self) -> None:
        """Complete the file in scratch space."""
        self._file.close()

    def store(self, lake: Lake, settings: Settings, *, missing: int | None, requests: int) -> int:
        """Replace what the lake has of the day, and note that it was read; return the messages in the record.

        `close` comes first.

        Raises:
            LakeError: the lake can't be written.
        """
        if self._rejects:
            rejects = pa.concat_tables(self._rejects)
            lake.append(REJECTED_RECORDS, [lake.write(REJECTED_RECORDS, rejects, self.day)])
        with database(lake, settings) as connection:
            show_staged(connection, "read_rows", PLATFORM_RECORD, [self._file.path] if self._file.rows else [])
            recorded = self._replace(connection, lake, PLATFORM_RECORD, lambda: self._record_file(connection, lake))
            read = self._read_row(settings, recorded=recorded, missing=missing, requests=requests)
            self._replace(connection, lake, RECORD_READS, lambda: lake.write(RECORD_READS, read, self.day))
        return recorded

    def _record_file(self, connection: duckdb.DuckDBPyConnection, lake: Lake) -> DataFile | None:
        """Write each message once; one that a day beside has, whose window shares an end, stays there."""
        beside = lake.snapshot(PLATFORM_RECORD).of([self.day - _ONE_DAY, self.day + _ONE_DAY])
        show_files(connection, PLATFORM_RECORD, beside)
        select = query("follow/sql/record_of_day")
        return write_partition(connection, lake, PLATFORM_RECORD, select=select, day=self.day)

    def _read_row(self, settings: Settings, *, recorded: int, missing: int | None, requests: int) -> pa.Table:
        row = {
            "app_id": self.window.app_id,
            "sent_date": self.day,
            "starts_at": self.window.start,
            "ends_at": self.window.end,
            "read_at": self.read_at,
            "settled_before": self.read_at - settings.unknown_after,
            "recorded": recorded,
            "missing": missing,
            "requests": requests,
        }
        return pa.Table.from_pylist([row], schema=arrow_schema(RECORD_READS))

    def _replace(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        table: Table,
        write: Callable[[], DataFile | None],
    ) -> int:
        """Put a new file in place of the app's rows of the day, repeated after another's commit; return its rows."""
        app_id, name = self.window.app_id, f"{table.name}/{self.day}"

        def replace() -> int:
            present = lake.snapshot(table)
            new, add, remove = write(), [], []
            for file in present.of([self.day]):
                others = _rows_of_others(connection, table, file, app_id)
                if others == file.rows:
                    continue
                remove.append(file)
                if others:
                    select = f"SELECT * FROM ({relation(table, [file])}) WHERE app_id <> {literal(app_id)}"
                    rest = write_partition(connection, lake, table, select=select, day=self.day)
                    add += [rest] if rest else []
            add += [new] if new else []
            version = (present.transaction(name) or 0) + 1
            lake.commit(present, add=add, remove=remove, transactions={name: version})
            return new.rows if new else 0

        return retry(replace)


def _rows_of_others(connection: duckdb.DuckDBPyConnection, table: Table, file: DataFile, app_id: str) -> int:
    """Return how many rows of a file are of other apps; compaction puts several apps into one file."""
    parameters: dict[str, Scalar] = {"app_id": app_id}
    select = f"SELECT count(*) FROM ({relation(table, [file])}) WHERE app_id <> $app_id"
    return int(rows_of(connection, select, parameters)[0][0])
