"""From the answers of many calls to one pandas frame: one row per id asked for, and the rejected rows.

What belongs here: the rules of a row, as operations on columns. What does not: decoding (`envelope.py`), the treatment
of phone numbers, storage (`follow/recorder.py`). Import it where it is used: pandas takes 0.3 s.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import chain
from typing import Any, Final

import msgspec
import pandas as pd
import pyarrow as pa

from pipeline.api.codes import ROW_REASONS, ROW_STATUSES, ReportStatus
from pipeline.api.envelope import AnsweredCall, text_of
from pipeline.model.tables import DELIVERY_REPORTS, PARTITION_KEY, REJECTED_RECORDS, Table

_DTYPES: Final = {
    "VARCHAR": "str",
    "BIGINT": "int64",
    "DATE": "date32[day][pyarrow]",
    "TIMESTAMPTZ": "datetime64[us, UTC]",
}
_FIELDS: Final = {"msgId": "msg_id", "number": "number", "receiveTime": "receive_time", "status": "status"}
"""Fields of a row and the columns that they become."""
_NAMES: Final = frozenset(_FIELDS)
_REPORTED: Final = ["call", "row", "msg_id", "number", "status", "receive_time", "extra"]
"""Columns of a row that go into a report, beside its place."""
_TALLIES: Final = {
    "success": ("success", ReportStatus.DELIVERED),
    "fail": ("fail", ReportStatus.FAILED),
    "sending": ("sending", ReportStatus.SENDING),
    "not_found": ("nofound", ReportStatus.NOT_FOUND),
}
"""Tallies of an envelope: the platform's name, and the status that each counts."""
_ID: Final = "[0-9]+"
_CLOCK_TIME: Final = re.compile(r"\d[T ]\d")
_USUAL_TIME: Final = (
    "(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3])(:[0-5][0-9]){2}([.][0-9]{1,6})?"
    "(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
)
"""A time that pandas and `parse_receive_time` read alike."""


def dtypes_of(table: Table, *left_out: str) -> dict[str, str]:
    """Return the pandas types of a table's columns."""
    return {column.name: _DTYPES[column.type] for column in table.columns if column.name not in left_out}


REPORT_DTYPES: Final = dtypes_of(DELIVERY_REPORTS, "country")
"""Columns of a frame of reports; the country follows from the number when it is stored."""
REJECT_DTYPES: Final = dtypes_of(REJECTED_RECORDS, "source", "line", "raw") | dict.fromkeys(_FIELDS.values(), "str")
"""Columns of a frame of rejects: `file` is the call, `item` the place in `array`, and the fields are as they came."""


@dataclass(frozen=True)
class Flattened:
    """Answers as frames, and the calls whose counts or rows don't agree with what was asked or returned.

    Attributes:
        reports: one row per id asked for, REPORT_DTYPES.
        rejects: one row per rejected row of the platform, REJECT_DTYPES.
        mismatches: what does not agree, by call_id.
    """

    reports: pd.DataFrame
    rejects: pd.DataFrame
    mismatches: dict[str, str] = field(default_factory=dict)


def flatten_reports(calls: Iterable[AnsweredCall]) -> Flattened:
    """Make one row per id asked for; reject malformed rows; name calls that don't add up.

    An id absent from `array` becomes a `not_found` row. Of several rows for one id the first counts.
    Rows for ids that were not asked for are left out.

    Shape:  n ids asked for -> reports (n, 9) of REPORT_DTYPES; k odd rows -> rejects (k, 9) of REJECT_DTYPES.
    Units:  receive_time arrives as ISO 8601 with any offset, leaves as UTC, microseconds.
    Raises: nothing for bad data; it lands in rejects with a reason.
    Source: vendor page, "Parameters".
    """
    given = list(calls)
    rows = rows_of(given, ROW_STATUSES, otherwise=ReportStatus.SENDING.value)
    asked = _asked_by(given)
    firsts = rows.loc[rows["is_usable"], _REPORTED].drop_duplicates(["call", "msg_id"])
    merged = asked.merge(firsts, on=["call", "msg_id"], how="left")
    merged["status"] = merged["status"].fillna(ReportStatus.NOT_FOUND.value)
    is_report = rows["row"].isin(merged["row"])
    return Flattened(
        _with_calls(merged, given, REPORT_DTYPES),
        _rejects_of(rows, merged, given),
        _mismatches(given, merged, rows[rows["is_usable"] & ~is_report]),
    )


def parse_receive_time(value: str) -> datetime | None:
    """Return `receiveTime` as UTC, None where it is not a full ISO 8601 time with an offset.

    Source: vendor page, "Receive time ISO8601 standard time format (2021-02-12T09:30:03+08:00)".
    """
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC) if moment.tzinfo is not None and _CLOCK_TIME.search(value) else None
    except (ValueError, OverflowError):
        return None


def rows_of(calls: Sequence[AnsweredCall], statuses: Mapping[str, StrEnum], *, otherwise: str) -> pd.DataFrame:
    """Return the rows of all calls: the columns of a report, and the rules that each breaks.

    `statuses` are the documented ones of a row; `otherwise` is what any other counts as.
    """
    arrays = [call.envelope.rows for call in calls]
    elements = list(chain.from_iterable(arrays))
    objects = [element if isinstance(element, dict) else {} for element in elements]
    msg_id = _texts([row.get("msgId") for row in objects], text_of)
    is_usable = msg_id.str.fullmatch(_ID).fillna(value=False).astype("bool")
    is_object = pd.Series([isinstance(element, dict) for element in elements], dtype="bool")
    status = _texts([row.get("status") for row in objects], text_of).map(statuses).astype("str")
    written = _texts([row.get("receiveTime") for row in objects], _json_text)
    receive_time = _times(written)
    return pd.DataFrame(
        {
            "call": _places(arrays),
            "item": pd.Series(list(chain.from_iterable(range(len(array)) for array in arrays)), dtype="int64"),
            "row": range(len(elements)),
            "element": pd.Series(objects, dtype="object"),
            "msg_id": msg_id,
            "number": _texts([row.get("number") for row in objects], text_of),
            "status": status.fillna(otherwise),
            "receive_time": receive_time,
            "extra": _texts([None if _NAMES.issuperset(row) else _extra_of(row) for row in objects], str),
            "is_usable": is_usable,
            "bad_row": ~is_object,
            "bad_row_id": is_object & ~is_usable,
            "undocumented_status": is_usable & status.isna(),
            "bad_receive_time": is_usable & written.notna() & receive_time.isna(),
        }
    )


def _texts(values: Iterable[object], text_of_other: Callable[[object], str | None]) -> pd.Series[str]:
    """Return a column of trimmed texts, null where empty; what is not text is given to a function, one by one."""
    texts = [
        (value.strip() or None) if isinstance(value, str) else None if value is None else text_of_other(value)
        for value in values
    ]
    return pd.Series(pa.array(texts, pa.large_string()), dtype="str")


def _times(written: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    """Read times: those in the usual form all at once, the others by `parse_receive_time`, one by one."""
    is_usual = written.str.fullmatch(_USUAL_TIME).fillna(value=False).astype("bool")
    times = pd.to_datetime(written.where(is_usual), format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
    others = written[~is_usual & written.notna()].map(parse_receive_time)
    return times.fillna(pd.to_datetime(others, utc=True).dt.as_unit("us")) if others.notna().any() else times


def _extra_of(row: Mapping[str, Any]) -> str:
    return _json_text({name: value for name, value in row.items() if name not in _FIELDS})


def _json_text(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:  # nested some hundred levels deep: not real data
        return "{}"


def _asked_by(calls: Sequence[AnsweredCall]) -> pd.DataFrame:
    """Return one row per id asked for, with the place of its call and its partition."""
    asked = [call.asked for call in calls]
    msg_ids, days = zip(*chain.from_iterable(asked), strict=True) if any(asked) else ((), ())
    columns = {"msg_id": pd.Series(pa.array(msg_ids, pa.large_string()), dtype="str")}
    return pd.DataFrame({"call": _places(asked), **columns, PARTITION_KEY: pd.Series(days, dtype=_DTYPES["DATE"])})


def _places(groups: Sequence[Sequence[object]]) -> pd.Series[int]:
    """Return the place of its group for each element of all groups, from 0."""
    return pd.Series(range(len(groups)), dtype="int64").repeat([len(group) for group in groups]).reset_index(drop=True)


def _with_calls(rows: pd.DataFrame, calls: Sequence[AnsweredCall], dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Add to rows what is known of their calls, and return the columns asked for, with their types."""
    known = {
        "app_id": [call.app_id for call in calls],
        "call_id": [call.call_id for call in calls],
        "file": [call.call_id for call in calls],
        "observed_at": [call.observed_at for call in calls],
        "rejected_at": [call.observed_at for call in calls],
    }
    columns = {
        name: pd.Series(known[name], dtype=dtype).array.take(rows["call"]) if name in known else rows[name].array
        for name, dtype in dtypes.items()
    }
    return pd.DataFrame(columns).astype(dtypes)


def _rejects_of(rows: pd.DataFrame, reports: pd.DataFrame, calls: Sequence[AnsweredCall]) -> pd.DataFrame:
    """Return the rows that break a rule; of usable ones only those that became a report, others are mismatches.

    Their day is that of the message, or the earliest of the call for a row that names none.
    """
    is_report = rows["row"].isin(reports["row"])
    odd = rows[is_odd(rows) & (is_report | ~rows["is_usable"])]
    day_of_row = dict(zip(reports["row"], reports[PARTITION_KEY], strict=True))
    days = [
        day_of_row.get(row, min(day for _, day in calls[call].asked))
        for row, call in zip(odd["row"], odd["call"], strict=True)
    ]
    return rejects_of(odd, days, calls)


def is_odd(rows: pd.DataFrame) -> pd.Series[bool]:
    """Say which rows break a rule."""
    return functools.reduce(operator.or_, (rows[code] for code in ROW_REASONS))


def rejects_of(odd: pd.DataFrame, days: Sequence[date], calls: Sequence[AnsweredCall]) -> pd.DataFrame:
    """Return rows that break a rule as rejects, each with its day."""
    if odd.empty:
        return _no_rejects()
    reasons = [
        "; ".join(f"{code}: {meaning}" for code, meaning in ROW_REASONS.items() if getattr(row, code))
        for row in odd.itertuples()
    ]
    came = {
        column: pd.Series([_as_written(row.get(name)) for row in odd["element"]], index=odd.index, dtype="str")
        for name, column in _FIELDS.items()
    }
    came |= {PARTITION_KEY: pd.Series(days, index=odd.index, dtype=_DTYPES["DATE"])}
    rejects = odd.assign(reason=pd.Series(reasons, index=odd.index, dtype="str"), **came)
    return _with_calls(rejects, calls, REJECT_DTYPES)


@functools.cache
def _no_rejects() -> pd.DataFrame:
    return pd.DataFrame(columns=list(REJECT_DTYPES)).astype(REJECT_DTYPES)


def _as_written(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _json_text(value)


def _mismatches(calls: Sequence[AnsweredCall], reports: pd.DataFrame, left: pd.DataFrame) -> dict[str, str]:
    """Say by call_id what does not agree: rows that became no report, and tallies that the platform gave."""
    problems: dict[int, list[str]] = {} if left.empty else _left_rows(reports, left)
    found = reports.groupby(["call", "status"], sort=False).size().to_dict()
    for place, call in enumerate(calls):
        for attribute, (name, status) in _TALLIES.items():
            told, counted = getattr(call.envelope, attribute), found.get((place, status.value), 0)
            if told is not None and told != counted:
                problems.setdefault(place, []).append(f"{name} says {told}, the rows say {counted}")
    return {calls[place].call_id: "; ".join(texts) for place, texts in sorted(problems.items())}


def _left_rows(reports: pd.DataFrame, left: pd.DataFrame) -> dict[int, list[str]]:
    """Say by place of the call why rows became no report."""
    problems: dict[int, list[str]] = {}
    first = left.merge(reports, on=["call", "msg_id"], how="left", suffixes=("", "_first"))
    is_stranger = first["status_first"].isna()
    for place in first["call"][is_stranger].unique():
        problems.setdefault(place, []).append("rows for ids that were not asked")
    for place in first["call"][~is_stranger & (first["status"] != first["status_first"])].unique():
        problems.setdefault(place, []).append("rows that contradict each other")
    return problems
