"""The JSON of an answer, and the codes that refuse one. No HTTP and no clock here."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pipeline.api.simulator.rules import DELIVERED, FAILED, SENDING, Report, report_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pipeline.api.simulator.incidents import Incident

Json = dict[str, Any]
"""A JSON object; what its fields hold is the point of the tests, so it stays open."""

REASONS = {
    "-1": "Authentication error",
    "-2": "Restricted IP access",
    "-11": "Incorrect time format",
    "-12": "Platform error",
    "-14": "Field is empty or query ID is abnormal",
    "-15": "Queries are too frequent",
    "-16": "Timestamp expires",
    "-18": "port program unusual",
    "-19": "Confirm SMS pricing with the business team",
}
"""What the vendor's pages say to each status."""


def refusal(status: str) -> Json:
    """Return an error envelope: status and reason, no array."""
    return {"status": status, "reason": REASONS.get(status, "Unknown error")}


def answer(msg_ids: Iterable[str], *, now: datetime, price_details: bool, incidents: Sequence[Incident] = ()) -> Json:
    """Return the envelope of getReport for these ids; each is answered once, in the order asked.

    Shape: m different ids, k of them found -> array of k rows, counts (as text) that sum to m.
    """
    asked = list(dict.fromkeys(msg_ids))
    found = [report for report in (report_at(msg_id, now, incidents) for msg_id in asked) if report]
    statuses = Counter(report.status for report in found)
    return {
        "status": "0",
        "reason": "success",
        "success": str(statuses[DELIVERED]),
        "fail": str(statuses[FAILED]),
        "sending": str(statuses[SENDING]),
        "nofound": str(len(asked) - len(found)),
        "array": [_row(report, price_details=price_details) for report in found],
    }


def _row(report: Report, *, price_details: bool) -> Json:
    """Return one row of `array`."""
    row: Json = {
        "msgId": report.msg_id,
        "number": report.number,
        "receiveTime": report.receive_time,
        "status": report.status,
    }
    if price_details:
        row["pricedetail"] = {"pay": report.price, "price": report.price, "currency": "USD", "chargeCnt": 1}
    return row
