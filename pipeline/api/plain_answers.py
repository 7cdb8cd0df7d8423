"""Plain answers, many at once: rows just as the vendor page has them become columns without a Python object each.

Belongs here: telling which answers are plain beyond doubt, and their reports. Does not belong here: every
other answer (`odd_answers.py`). The tests hold both ways against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.json as pj

from pipeline.api.batches import joined, split_texts
from pipeline.api.codes import ROW_STATUSES, ReportStatus
from pipeline.api.reports import Answer
from pipeline.model.iso_times import INSTANT, instants_of

_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "place": pa.int32(),
    "app_id": pa.string(),
    "msg_id": pa.string(),
    "number": pa.string(),
    "status": pa.string(),
    "receive_time": INSTANT,
    "observed_at": INSTANT,
    "call_id": pa.string(),
    "extra": pa.string(),
    "sent_date": pa.date32(),
}
REPORTS_SCHEMA: Final = pa.schema(_COLUMNS)
"""Columns of reports; `place` is that of the answer among all."""
_CODES: Final = ("0", "1", "-1")
"""Row statuses in the order of the tallies `success`, `fail`, `sending`."""
_STATUSES: Final = (*(ROW_STATUSES[code].value for code in _CODES), ReportStatus.NOT_FOUND.value)
_NOT_FOUND: Final = len(_CODES)
"""Place of `not_found` among the statuses."""
_ROW: Final = pa.schema([(name, pa.string()) for name in ("msgId", "number", "receiveTime", "status")])
_ARRAY: Final = pa.schema([("array", pa.list_(pa.struct(_ROW)))])
_read_json: Any = pj.read_json  # its stubs know no buffers
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


@dataclass(frozen=True)
class _Rows:
    """The rows of some answers, one answer behind the other.

    Attributes:
        places: places of the answers among all.
        counts: rows of each.
        table: the rows, columns of _ROW.
    """

    places: Sequence[int]
    counts: Sequence[int]
    table: pa.Table


def flatten_plain(answers: Sequence[Answer]) -> tuple[pa.Table, list[int]]:
    """Make reports of the answers that are plain beyond doubt; return them, and the places of all others.

    Shape:  n answers -> REPORTS_SCHEMA, a row for each id that a plain answer was asked for, in the order of
            asking; k places.
    Units:  receive_time leaves as UTC, microseconds.
    Raises: nothing for bad data; an answer with a row that is not plain is not in the table.
    """
    rows = _read_rows(answers)
    table, is_plain = _reports([answers[place] for place in rows.places], rows)
    plain = {place for place, is_good in zip(rows.places, is_plain, strict=True) if is_good}
    return table, [place for place in range(len(answers)) if place not in plain]


def _read_rows(answers: Sequence[Answer]) -> _Rows:
    """Read the rows of all flat answers at once; where one of them has an odd row, of each answer by itself."""
    texts = {place: a.envelope.flat or b"[]" for place, a in enumerate(answers) if a.envelope.flat is not None}
    together = _read(list(texts.values()))
    if together is not None:
        return _Rows(list(texts), *together)
    alone = {place: found for place, text in texts.items() if (found := _read([text])) is not None}
    counts = [count for (count,), _ in alone.values()]
    return _Rows(list(alone), counts, pa.concat_tables([_ROW.empty_table(), *(table for _, table in alone.values())]))


def _read(arrays: Sequence[bytes]) -> tuple[list[int], pa.Table] | None:
    """Read JSON arrays; return how many rows each has, and the rows behind one another.

    None unless all their elements are objects of texts and nulls with none but the four fields.
    """
    if not arrays:
        return [], _ROW.empty_table()
    text = b'{"array":' + b'}\n{"array":'.join(arrays) + b"}"
    options = pj.ReadOptions(use_threads=False, block_size=len(text) + 1)
    strict = pj.ParseOptions(explicit_schema=_ARRAY, newlines_in_values=True, unexpected_field_behavior="error")
    try:
        read = _read_json(pa.BufferReader(text), read_options=options, parse_options=strict)
    except pa.ArrowInvalid:
        return None
    lists: Any = read["array"].combine_chunks()
    rows = pa.Table.from_struct_array(lists.flatten())
    return (lists.value_lengths().to_pylist(), rows) if len(lists) == len(arrays) else None


def _reports(answers: Sequence[Answer], rows: _Rows) -> tuple[pa.Table, list[bool]]:
    """Make reports of the answers that are plain; say which are.

    An answer is plain if each of its rows is for another id that was asked for, has a documented status and a time
    that can be read or none, and if the tallies that the platform gave agree.
    """
    count = len(answers)
    asked: Any = split_texts([joined(answer.asked) for answer in answers]).flatten()
    asked_by = np.repeat(np.arange(count), [len(answer.asked) for answer in answers])
    answered_by = np.repeat(np.arange(count), rows.counts)
    msg_ids: Any = rows.table["msgId"].combine_chunks()
    is_in_order = asked.equals(msg_ids)  # as a rule: platforms answer in the order of asking
    row_of_asked: Any = np.arange(len(asked)) if is_in_order else _places_in(asked, msg_ids)
    # Whoever is not among the rows has place -1, and so finds what is put behind the last row.
    is_found = np.append(answered_by, -1)[row_of_asked] == asked_by
    codes = _places_in(rows.table["status"], pa.array(_CODES, pa.string()))
    times = instants_of(rows.table["receiveTime"], local_is_utc=False)
    is_odd_row = (codes < 0) | _is_unread(rows.table["receiveTime"], times)

    found = np.bincount(asked_by[is_found], minlength=count)
    is_plain = (found == rows.counts) & (np.bincount(answered_by[is_odd_row], minlength=count) == 0)
    for code, tally in enumerate(("success", "fail", "sending")):
        is_plain &= _agree(answers, tally, np.bincount(answered_by[codes == code], minlength=count))
    is_plain &= _agree(answers, "not_found", np.bincount(asked_by, minlength=count) - found)

    row = pa.array(row_of_asked, mask=~is_found)
    status = np.where(is_found, np.maximum(np.append(codes, _NOT_FOUND)[row_of_asked], 0), _NOT_FOUND)
    numbers = _pc.utf8_trim_whitespace(rows.table["number"])
    table = pa.table(
        {
            "place": pa.array(rows.places, pa.int32()).take(asked_by),
            "app_id": pa.array([answer.app_id for answer in answers], pa.string()).take(asked_by),
            "msg_id": asked,
            "number": _pc.if_else(_pc.equal(numbers, ""), None, numbers).take(row),
            "status": pa.array(_STATUSES, pa.string()).take(status),
            "receive_time": times.take(row),
            "observed_at": pa.array([answer.observed_at for answer in answers], INSTANT).take(asked_by),
            "call_id": pa.array([answer.call_id for answer in answers], pa.string()).take(asked_by),
            "extra": pa.nulls(len(asked), pa.string()),
            "sent_date": pa.array([answer.sent_date for answer in answers], pa.date32()).take(asked_by),
        },
        schema=REPORTS_SCHEMA,
    )
    return table if is_plain.all() else table.filter(is_plain[asked_by]), is_plain.tolist()


def _places_in(values: Any, among: Any) -> Any:
    """Return where each value first stands among others, -1 where it does not."""
    return _pc.fill_null(_pc.index_in(values, value_set=among), -1).to_numpy()


def _is_unread(written: Any, times: Any) -> Any:
    is_written = _pc.fill_null(_pc.not_equal(written, ""), fill_value=False)
    return _pc.and_(is_written, times.is_null()).to_numpy()


def _agree(answers: Sequence[Answer], tally: str, counted: Any) -> Any:
    """Say of each answer whether the platform's tally, where it gave one, is what was counted."""
    told = [getattr(answer.envelope, tally) for answer in answers]
    return np.array([one is None or one == other for one, other in zip(told, counted.tolist(), strict=True)], bool)
