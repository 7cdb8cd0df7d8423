"""From the answers of many calls to one pandas frame: one row per id asked for, and the rejected rows.

What belongs here: the rules of a row, as operations on columns. What does not: decoding (`envelope.py`), the treatment
of phone numbers, storage (`follow/recorder.py`). Import it where it is used: pandas takes 0.3 s.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute

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
_REPORTED: Final = ["number", "status", "receive_time", "extra"]
"""Columns of a row that go into a report."""
_NONE: Final = -1
"""Place of what is not there."""
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them
_encode: Final = msgspec.json.Encoder().encode
Came = Mapping[str, Sequence[object]]
"""Fields of rows as they were decoded, whatever their kind, by the column that they become."""
_Places = npt.NDArray[np.int64]
_Marks = npt.NDArray[np.bool_]
_TALLIES: Final = {
    "success": ("success", ReportStatus.DELIVERED),
    "fail": ("fail", ReportStatus.FAILED),
    "sending": ("sending", ReportStatus.SENDING),
    "not_found": ("nofound", ReportStatus.NOT_FOUND),
}
"""Tallies of an envelope: the platform's name, and the status that each counts."""
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
    rows, came = rows_of(given, ROW_STATUSES, otherwise=ReportStatus.SENDING.value)
    asked = _asked_by(given)
    row_of_report = _rows_of_ids(asked, rows)
    reports = asked.join(rows[_REPORTED].reindex(row_of_report).reset_index(drop=True))
    reports["status"] = reports["status"].fillna(ReportStatus.NOT_FOUND.value)
    report_of_row = _reports_of_rows(row_of_report, len(rows))
    return Flattened(
        _with_calls(reports, given, REPORT_DTYPES),
        _rejects_of(rows, came, report_of_row, asked, given),
        _mismatches(given, reports, rows[rows["is_usable"] & (report_of_row == _NONE)]),
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


def rows_of(
    calls: Sequence[AnsweredCall], statuses: Mapping[str, StrEnum], *, otherwise: str
) -> tuple[pd.DataFrame, Came]:
    """Return the rows of all calls, the columns of a report and the rules that each breaks, and what came of them.

    `statuses` are the documented ones of a row; `otherwise` is what any other counts as.
    """
    sizes, came, are_objects, extra = _decoded(calls)
    is_object = np.array(are_objects, "bool")
    msg_id = _texts(came["msg_id"], text_of)
    is_usable = _are_ids(msg_id)
    status = _by_value(_texts(came["status"], text_of), lambda texts: _strings([*map(statuses.get, texts)]))
    written = _texts(came["receive_time"], _json_text)
    receive_time = _by_value(written, _times)
    columns = {
        "call": _places(sizes),
        "item": _places_within(sizes),
        "msg_id": msg_id,
        "number": _texts(came["number"], text_of),
        "status": status.fillna(otherwise),
        "receive_time": receive_time,
        "extra": _strings(extra),
        "is_usable": is_usable,
        "bad_row": ~is_object,
        "bad_row_id": is_object & ~is_usable,
        "undocumented_status": is_usable & status.isna(),
        "bad_receive_time": is_usable & written.notna() & receive_time.isna(),
    }
    return pd.DataFrame(columns), came


def _decoded(calls: Sequence[AnsweredCall]) -> tuple[list[int], Came, list[bool], list[str | None]]:
    """Return the number of rows of each call and, for all rows: fields, whether they are objects, unnamed fields.

    Calls are decoded one by one: their many small objects are gone before the next come, and cost no collection.
    """
    sizes: list[int] = []
    came: dict[str, list[object]] = {column: [] for column in _FIELDS.values()}
    are_objects: list[bool] = []
    extra: list[str | None] = []
    for call in calls:
        elements = call.envelope.rows
        objects = [element if isinstance(element, dict) else {} for element in elements]
        for name, column in _FIELDS.items():
            came[column] += [row.pop(name, None) for row in objects]
        extra += [_json_text(others) if others else None for others in objects]
        are_objects += [isinstance(element, dict) for element in elements]
        sizes.append(len(elements))
    return sizes, came, are_objects, extra


def _texts(values: Iterable[object], text_of_other: Callable[[object], str | None]) -> pd.Series[str]:
    """Return a column of trimmed texts, null where empty; what is not text is given to a function, one by one."""
    return _strings(
        [
            (value.strip() or None) if isinstance(value, str) else None if value is None else text_of_other(value)
            for value in values
        ]
    )


def _strings(texts: Sequence[str | None]) -> pd.Series[str]:
    return pd.Series(pa.array(texts, pa.large_string()), dtype="str")


def _are_ids(texts: pd.Series[str]) -> _Marks:
    """Say which texts are ASCII digits alone."""
    are_digits = _pc.fill_null(_pc.ascii_is_decimal(pa.array(texts, pa.large_string())), fill_value=False)
    found: _Marks = are_digits.to_numpy(zero_copy_only=False)
    return found


def _by_value(texts: pd.Series[str], read: Callable[[pd.Series[str]], pd.Series[Any]]) -> pd.Series[Any]:
    """Return what a function makes of texts, null for null; it is given each different text once."""
    places, different = pd.factorize(texts)
    return pd.Series(read(pd.Series(different)).array.take(places, allow_fill=True))


def _times(written: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    """Read times: those in the usual form all at once, the others by `parse_receive_time`, one by one."""
    is_usual = written.str.fullmatch(_USUAL_TIME).fillna(value=False).astype("bool")
    times = pd.to_datetime(written.where(is_usual), format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
    others = written[~is_usual & written.notna()].map(parse_receive_time)
    return times.fillna(pd.to_datetime(others, utc=True).dt.as_unit("us")) if others.notna().any() else times


def _json_text(value: object) -> str:
    try:
        return _encode(value).decode()
    except RecursionError:  # nested some hundred levels deep: not real data
        return "{}"


def _asked_by(calls: Sequence[AnsweredCall]) -> pd.DataFrame:
    """Return one row per id asked for, with the place of its call and its partition."""
    asked = [call.asked for call in calls]
    return pd.DataFrame(
        {
            "call": _places([len(ids) for ids in asked]),
            "msg_id": _strings([msg_id for ids in asked for msg_id, _ in ids]),
            PARTITION_KEY: _days([day for ids in asked for _, day in ids]),
        }
    )


def _days(days: Sequence[date]) -> pd.Series[Any]:
    return pd.Series(pa.array(days, pa.date32()), dtype=_DTYPES["DATE"])


def _places(sizes: Sequence[int]) -> _Places:
    """Return the place of its group for each element of groups of these sizes, from 0."""
    return np.repeat(np.arange(len(sizes)), np.array(sizes, "int64"))


def _places_within(sizes: Sequence[int]) -> _Places:
    """Return the place in its group for each element of groups of these sizes, from 0."""
    counts = np.array(sizes, "int64")
    firsts: _Places = np.repeat(counts.cumsum() - counts, counts)
    return np.arange(len(firsts)) - firsts


def _rows_of_ids(asked: pd.DataFrame, rows: pd.DataFrame) -> _Places:
    """Return the place of the first usable row for each id that its call asked for, `_NONE` where there is none."""
    places, different = pd.factorize(pd.concat([asked["msg_id"], rows["msg_id"]]))
    keys = np.concatenate([asked["call"], rows["call"]]) * len(different) + places
    firsts = pd.Series(keys[len(asked) :])[rows["is_usable"]].drop_duplicates()
    found: _Places = pd.Series(firsts.index, firsts).reindex(keys[: len(asked)], fill_value=_NONE).to_numpy("int64")
    return found


def _reports_of_rows(row_of_report: _Places, rows: int) -> _Places:
    """Return the place of its report for each row, `_NONE` where there is none."""
    found, reports = np.full(rows, _NONE), np.flatnonzero(row_of_report != _NONE)
    found[row_of_report[reports]] = reports
    return found


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
        name: pd.Series(known[name], dtype=dtype).array.take(rows["call"])
        if name in known
        else rows[name].array.astype(dtype, copy=False)
        for name, dtype in dtypes.items()
    }
    return pd.DataFrame(columns)


def _rejects_of(
    rows: pd.DataFrame, came: Came, report_of_row: _Places, asked: pd.DataFrame, calls: Sequence[AnsweredCall]
) -> pd.DataFrame:
    """Return the rows that break a rule; of usable ones only those that became a report, others are mismatches.

    Their day is that of the message, or the earliest of the call for a row that names none.
    """
    is_rejected = is_odd(rows) & ((report_of_row != _NONE) | ~rows["is_usable"])
    odd, reports = rows[is_rejected], report_of_row[is_rejected]
    first_days = {call: min(day for _, day in calls[call].asked) for call in odd["call"].unique()}
    named = asked[PARTITION_KEY].reindex(reports)
    days = [
        first_days[call] if report == _NONE else day
        for call, report, day in zip(odd["call"], reports, named, strict=True)
    ]
    return rejects_of(odd, came, days, calls)


def is_odd(rows: pd.DataFrame) -> _Marks:
    """Say which rows break a rule."""
    found: _Marks = np.logical_or.reduce([rows[code] for code in ROW_REASONS])
    return found


def rejects_of(odd: pd.DataFrame, came: Came, days: Sequence[date], calls: Sequence[AnsweredCall]) -> pd.DataFrame:
    """Return rows that break a rule as rejects, each with its day."""
    if odd.empty:
        return _no_rejects()
    columns: dict[str, Any] = {
        column: _strings([_as_written(values[row]) for row in odd.index]) for column, values in came.items()
    }
    broken = odd[list(ROW_REASONS)].itertuples(index=False, name=None)
    columns["reason"] = _strings(list(map(_reason_of, broken)))
    columns[PARTITION_KEY] = _days(days)
    return _with_calls(odd[["call", "item"]].reset_index(drop=True).assign(**columns), calls, REJECT_DTYPES)


@functools.cache
def _reason_of(broken: tuple[bool, ...]) -> str:
    """Return the text for the rules that a row breaks, each of `ROW_REASONS` broken or not."""
    reasons = zip(ROW_REASONS.items(), broken, strict=True)
    return "; ".join(f"{code}: {meaning}" for (code, meaning), is_broken in reasons if is_broken)


@functools.cache
def _no_rejects() -> pd.DataFrame:
    return pd.DataFrame(columns=list(REJECT_DTYPES)).astype(REJECT_DTYPES)


def _as_written(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _json_text(value)


def _mismatches(calls: Sequence[AnsweredCall], reports: pd.DataFrame, left: pd.DataFrame) -> dict[str, str]:
    """Say by call_id what does not agree: rows that became no report, and tallies that the platform gave."""
    problems: dict[int, list[str]] = {} if left.empty else _left_rows(reports, left)
    found = _counts(reports, len(calls))
    for place, call in enumerate(calls):
        for attribute, (name, status) in _TALLIES.items():
            told, counted = getattr(call.envelope, attribute), found.get(status, {place: 0})[place]
            if told is not None and told != counted:
                problems.setdefault(place, []).append(f"{name} says {told}, the rows say {counted}")
    return {calls[place].call_id: "; ".join(texts) for place, texts in sorted(problems.items())}


def _counts(reports: pd.DataFrame, calls: int) -> dict[str, list[int]]:
    """Return how many reports of each call have a status, for each status that there is."""
    places, statuses = pd.factorize(reports["status"])
    counts = np.bincount(reports["call"] + places * calls, minlength=calls * len(statuses))
    return dict(zip(statuses, counts.reshape(len(statuses), calls).tolist(), strict=True))


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
