"""Words of flattening: an answer with its place, the columns of what comes of it, why a row is set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from pipeline.api.envelope import Envelope


@dataclass(frozen=True)
class Answer:
    """A status-0 answer with what is needed to place it: who was asked, when, by which call."""

    call_id: str
    app_id: str
    sent_date: date
    observed_at: datetime
    asked: Sequence[str]
    envelope: Envelope


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
