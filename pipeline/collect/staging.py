"""Messages that were read and are not stored yet, on disk by day: memory does not grow with their number.

Belongs here: writing them to files. Does not belong here: which are new (`sql/`), storing them (`sent_messages`).

The files are Parquet like those of `sent_messages`: if all messages of a day are new, its files become part of
the table as they are. A thread writes them while the next messages are read.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.compute

from pipeline.lake.parquet import ROWS_AT_ONCE, PartitionFile
from pipeline.model.tables import PARTITION_KEY, SENT_MESSAGES

OPEN_FILES: Final = 32
"""Most files open at once; the next day closes them all and later messages go to new files."""
_pc: Any = pyarrow.compute  # its stubs know no filter by a value


@dataclass(frozen=True)
class StagedFile:
    """A closed file of messages of one day, in the order in which they were read."""

    path: Path
    sent_date: date
    rows: int


class Staging:
    """Messages in files of a folder, a subfolder for each day; a context manager that ends its thread."""

    def __init__(self, folder: Path) -> None:
        """Start without messages; the folder is created when it is needed."""
        self.rows = 0
        self._folder = folder
        self._waiting: list[pa.Table] = []
        self._open: dict[date, PartitionFile] = {}
        self._files: list[StagedFile] = []
        self._thread = ThreadPoolExecutor(1, "staging")
        self._written: Future[None] | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread; open files stay incomplete."""
        self._thread.shutdown()

    def add(self, messages: pa.Table) -> None:
        """Add messages of any days; they are written in groups.

        Raises:
            OSError: earlier ones could not be written.
        """
        self.rows += messages.num_rows
        self._waiting.append(messages)
        if sum(table.num_rows for table in self._waiting) >= ROWS_AT_ONCE:
            self._hand_over()

    def files(self) -> list[StagedFile]:
        """Return all messages as closed files, ordered by day; later messages go to new files.

        Raises:
            OSError: they could not be written.
        """
        self._hand_over()
        self._wait()
        self._close()
        return sorted(self._files, key=lambda file: file.sent_date)

    def clear(self) -> None:
        """Delete all files."""
        for file in self.files():
            file.path.unlink()
        self._files.clear()
        self.rows = 0

    def _hand_over(self) -> None:
        self._wait()  # at most one group is being written while the next one is gathered
        if self._waiting:
            self._written = self._thread.submit(self._write, pa.concat_tables(self._waiting))
            self._waiting = []

    def _wait(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _write(self, messages: pa.Table) -> None:
        days = _pc.unique(messages[PARTITION_KEY]).to_pylist()
        for day in days:
            of_day = messages.filter(_pc.field(PARTITION_KEY) == day) if len(days) > 1 else messages
            self._file(day).write(of_day)

    def _file(self, day: date) -> PartitionFile:
        if day not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._close()
            folder = self._folder / f"{PARTITION_KEY}={day}"
            folder.mkdir(parents=True, exist_ok=True)
            self._open[day] = PartitionFile(folder / f"{len(self._files)}.parquet", SENT_MESSAGES)
        return self._open[day]

    def _close(self) -> None:
        for day, file in self._open.items():
            file.close()
            self._files.append(StagedFile(file.path, day, file.rows))
        self._open.clear()
