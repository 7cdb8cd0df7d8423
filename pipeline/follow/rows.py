"""Rows of the lake made of answers: phone numbers treated, free text masked, sizes bounded.

What belongs here: `delivery_reports`, `platform_record`, `rejected_records` and `api_calls` as they are stored. What
does not: the rules of an answer (`api/reports.py`), when rows are committed (`recorder.py`, `record_store.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa

from pipeline.api.batches import Batch
from pipeline.api.client import Ledger
from pipeline.api.envelope import Envelope
from pipeline.lake.parquet import arrow_schema
from pipeline.model.countries import countries_of
from pipeline.model.errors import CallError
from pipeline.model.hidden_keys import ids_without_forgotten
from pipeline.model.json_fields import fit_json
from pipeline.model.phone_numbers import NumberPolicy, count_forgotten, mask_text, treat_number, treat_numbers
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, PLATFORM_RECORD, REJECTED_RECORDS, Table

if TYPE_CHECKING:
    import pandas as pd

TALLIES: Final = ("success", "fail", "sending", "not_found")
"""Columns of `api_calls` that an envelope has under the same names."""
RAW_FIELD_LENGTH: Final = 100
"""Characters of each field of a rejected row that are kept."""


@dataclass(frozen=True)
class StoredRows:
    """Makes the rows that are stored.

    Attributes:
        numbers: how phone numbers are stored.
        forgotten: ids of messages whose numbers were erased from the lake (`forget`).
    """

    numbers: NumberPolicy
    forgotten: AbstractSet[str]

    def reports(self, frame: pd.DataFrame, invalid: Sequence[dict[str, object]]) -> pa.Table:
        """Return rows of `delivery_reports`: answers, and ids that the platform refuses."""
        answers = self._stored(frame, DELIVERY_REPORTS)
        return pa.concat_tables([answers, pa.Table.from_pylist(list(invalid), schema=answers.schema)])

    def record(self, frame: pd.DataFrame) -> pa.Table:
        """Return rows of `platform_record`."""
        rows = self._stored(frame, PLATFORM_RECORD)
        ids = ids_without_forgotten(rows["msg_id"], self.numbers.forgotten)
        return rows.set_column(rows.schema.get_field_index("msg_id"), "msg_id", ids)

    def _stored(self, frame: pd.DataFrame, table: Table) -> pa.Table:
        """Return a frame as rows of a table: numbers treated, the country found, `extra` masked."""
        schema = arrow_schema(table)
        known = pa.schema([column for column in schema if column.name != "country"])
        rows = pa.Table.from_pandas(frame, schema=known, preserve_index=False, nthreads=1)  # threads cost more
        numbers = rows["number"]
        columns: dict[str, Any] = {name: rows[name] for name in rows.column_names} | {
            "number": self._without_forgotten(rows["msg_id"], treat_numbers(numbers, self.numbers)),
            "country": countries_of(numbers),
            "extra": self._extra(rows["extra"]),
        }
        return pa.table({name: columns[name] for name in schema.names}, schema=schema)

    def count_forgotten(self, frame: pd.DataFrame) -> int:
        """Return how many answers have a number that was erased."""
        return count_forgotten(pa.array(frame["number"], pa.string()), self.numbers) if self.numbers.forgotten else 0

    def rejects(self, frame: pd.DataFrame) -> pa.Table:
        """Return rows of `rejected_records`; the fields of each row become JSON text."""
        schema = arrow_schema(REJECTED_RECORDS)
        rows = [dict(row) | {"source": "api", "raw": self._raw(row)} for row in frame.to_dict("records")]
        return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)

    def call(
        self, batch: Batch, call_id: str, ledger: Ledger, outcome: str, end: Envelope | CallError
    ) -> dict[str, Any]:
        """Return a row of `api_calls`; columns that are left out are null."""
        reason, is_error, days = end.reason, isinstance(end, CallError), batch.days
        return {
            "call_id": call_id,
            "app_id": batch.app_id,
            "sent_date": min(days),
            "days": len(days),
            "requested_at": ledger.started_at,
            "ids": len(batch.ids),
            "http_status": ledger.http_status,
            "status": end.status,
            "reason": None if reason is None else mask_text(reason, self.numbers),
            "attempts": ledger.requests,
            "elapsed_ms": ledger.elapsed_ms,
            "outcome": outcome,
            "error": mask_text(str(end), self.numbers) if is_error else None,
        } | ({} if is_error else {name: getattr(end, name) for name in TALLIES})

    def calls(self, calls: Sequence[dict[str, Any]], mismatches: Mapping[str, str]) -> pa.Table:
        """Return rows of `api_calls`; those whose counts or rows don't agree say so."""
        rows = [
            call | {"outcome": "mismatch", "error": mask_text(problem, self.numbers)}
            if (problem := mismatches.get(call["call_id"]))
            else call
            for call in calls
        ]
        return pa.Table.from_pylist(rows, schema=arrow_schema(API_CALLS))

    def _without_forgotten(self, msg_ids: pa.ChunkedArray[Any], numbers: pa.Array[Any]) -> pa.Array[Any]:
        if not self.forgotten:
            return numbers
        pairs = zip(msg_ids.to_pylist(), numbers.to_pylist(), strict=True)
        return pa.array([None if msg_id in self.forgotten else number for msg_id, number in pairs], pa.string())

    def _extra(self, texts: pa.ChunkedArray[Any]) -> pa.Array[Any]:
        return pa.array(
            [None if text is None else fit_json(text, self.numbers) for text in texts.to_pylist()], pa.string()
        )

    def _raw(self, row: dict[Any, Any]) -> str:
        msg_id, number = row["msg_id"], row["number"]
        is_kept = isinstance(number, str) and msg_id not in self.forgotten
        fields = {
            "msgId": self._masked(msg_id),
            "receiveTime": self._masked(row["receive_time"]),
            "status": self._masked(row["status"]),
            "number": treat_number(number, self.numbers) or "" if is_kept else None,
        }
        kept = {name: text[:RAW_FIELD_LENGTH] for name, text in fields.items() if text is not None}
        return msgspec.json.encode(kept).decode()

    def _masked(self, value: object) -> str | None:
        return mask_text(value, self.numbers) if isinstance(value, str) else None
