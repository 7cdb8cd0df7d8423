"""Commits answers to the lake in slices: reports, rejected rows and the calls that brought them.

What belongs here: buffers, commits, the tally of what was recorded. What does not: the rows themselves (`rows.py`),
requests (`workers.py`), how three tables are stored together (`slices.py`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from pipeline.api.batches import Batch
from pipeline.api.client import GoodResponse, Ledger
from pipeline.api.codes import ReportStatus
from pipeline.api.envelope import AnsweredCall
from pipeline.follow.apps import Refusal
from pipeline.follow.rows import StoredRows
from pipeline.follow.slices import store_slice
from pipeline.lake.lake import Lake
from pipeline.lake.notes import forgotten_messages, forgotten_numbers
from pipeline.model.errors import CallError
from pipeline.model.phone_numbers import NumberPolicy
from pipeline.model.tables import API_CALLS, PARTITION_KEY, REJECTED_RECORDS

if TYPE_CHECKING:
    from pipeline.api.reports import Flattened

SLICE_CALLS: Final = 100
"""Calls after which their answers are committed."""
SLICE_SECONDS: Final = 0.5
"""Shortest time between two commits."""
SLICE_IDS: Final = 100_000
"""Ids at which answers are committed whatever the time since the last commit: about 30 MB, as ids and text of JSON."""


@dataclass
class RecordTally:
    """What was recorded so far.

    Attributes:
        answers: rows of `delivery_reports`, by status.
        answers_by_day: the same rows, by partition.
        calls_answered: calls with status 0.
        mismatches: calls of these whose counts or rows don't agree.
        first_mismatch: what doesn't agree in the first one.
        rejected: rows of the API that were rejected.
        forgotten: answers whose number was dropped, since it was erased before (`forget`).
    """

    answers: dict[str, int] = field(default_factory=dict)
    answers_by_day: Counter[date] = field(default_factory=Counter)
    calls_answered: int = 0
    mismatches: int = 0
    first_mismatch: str = ""
    rejected: int = 0
    forgotten: int = 0


@dataclass
class _Slice:
    answers: list[AnsweredCall] = field(default_factory=list)
    invalid: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    ids: int = 0


class Recorder:
    """Buffers answers and commits them in slices, at most two slices in memory.

    Args:
        lake: where they go.
        numbers: how phone numbers are stored.
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
        self._on_commit = on_commit
        self._tick = tick
        self._slice = _Slice()
        self._committed_at = tick()
        self._writing = threading.Lock()
        self._turn = asyncio.Lock()

    @cached_property
    def rows(self) -> StoredRows:
        """How answers become rows: without what was erased, which the lake is asked for when this is first used."""
        numbers = replace(self._numbers, forgotten=forgotten_numbers(self._lake))
        return StoredRows(numbers, {msg_id for _, msg_id in forgotten_messages(self._lake)})

    def answer(self, batch: Batch, call_id: str, ledger: Ledger, response: GoodResponse) -> None:
        """Take the answers of a call and its row."""
        envelope = response.envelope
        self._slice.answers.append(AnsweredCall(call_id, batch.app_id, response.observed_at, batch.ids, envelope))
        self._slice.calls.append(self.rows.call(batch, call_id, ledger, "ok", envelope))
        self._slice.ids += len(batch.ids)

    def failure(self, batch: Batch, call_id: str, ledger: Ledger, outcome: str, error: CallError) -> None:
        """Take the row of a call that brought no answer."""
        self._slice.calls.append(self.rows.call(batch, call_id, ledger, outcome, error))

    def invalid_id(self, refusal: Refusal) -> None:
        """Take an id that the API refuses."""
        ((msg_id, day),) = refusal.batch.ids
        self._slice.invalid.append(
            {
                "app_id": refusal.batch.app_id,
                "msg_id": msg_id,
                "status": ReportStatus.INVALID_ID.value,
                "observed_at": refusal.observed_at,
                "call_id": refusal.call_id,
                "sent_date": day,
            }
        )
        self._slice.ids += 1

    async def commit_if_full(self) -> None:
        """Commit the slice if it is full; wait while another one is written."""
        if not self._is_due():
            return
        async with self._turn:
            if self._is_due():
                await asyncio.shield(asyncio.to_thread(self._write, self._take()))

    def close(self) -> None:
        """Commit what is left, after a commit that is under way."""
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
            from pipeline.api.reports import flatten_reports  # noqa: PLC0415 - pandas: 0.3 s that an idle run saves

            flattened = flatten_reports(taken.answers)
            belonging = {
                REJECTED_RECORDS: self.rows.rejects(flattened.rejects),
                API_CALLS: self.rows.calls(taken.calls, flattened.mismatches),
            }
            store_slice(self._lake, self.rows.reports(flattened.reports, taken.invalid), belonging)
            self._count(flattened, taken)
            self.tally.forgotten += self.rows.count_forgotten(flattened.reports)
            self._committed_at = self._tick()
        self._on_commit(self.tally)

    def _count(self, flattened: Flattened, taken: _Slice) -> None:
        tally = self.tally
        statuses = flattened.reports["status"].value_counts().to_dict() | (
            {"invalid_id": len(taken.invalid)} if taken.invalid else {}
        )
        for status, rows in statuses.items():
            tally.answers[str(status)] = tally.answers.get(str(status), 0) + int(rows)
        of_day: dict[Any, int] = flattened.reports[PARTITION_KEY].value_counts().to_dict()
        tally.answers_by_day.update(of_day)
        tally.answers_by_day.update(row["sent_date"] for row in taken.invalid)
        tally.calls_answered += len(taken.answers)
        tally.mismatches += len(flattened.mismatches)
        tally.first_mismatch = tally.first_mismatch or next(iter(flattened.mismatches.values()), "")
        tally.rejected += len(flattened.rejects)
