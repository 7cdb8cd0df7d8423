"""From answers to frames: one row a message asked for, malformed rows set aside, tallies compared.

Pure: numbers are kept as the platform wrote them; what `SMS_NUMBERS` does to them comes before storage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
import pandas as pd

from pipeline.protocol.decoding import Envelope, text_of
from pipeline.protocol.status import ROW_STATUSES, ReportStatus

_TEXT: Final = "str"
_TIME: Final = "datetime64[us, UTC]"

REPORT_DTYPES: Final = {
    "app_id": _TEXT,
    "msg_id": _TEXT,
    "number": _TEXT,
    "status": _TEXT,
    "receive_time": _TIME,
    "observed_at": _TIME,
    "call_id": _TEXT,
    "extra": _TEXT,
    "sent_date": "object",
}
"""Columns of a frame of reports; `sent_date` holds `datetime.date`."""
REJECT_DTYPES: Final = {
    "call_id": _TEXT,
    "item": "int64",
    "reason": _TEXT,
    "msg_id": _TEXT,
    "number": _TEXT,
    "receive_time": _TEXT,
    "status": _TEXT,
    "sent_date": "object",
    "rejected_at": _TIME,
}
"""Columns of a frame of rows set aside: place, reason and the recognised fields as they came."""

REASONS: Final = {
    "bad_row": "a row of array is not an object",
    "bad_row_id": "a row of array has no msgId that is text of digits",
    "bad_receive_time": "receiveTime can't be read or has no offset; the report is kept without it",
    "undocumented_status": "a row status that nobody documented; the report counts as sending",
}
"""Codes with which `reason` begins for rows of the API."""

_PROTOCOL_FIELDS: Final = frozenset({"msgId", "number", "receiveTime", "status"})
_CLOCK_TIME: Final = re.compile(r"\d[T ]\d")


@dataclass(frozen=True)
class Answer:
    """A status-0 answer with what is needed to place it: who was asked, when, by which call."""

    call_id: str
    app_id: str
    sent_date: date
    observed_at: datetime
    asked: Sequence[str]
    envelope: Envelope


@dataclass(frozen=True)
class Flattened:
    """Answers as frames, and the calls whose counts or rows don't agree with what was asked or returned."""

    reports: pd.DataFrame
    rejects: pd.DataFrame
    mismatches: dict[str, str] = field(default_factory=dict)
    """call_id to what does not agree."""


def parse_receive_time(value: object) -> datetime | None:
    """Return `receiveTime` as UTC, None where it is not a full ISO 8601 time with an offset.

    Source: vendor page, "Receive time ISO8601 standard time format (2021-02-12T09:30:03+08:00)".
    """
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC) if moment.tzinfo is not None and _CLOCK_TIME.search(value) else None
    except (ValueError, OverflowError):
        return None


def flatten_reports(answers: Iterable[Answer]) -> Flattened:
    """Make one row of each id asked for; set malformed rows aside; name calls that don't add up.

    An id absent from `array` becomes a `not_found` row. Of several rows for one id the first counts.
    Rows for ids that were not asked are left out.

    Shape:  n ids asked -> reports (n, 9) of REPORT_DTYPES; k odd rows -> rejects (k, 9) of REJECT_DTYPES.
    Units:  receive_time arrives as ISO 8601 with any offset, leaves as UTC, microseconds.
    Raises: nothing for bad data; it lands in rejects with a reason.
    Source: vendor page, "Parameters".
    """
    reports: list[tuple[object, ...]] = []
    rejects: list[tuple[object, ...]] = []
    mismatches: dict[str, str] = {}
    for answer in answers:
        sheet = _Sheet(answer)
        sheet.read()
        reports += sheet.reports
        rejects += sheet.rejects
        if problem := sheet.disagreement():
            mismatches[answer.call_id] = problem
    return Flattened(_frame(reports, REPORT_DTYPES), _frame(rejects, REJECT_DTYPES), mismatches)


class _Sheet:
    """The rows of one answer while they are read."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.reports: list[tuple[object, ...]] = []
        self.rejects: list[tuple[object, ...]] = []
        self._waiting = dict.fromkeys(answer.asked)
        self._status_of: dict[str, ReportStatus] = {}
        self._problems: list[str] = []

    def read(self) -> None:
        for item, row in enumerate(self.answer.envelope.rows):
            self._read_row(item, row)
        for msg_id in self._waiting:
            self._report(msg_id, None, ReportStatus.NOT_FOUND, None, None)

    def _read_row(self, item: int, row: object) -> None:
        if not isinstance(row, dict):
            self._reject(item, {}, "bad_row")
            return
        msg_id = text_of(row.get("msgId"))
        if msg_id is None or not (msg_id.isascii() and msg_id.isdigit()):
            self._reject(item, row, "bad_row_id")
            return
        if msg_id in self._waiting:
            del self._waiting[msg_id]
            self._take(item, msg_id, row)
        elif msg_id in self._status_of:
            self._compare_again(msg_id, row)
        else:
            self._problem("rows for ids that were not asked")

    def _take(self, item: int, msg_id: str, row: dict[str, Any]) -> None:
        status = ROW_STATUSES.get(text_of(row.get("status")) or "")
        odd = [] if status else ["undocumented_status"]
        status = status or ReportStatus.SENDING
        written = row.get("receiveTime")
        receive_time = parse_receive_time(written)
        if receive_time is None and written is not None and (not isinstance(written, str) or written.strip()):
            odd.append("bad_receive_time")
        if odd:
            self._reject(item, row, *odd)
        self._status_of[msg_id] = status
        self._report(msg_id, text_of(row.get("number")), status, receive_time, _extra_of(row))

    def _compare_again(self, msg_id: str, row: dict[str, Any]) -> None:
        status = ROW_STATUSES.get(text_of(row.get("status")) or "", ReportStatus.SENDING)
        if status is not self._status_of[msg_id]:
            self._problem("rows that contradict each other")

    def _report(
        self,
        msg_id: str,
        number: str | None,
        status: ReportStatus,
        receive_time: datetime | None,
        extra: str | None,
    ) -> None:
        about = self.answer
        self.reports.append(
            (about.app_id, msg_id, number, status.value, receive_time, about.observed_at, about.call_id, extra,
             about.sent_date)
        )  # fmt: skip

    def _reject(self, item: int, row: dict[str, Any], *codes: str) -> None:
        about = self.answer
        reason = "; ".join(f"{code}: {REASONS[code]}" for code in codes)
        fields = tuple(_as_written(row.get(name)) for name in ("msgId", "number", "receiveTime", "status"))
        self.rejects.append((about.call_id, item, reason, *fields, about.sent_date, about.observed_at))

    def _problem(self, text: str) -> None:
        if text not in self._problems:
            self._problems.append(text)

    def disagreement(self) -> str | None:
        """Say what does not agree; tallies that the platform left out are not compared."""
        envelope = self.answer.envelope
        statuses = list(self._status_of.values())
        for name, told, found in (
            ("success", envelope.success, statuses.count(ReportStatus.DELIVERED)),
            ("fail", envelope.fail, statuses.count(ReportStatus.FAILED)),
            ("sending", envelope.sending, statuses.count(ReportStatus.SENDING)),
            ("nofound", envelope.not_found, len(self._waiting)),
        ):
            if told is not None and told != found:
                self._problem(f"{name} says {told}, the rows say {found}")
        return "; ".join(self._problems) or None


def _as_written(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return _json_text(value)


def _extra_of(row: dict[str, Any]) -> str | None:
    if row.keys() <= _PROTOCOL_FIELDS:
        return None
    return _json_text({k: v for k, v in row.items() if k not in _PROTOCOL_FIELDS})


def _json_text(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:  # nested some hundred deep: nobody's data
        return "{}"


def _frame(rows: Sequence[tuple[object, ...]], dtypes: dict[str, str]) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(dtypes)
    return pd.DataFrame(
        {name: pd.Series(column, dtype=dtype) for (name, dtype), column in zip(dtypes.items(), columns, strict=True)}
    )
