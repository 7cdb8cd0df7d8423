"""The rows of a page of the platform's own record of what was sent (`getSentRcd`).

What belongs here: the rules of a row. What does not: what a page is asked for (`windows.py`), requests (`client.py`),
storage (`follow/record_store.py`). Import it where it is used: pandas takes 0.3 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from pipeline.api.codes import RECORD_STATUSES, RecordStatus
from pipeline.api.envelope import AnsweredCall
from pipeline.api.reports import dtypes_of, is_odd, rejects_of, rows_of
from pipeline.model.tables import PARTITION_KEY, PLATFORM_RECORD

if TYPE_CHECKING:
    import pandas as pd

RECORD_DTYPES: Final = dtypes_of(PLATFORM_RECORD, "country")
"""Columns of a frame of rows; the country follows from the number when it is stored."""


@dataclass(frozen=True)
class RecordRows:
    """A page as frames.

    Attributes:
        rows: one row per usable element, RECORD_DTYPES.
        rejects: one row per odd element, `reports.REJECT_DTYPES`.
    """

    rows: pd.DataFrame
    rejects: pd.DataFrame


def flatten_record(call: AnsweredCall, day: date, *, read_at: datetime) -> RecordRows:
    """Make one row per element with an id; reject malformed ones. A message that comes twice is two rows.

    Shape:  n elements -> rows (k, 8) of RECORD_DTYPES, rejects (n - k and more, 9).
    Units:  receive_time arrives as ISO 8601 with any offset, leaves as UTC, microseconds.
    Raises: nothing for bad data; it lands in rejects with a reason.
    Source: vendor page of getSentRcd, as recorded with the project's protocol facts.
    """
    rows, came = rows_of([call], RECORD_STATUSES, otherwise=RecordStatus.UNDOCUMENTED.value)
    odd, usable = rows[is_odd(rows)], rows[rows["is_usable"]]
    named = usable.assign(app_id=call.app_id, read_at=read_at, **{PARTITION_KEY: day})
    return RecordRows(named[list(RECORD_DTYPES)].astype(RECORD_DTYPES), rejects_of(odd, came, [day] * len(odd), [call]))
