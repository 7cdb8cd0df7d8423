"""Sent logs for tests: writing them, and reading them into plain rows."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.collect.files import LogFile
from pipeline.collect.reading import (
    MESSAGES_SCHEMA,
    REJECTS_SCHEMA,
    read_sent_log,
)
from pipeline.collect.records import LogRules
from pipeline.model.phone_numbers import NumberPolicy

DAY = date(2025, 6, 1)
SENT = {
    "msg_id": "2108021054011000095",
    "sent_at": "2025-06-01T08:00:00Z",
    "app_id": "app",
    "number": "4915112345678",
}
GOOD = json.dumps(SENT).encode()
ANSWER = {"status": "0", "array": [{"msgId": "1", "number": "4915112345678"}, {"msgId": 1.5}, {"msgId": "3"}]}
Row = dict[str, Any]


def rules(**changes: Any) -> LogRules:
    chosen: dict[str, Any] = {
        "log_zone": ZoneInfo("UTC"),
        "partition_zone": ZoneInfo("UTC"),
        "default_app_id": None,
        "start_date": date(2024, 1, 1),
        "now": datetime(2025, 6, 1, 12, tzinfo=UTC),
        "numbers": NumberPolicy(),
    }
    return LogRules(**chosen | changes)


RESTED: Final = datetime(2025, 6, 1, 10, tzinfo=UTC).timestamp()
"""When the logs of `writer` were last changed: they are complete."""


def listed(path: Path, file_date: date | None = DAY) -> LogFile:
    state = path.stat()
    return LogFile(path, file_date, state.st_size, state.st_mtime_ns)


Write = Callable[[str, bytes], LogFile]


def writer(folder: Path) -> Write:
    """Return a function that writes a log of some name and content, and lists it."""

    def write(name: str, content: bytes) -> LogFile:
        (folder / name).write_bytes(content)
        os.utime(folder / name, (RESTED, RESTED))
        return listed(folder / name)

    return write


def read(file: LogFile, **changes: Any) -> tuple[list[Row], list[Row]]:
    """Read a log in small chunks; return its messages and its rejects, having checked chunk for chunk."""
    messages: list[Row] = []
    rejects: list[Row] = []
    chunk_rows = changes.pop("chunk_rows", 3)
    for chunk in read_sent_log(file, rules(**changes), chunk_rows=chunk_rows):
        assert chunk.messages.schema == MESSAGES_SCHEMA
        assert chunk.rejects.schema == REJECTS_SCHEMA
        assert chunk.records == chunk.messages.num_rows + chunk.rejects.num_rows > 0
        messages += chunk.messages.to_pylist()
        rejects += chunk.rejects.to_pylist()
    return messages, rejects


def codes(rejects: Sequence[Row]) -> list[tuple[int, str]]:
    return [(reject["line"], reject["reason"].partition(":")[0]) for reject in rejects]


def lines(messages: Sequence[Row]) -> list[int]:
    return [message["line"] for message in messages]


def parquet(columns: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


RECORDS = [SENT | {"msg_id": str(10**18 + index), "order_id": str(index)} for index in range(7)]


def as_csv(records: Sequence[Row], delimiter: str = ",") -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, records[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(records)
    return sink.getvalue().encode()


def as_json(records: Sequence[Row]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)
