"""The record of what was sent, as `getSentRcd` gives it. No HTTP here, and no clock.

What belongs here: which messages are in a window, and their rows. What does not: what becomes of a message (`rules`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pipeline.api.simulator.envelope import Json, refusal
from pipeline.api.simulator.options import SimulatorOptions
from pipeline.api.simulator.rules import DELIVERED, FAILED, REPORTS_KEPT, Report, report_at

RECORD_FAILED: Final = "2"
"""Failed, as the record numbers it."""
LONGEST_WINDOW: Final = timedelta(days=31)
_LAST: Final = "9999999"
"""Behind the second of an id: after each of its sequences."""


def record(query: dict[str, str], options: SimulatorOptions, *, now: datetime) -> Json:
    """Return the envelope for a window: `-11` for times that can't be read, or of a span that is not kept.

    Both ends are part of the window. Messages under way are not in the record.
    """
    start, end = _time(query.get("startTime", "")), _time(query.get("endTime", ""))
    index = query.get("startIndex", "0")
    if start is None or end is None or not index.isdigit():
        return refusal("-11")
    if not start <= end <= start + LONGEST_WINDOW or start < now - REPORTS_KEPT - timedelta(days=1):
        return refusal("-11")
    found = _reports(options.sent.get(query.get("appId", ""), ()), start, end, now, options.record_delay_seconds)
    shown = found[int(index) : int(index) + options.page_rows]
    counts = Counter(report.status for report in found)
    return {
        "status": "0",
        "reason": "success",
        "success": str(counts[DELIVERED]),
        "fail": str(counts[FAILED]),
        "array": [_row(report) for report in shown],
    }


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def _reports(sent: Sequence[str], start: datetime, end: datetime, now: datetime, delay: float) -> list[Report]:
    """Return the reports of a window that are final: ids sort by the second in which they were sent."""
    first, last = bisect_left(sent, _second(start)), bisect_right(sent, _second(end) + _LAST)
    reports = (report_at(msg_id, now - timedelta(seconds=delay)) for msg_id in sent[first:last])
    return [report for report in reports if report and report.status in {DELIVERED, FAILED}]


def _second(moment: datetime) -> str:
    return f"{moment:%y%m%d%H%M%S}"


def _row(report: Report) -> Json:
    status = RECORD_FAILED if report.status == FAILED else report.status
    return {"msgId": report.msg_id, "number": report.number, "receiveTime": report.receive_time, "status": status}
