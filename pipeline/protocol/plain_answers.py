"""Plain answers, many at once: rows just as the vendor page has them become columns without a Python object each.

Belongs here: telling which answers are plain beyond doubt, and their reports. Does not belong here: every
other answer (`odd_answers.py`). The tests hold both ways against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute

from pipeline.iso_times import INSTANT, instants_of
from pipeline.protocol.decoding import PlainRow
from pipeline.protocol.reports import Answer
from pipeline.protocol.status import ROW_STATUSES, ReportStatus

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
_STATUSES: Final = {code: status.value for code, status in ROW_STATUSES.items()}
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


@dataclass
class _Columns:
    """Values of the rows of plain answers, one behind the other, and how many rows each answer has."""

    places: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    msg_ids: list[str] = field(default_factory=list)
    numbers: list[str | None] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    receive_times: list[str | None] = field(default_factory=list)

    def add(self, place: int, answer: Answer) -> bool:
        """Take an answer if it is plain, reports in the order of its rows, then of ids that are not there."""
        rows: Sequence[PlainRow] = answer.envelope.array if answer.envelope.is_plain else ()
        ids, codes = [row.msg_id for row in rows], [row.status for row in rows]
        seen, asked = set(ids), set(answer.asked)
        # What was asked for is text of digits, so an id among it is.
        if not answer.envelope.is_plain or len(seen) < len(ids) or not seen <= asked:
            return False
        missing = [msg_id for msg_id in dict.fromkeys(answer.asked) if msg_id not in seen] if seen < asked else []
        if not _adds_up(answer, codes, len(missing)):
            return False
        self.places.append(place)
        self.rows.append(len(asked))
        self.msg_ids += ids + missing
        self.numbers += [row.number.strip() or None if row.number else None for row in rows] + [None] * len(missing)
        self.statuses += [_STATUSES[code] for code in codes] + [ReportStatus.NOT_FOUND.value] * len(missing)
        self.receive_times += [row.receive_time or None for row in rows] + [None] * len(missing)
        return True


def _adds_up(answer: Answer, codes: Sequence[str], missing: int) -> bool:
    """Say whether every status is documented and the platform's tallies, where it gave them, are right."""
    found = [codes.count(code) for code in _STATUSES]
    if sum(found) != len(codes):
        return False
    envelope = answer.envelope
    tallies = dict(zip(_STATUSES, found, strict=True))
    told = (envelope.success, envelope.fail, envelope.sending, envelope.not_found)
    counted = (tallies["0"], tallies["1"], tallies["-1"], missing)
    return all(one is None or one == other for one, other in zip(told, counted, strict=True))


def flatten_plain(answers: Sequence[Answer]) -> tuple[pa.Table, list[int]]:
    """Make reports of the answers that are plain beyond doubt; return them, and the places of all others.

    Shape:  n answers -> REPORTS_SCHEMA, a row for each id that a plain answer was asked for; k places.
    Units:  receive_time leaves as UTC, microseconds.
    Raises: nothing for bad data; an answer with a row that is not plain is not in the table.
    """
    columns = _Columns()
    others = [place for place, answer in enumerate(answers) if not columns.add(place, answer)]
    table, unread = _without_unread(_table(columns, answers), pa.array(columns.receive_times, pa.string()))
    return table, sorted([*others, *unread])


def _table(columns: _Columns, answers: Sequence[Answer]) -> pa.Table:
    plain = [answers[place] for place in columns.places]
    row_answer = pa.array([n for n, rows in enumerate(columns.rows) for _ in range(rows)], pa.int32())
    count = len(row_answer)
    return pa.table(
        {
            "place": pa.array(columns.places, pa.int32()).take(row_answer),
            "app_id": pa.array([answer.app_id for answer in plain], pa.string()).take(row_answer),
            "msg_id": pa.array(columns.msg_ids, pa.string()),
            "number": pa.array(columns.numbers, pa.string()),
            "status": pa.array(columns.statuses, pa.string()),
            "receive_time": instants_of(pa.array(columns.receive_times, pa.string()), local_is_utc=False),
            "observed_at": pa.array([answer.observed_at for answer in plain], INSTANT).take(row_answer),
            "call_id": pa.array([answer.call_id for answer in plain], pa.string()).take(row_answer),
            "extra": pa.nulls(count, pa.string()),
            "sent_date": pa.array([answer.sent_date for answer in plain], pa.date32()).take(row_answer),
        },
        schema=REPORTS_SCHEMA,
    )


def _without_unread(table: pa.Table, written: pa.Array[Any]) -> tuple[pa.Table, list[int]]:
    """Leave out answers with a `receiveTime` that was not read; return their places."""
    is_unread = _pc.and_(_pc.is_valid(written), _pc.is_null(table["receive_time"]))
    if not _pc.any(is_unread).as_py():
        return table, []
    unread = _pc.unique(table["place"].filter(is_unread))
    return table.filter(_pc.invert(_pc.is_in(table["place"], unread))), unread.to_pylist()
