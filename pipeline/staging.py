"""Messages that were read and are not stored yet: on disk, by day, so that memory does not grow with them.

Belongs here: writing them down and reading them again, once or several times. Does not belong here: which of them
are new (`sql/`), when they are stored (`collect`).

They lie in Arrow's own format: a table of DuckDB costs ten times as much CPU, and is read no faster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute
import pyarrow.ipc

OPEN_FILES: Final = 32
"""Days that are written at the same time; more close their files and begin others."""
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_pc: Any = pyarrow.compute  # its stubs know no filter by a value


class Staging:
    """Messages in files of a folder.

    Attributes:
        rows: how many there are.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """Start with none; `schema` is theirs, with `sent_date` among its columns."""
        folder.mkdir(exist_ok=True)
        self.rows = 0
        self._folder = folder
        self._schema = schema
        self._files: dict[date, list[Path]] = {}
        self._open: dict[date, pa.ipc.RecordBatchStreamWriter] = {}

    @property
    def days(self) -> list[date]:
        """The days on which they were sent."""
        return sorted(self._files)

    def add(self, messages: pa.Table) -> None:
        """Write messages of whatever days down."""
        self.rows += messages.num_rows
        for day in _pc.unique(messages["sent_date"]).to_pylist():
            of_day = messages.filter(_pc.field("sent_date") == day)
            self._writer(day).write_table(of_day)

    def read(self, days: Collection[date]) -> pa.RecordBatchReader:
        """Return a reader of the messages of some days, which can be read through once."""
        self._close()
        return pa.RecordBatchReader.from_batches(self._schema, self._batches(days))

    def clear(self) -> None:
        """Remove them."""
        self._close()
        for _, paths in sorted(self._files.items()):
            for path in paths:
                path.unlink()
        self._files.clear()
        self.rows = 0

    def _batches(self, days: Collection[date]) -> Iterator[pa.RecordBatch]:
        for path in [path for day in days for path in self._files[day]]:
            with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as batches:
                yield from batches

    def _writer(self, day: date) -> pa.ipc.RecordBatchStreamWriter:
        if day not in self._open:
            if len(self._open) >= OPEN_FILES:
                self._close()
            paths = self._files.setdefault(day, [])
            path = self._folder / f"{day}-{len(paths)}.arrow"
            self._open[day] = pa.ipc.new_stream(str(path), self._schema, options=_OPTIONS)
            paths.append(path)
        return self._open[day]

    def _close(self) -> None:
        for writer in self._open.values():
            writer.close()
        self._open.clear()
