"""Writes what the API said to the lake: slices of answers, the calls that brought them, odd rows.

What belongs here: buffers and commits. What does not: asking (`client.py`), choosing whom to ask (`follow.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa

from pipeline.api.batches import Batch
from pipeline.api.codes import ReportStatus
from pipeline.api.flattening import Answer, Flattened, flatten_reports
from pipeline.lake.lake import DataFile, Lake, arrow_schema
from pipeline.lake.notes import forgotten_messages
from pipeline.model.countries import countries_of
from pipeline.model.phone_numbers import MAX_TEXT, NumberPolicy, mask_text, treat_number, treat_numbers
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, PARTITION_KEY, REJECTED_RECORDS, Table

if TYPE_CHECKING:
    import pandas as pd

SLICE_CALLS: Final = 100
"""Calls after which their answers are committed."""
SLICE_SECONDS: Final = 0.5
"""Shortest time between two commits of answers."""
SLICE_IDS: Final = 100_000
"""Ids at which answers are committed however little time has gone: about 30 MB, as ids and text of JSON."""
RAW_FIELD_LENGTH: Final = 100
"""Characters of each field of an odd row that are kept."""


@dataclass
class RecordTally:
    """What was recorded so far.

    Attributes:
        answers: rows of `delivery_reports`, by status.
        answers_by_day: the same rows, by partition.
        mismatches: calls whose counts or rows don't agree.
        rejected: odd rows of the API.
    """

    answers: dict[str, int] = field(default_factory=dict)
    answers_by_day: dict[date, int] = field(default_factory=dict)
    mismatches: int = 0
    rejected: int = 0

    @property
    def final(self) -> int:
        """Answers that decided a message."""
        return sum(self.answers.get(status, 0) for status in ("delivered", "failed", "invalid_id"))


@dataclass
class _Slice:
    answers: list[Answer] = field(default_factory=list)
    invalid: list[dict[str, object]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    ids: int = 0


class Recorder:
    """Buffers answers and commits them in slices, at most two slices in memory.

    Args:
        lake: where they go.
        numbers: what is done to phone numbers before.
        on_commit: called after each commit with the tally so far.
        tick: monotonic seconds.
    """

    def __init__(
        self,
        lake: Lake,
        numbers: NumberPolicy,
        on_commit: Callable[[RecordTally], None],
        *,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tally = RecordTally()
        self._lake = lake
        self._numbers = numbers
        self._forgotten = {msg_id for _, msg_id in forgotten_messages(lake)}
        self._on_commit = on_commit
        self._tick = tick
        self._slice = _Slice()
        self._committed_at = tick()
        self._writing = threading.Lock()
        self._turn = asyncio.Lock()

    def answer(self, answer: Answer, call: dict[str, Any]) -> None:
        """Take a status-0 answer and the row of its call."""
        self._slice.answers.append(answer)
        self._slice.calls.append(call)
        self._slice.ids += len(answer.asked)

    def call(self, call: dict[str, Any]) -> None:
        """Take the row of a call that brought no answer."""
        self._slice.calls.append(call)

    def invalid_id(self, batch: Batch, call_id: str, observed_at: datetime) -> None:
        """Take an id that the API refuses."""
        self._slice.invalid.append(
            {
                "app_id": batch.app_id,
                "msg_id": batch.msg_ids[0],
                "status": ReportStatus.INVALID_ID.value,
                "observed_at": observed_at,
                "call_id": call_id,
                "sent_date": batch.sent_date,
            }
        )
        self._slice.ids += 1

    async def commit_if_full(self) -> None:
        """Commit the slice if it is due; whoever comes while one is written and the next is full, waits."""
        if not self._is_due():
            return
        async with self._turn:
            if self._is_due():
                await asyncio.shield(asyncio.to_thread(self._write, self._take()))

    def close(self) -> None:
        """Commit what is left, after a commit under way."""
        self._write(self._take())

    def _is_due(self) -> bool:
        if self._slice.ids >= SLICE_IDS:
            return True
        return len(self._slice.calls) >= SLICE_CALLS and self._tick() - self._committed_at >= SLICE_SECONDS

    def _take(self) -> _Slice:
        taken, self._slice = self._slice, _Slice()
        return taken

    def _write(self, taken: _Slice) -> None:
        with self._writing:
            if not taken.calls and not taken.invalid:
                return
            flattened = flatten_reports(taken.answers)
            self._append(DELIVERY_REPORTS, self._reports(flattened.reports, taken.invalid))
            self._append(REJECTED_RECORDS, self._rejects(flattened.rejects))
            self._append(API_CALLS, self._calls(taken.calls, flattened))
            self._count(flattened, taken)
            self._committed_at = self._tick()
        self._on_commit(self.tally)

    def _reports(self, frame: pd.DataFrame, invalid: Sequence[dict[str, object]]) -> pa.Table:
        schema = arrow_schema(DELIVERY_REPORTS)
        country = pa.field("country", pa.string())
        known = schema.remove(schema.get_field_index(country.name))
        table = pa.Table.from_pandas(
            frame, schema=known, preserve_index=False, nthreads=1
        )  # starting threads costs more
        numbers = table["number"]
        treated = self._without_forgotten(table["msg_id"], treat_numbers(numbers, self._numbers))
        table = table.set_column(table.column_names.index("number"), "number", treated)
        table = table.append_column(country, countries_of(numbers))
        if table["extra"].null_count < table.num_rows:
            extra = [None if e is None else _fit_json(e, self._numbers) for e in table["extra"].to_pylist()]
            table = table.set_column(table.column_names.index("extra"), "extra", pa.array(extra, pa.string()))
        return pa.concat_tables([table.select(schema.names), pa.Table.from_pylist(list(invalid), schema=schema)])

    def _without_forgotten(self, msg_ids: pa.ChunkedArray[Any], numbers: pa.Array[Any]) -> pa.Array[Any]:
        """Leave out the numbers that were erased from the lake (`forget`)."""
        if not self._forgotten:
            return numbers
        pairs = zip(msg_ids.to_pylist(), numbers.to_pylist(), strict=True)
        return pa.array([None if msg_id in self._forgotten else number for msg_id, number in pairs], pa.string())

    def _rejects(self, frame: pd.DataFrame) -> pa.Table:
        rows = [
            {
                "source": "api",
                "file": row["call_id"],
                "line": None,
                "item": row["item"],
                "reason": row["reason"],
                "raw": self._raw(row),
                "sent_date": row["sent_date"],
                "rejected_at": row["rejected_at"],
            }
            for row in frame.to_dict("records")
        ]
        return pa.Table.from_pylist(rows, schema=arrow_schema(REJECTED_RECORDS))

    def _raw(self, row: dict[Any, Any]) -> str:
        msg_id, number = row["msg_id"], row["number"]
        is_kept = isinstance(number, str) and msg_id not in self._forgotten
        fields = {
            "msgId": msg_id if isinstance(msg_id, str) and msg_id.strip().isdigit() else self._masked(msg_id),
            "receiveTime": self._masked(row["receive_time"]),
            "status": self._masked(row["status"]),
            "number": treat_number(number, self._numbers) or "" if is_kept else None,
        }
        kept = {name: text[:RAW_FIELD_LENGTH] for name, text in fields.items() if text is not None}
        return msgspec.json.encode(kept).decode()

    def _masked(self, value: object) -> str | None:
        return mask_text(value, self._numbers) if isinstance(value, str) else None

    def _calls(self, calls: Sequence[dict[str, Any]], flattened: Flattened) -> pa.Table:
        rows = [
            call | {"outcome": "mismatch", "error": mask_text(problem, self._numbers)}
            if (problem := flattened.mismatches.get(call["call_id"]))
            else call
            for call in calls
        ]
        return pa.Table.from_pylist(rows, schema=arrow_schema(API_CALLS))

    def _append(self, table: Table, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        days = rows[PARTITION_KEY].unique().to_pylist()
        files: list[DataFile] = []
        for day in days:
            mask = pa.compute.equal(rows[PARTITION_KEY], pa.scalar(day, pa.date32()))
            files.append(self._lake.write(table, rows.filter(mask) if len(days) > 1 else rows, day))
        self._lake.append(table, files)

    def _count(self, flattened: Flattened, taken: _Slice) -> None:
        tally = self.tally
        statuses = flattened.reports["status"].value_counts().to_dict() | (
            {"invalid_id": len(taken.invalid)} if taken.invalid else {}
        )
        for status, rows in statuses.items():
            tally.answers[str(status)] = tally.answers.get(str(status), 0) + int(rows)
        days = [(answer.sent_date, len(answer.asked)) for answer in taken.answers]
        days += [(row["sent_date"], 1) for row in taken.invalid if isinstance(row["sent_date"], date)]
        for day, rows in days:
            tally.answers_by_day[day] = tally.answers_by_day.get(day, 0) + rows
        tally.mismatches += len(flattened.mismatches)
        tally.rejected += len(flattened.rejects)


def _fit_json(text: str, numbers: NumberPolicy) -> str:
    """Return a JSON object masked and at most `MAX_TEXT` long, and still JSON: fields that don't fit are left out."""
    if mask_text(text, numbers) == text:
        return text
    kept: dict[str, object] = {}
    with contextlib.suppress(RecursionError):
        for name, value in msgspec.json.decode(text).items():
            longer = kept | {mask_text(name, numbers): _mask_json(value, numbers)}
            if len(msgspec.json.encode(longer).decode()) <= MAX_TEXT:
                kept = longer
    return msgspec.json.encode(kept).decode()


def _mask_json(value: object, numbers: NumberPolicy) -> object:
    match value:
        case dict():
            return {mask_text(name, numbers): _mask_json(inner, numbers) for name, inner in value.items()}
        case list():
            return [_mask_json(inner, numbers) for inner in value]
        case str():
            return mask_text(value, numbers)
        case None | bool():
            return value
        case _:
            written = msgspec.json.encode(value).decode()
            masked = mask_text(written, numbers)
            return value if masked == written else masked
