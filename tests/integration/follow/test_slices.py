"""Answers and what belongs to them, calls and rejected rows: all stored, or found again by the next run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline.api.simulator.rules import make_msg_id
from pipeline.api.simulator.server import Running
from pipeline.follow.slices import finish_slices, store_slice
from pipeline.follow.workers import FollowTally, follow
from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.maintain.forget import forget
from pipeline.model.accounts import load_accounts
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, REJECTED_RECORDS, Table
from tests.support.lakes import Called, Row, Said, Sent, answer_rows, call_rows, store_sent

DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BELONGING = (REJECTED_RECORDS, API_CALLS)


class Full(Exception):  # noqa: N818 - what happens to a disk
    """No space is left."""


@dataclass(frozen=True)
class FullLake(Lake):
    """A lake whose disk is full as soon as rows of a table are to be committed."""

    full_at: Table = API_CALLS

    def append(self, table: Table, files: Sequence[DataFile]) -> None:
        if table is self.full_at:
            raise LakeError(f"{table.name} could not be committed") from Full()
        super().append(table, files)


def rows_of(lake: Lake, table: Table) -> list[Row]:
    return [row for file in lake.snapshot(table).files for row in pa.parquet.read_table(file.path).to_pylist()]


def slice_of(number: int, *, raw: str = "{}") -> tuple[pa.Table, dict[Table, pa.Table]]:
    """Return an answer with its call and a rejected row."""
    call_id = f"call-{number}"
    answers = answer_rows([(Said(f"m{number}", "delivered", NOON), DAY)], first=number)
    calls = [row | {"call_id": call_id} for row in call_rows([(Called(NOON), DAY)])]
    reject = {"source": "api", "file": call_id, "item": 0, "reason": "bad", "raw": raw, "sent_date": DAY}
    return as_table(DELIVERY_REPORTS, answers), {
        REJECTED_RECORDS: as_table(REJECTED_RECORDS, [reject]),
        API_CALLS: as_table(API_CALLS, calls),
    }


def as_table(table: Table, rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=arrow_schema(table))


def notes_in(lake: Lake) -> list[str]:
    return [path.name for path in lake.folder.glob("_slices/*")]


@pytest.mark.parametrize("table", BELONGING, ids=lambda table: str(table.name))
def test_what_a_full_disk_kept_from_answers_is_stored_by_the_next_run(
    table: Table, lake: Lake, settings: Callable[..., Settings]
) -> None:
    store_slice(lake, *slice_of(0))
    with pytest.raises(LakeError):
        store_slice(FullLake(lake.folder, lake.mode, full_at=table), *slice_of(1))
    assert len(rows_of(lake, DELIVERY_REPORTS)) == 2
    assert len(rows_of(lake, table)) == 1
    for _ in range(2):
        finish_slices(lake, settings(), before=NOON)
        for each, key in ((REJECTED_RECORDS, "file"), (API_CALLS, "call_id")):
            assert sorted(str(row[key]) for row in rows_of(lake, each)) == ["call-0", "call-1"]
        assert notes_in(lake) == []


def test_what_belongs_to_answers_that_were_not_stored_is_not_stored(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    with pytest.raises(LakeError):
        store_slice(FullLake(lake.folder, lake.mode, full_at=DELIVERY_REPORTS), *slice_of(1))
    finish_slices(lake, settings(), before=NOON)
    assert [rows_of(lake, table) for table in (DELIVERY_REPORTS, *BELONGING)] == [[], [], []]
    assert notes_in(lake) == []


def test_a_note_that_cant_be_read_is_named(lake: Lake, settings: Callable[..., Settings]) -> None:
    with pytest.raises(LakeError):
        store_slice(FullLake(lake.folder, lake.mode), *slice_of(1))
    (note,) = lake.folder.glob(f"_slices/{API_CALLS.name}-*")
    note.write_bytes(b"")
    with pytest.raises(LakeError, match=note.name):
        finish_slices(lake, settings(), before=NOON)


def test_a_run_stores_the_calls_that_the_run_before_could_not_and_asks_for_no_answer_again(
    simulator: Callable[..., Running], settings: Callable[..., Settings], lake: Lake, clock: Any
) -> None:
    sent_at = NOON - timedelta(hours=3)
    store_sent(lake, [Sent(make_msg_id(sent_at, number), sent_at) for number in range(30)])
    server = simulator()
    ours = settings(api_base_url=server.base_url, max_requests_per_second=0, batch_size=10)

    def run(of: Lake) -> FollowTally:
        return follow([DAY], lake=of, accounts=load_accounts(ours), settings=ours, now=NOON, clock=clock)

    with pytest.raises(LakeError):
        run(FullLake(lake.folder, lake.mode))
    answers = rows_of(lake, DELIVERY_REPORTS)
    assert len(answers) == 30
    assert rows_of(lake, API_CALLS) == []
    run(lake)
    assert rows_of(lake, DELIVERY_REPORTS) == answers
    assert {row["call_id"] for row in rows_of(lake, API_CALLS)} == {row["call_id"] for row in answers}
    assert len(server.calls) == 3


def test_a_number_in_what_was_left_of_a_dead_run_is_erased_too(lake: Lake, settings: Callable[..., Settings]) -> None:
    with pytest.raises(LakeError):
        store_slice(
            FullLake(lake.folder, lake.mode, full_at=REJECTED_RECORDS), *slice_of(1, raw='{"number":"447700900123"}')
        )
    forget("447700900123", lake=lake, settings=settings())
    finish_slices(lake, settings(), before=NOON)
    assert [row["raw"] for row in rows_of(lake, REJECTED_RECORDS)] == ['{"number":""}']
