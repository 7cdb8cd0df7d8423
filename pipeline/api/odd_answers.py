"""Answers row by row: every spelling and every contradiction that clients have met, exactly.

Some ten microseconds a row; what is plain goes through `plain_answers.py`, which must come to the same.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pipeline.api.codes import ROW_STATUSES, ReportStatus
from pipeline.api.envelope import text_of
from pipeline.api.reports import REASONS, Answer

_PROTOCOL_FIELDS: Final = frozenset({"msgId", "number", "receiveTime", "status"})
_CLOCK_TIME: Final = re.compile(r"\d[T ]\d")


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


class Sheet:
    """The rows of one answer while they are read: `reports` and `rejects`, tuples in the order of their columns."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.reports: list[tuple[object, ...]] = []
        self.rejects: list[tuple[object, ...]] = []
        self._waiting = dict.fromkeys(answer.asked)
        self._status_of: dict[str, ReportStatus] = {}
        self._problems: list[str] = []

    def read(self) -> None:
        """Make a report of each id asked for, and a reject of each malformed row."""
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
