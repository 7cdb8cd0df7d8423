"""Parsed records to Arrow tables of messages and rejects, some thousands at a time.

Belongs here: the tables' schemas, gathering records, country before the number is treated. Does not
belong here: reading files (`log_formats`, `sent_logs`), the rules for one record (`log_records`).

Records that share their field names are gathered as columns, and clean rows become messages column by
column; every other row goes through `log_records.read_record`'s rules one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from pipeline.collect.columns import Rows, clean_messages
from pipeline.collect.fields import Fields, fields_among
from pipeline.collect.raw import Values
from pipeline.collect.records import LogRules, Message, Outcome, limits_of, read_record, read_values
from pipeline.collect.rejects import Reject
from pipeline.model.countries import countries_of
from pipeline.model.phone_numbers import treat_numbers

_MESSAGE_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "app_id": pa.string(),
    "msg_id": pa.string(),
    "number": pa.string(),
    "country": pa.string(),
    "sender_id": pa.string(),
    "order_id": pa.string(),
    "sent_at": pa.timestamp("us", "UTC"),
    "sent_date": pa.date32(),
    "file": pa.string(),
    "line": pa.int64(),
    "item": pa.int64(),
}
_REJECT_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "file": pa.string(),
    "line": pa.int64(),
    "item": pa.int64(),
    "reason": pa.string(),
    "raw": pa.string(),
    "file_date": pa.date32(),
}
MESSAGES_SCHEMA: Final = pa.schema(_MESSAGE_COLUMNS)
REJECTS_SCHEMA: Final = pa.schema(_REJECT_COLUMNS)
SMALL_RECORD_BYTES = 4096
"""Records up to this size are gathered; larger ones are read at once, so that a chunk stays small."""
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them
_SHAPES = 16
_FOUND: Final = pa.schema([field for field in MESSAGES_SCHEMA if field.name not in {"country", "file"}])


Found = tuple[int, object, int]
"""A record of a log: its line, the record or a `Reject` in its place, its length in bytes (0 if it is small)."""


class Batch(NamedTuple):
    """Many records of a log at once.

    Attributes:
        rows: their values, column by column.
        odd: lines of records that are not among the rows.
        record_at: reads a line by itself; returns its record, or a `Reject` in its place.
    """

    rows: Sequence[Rows]
    odd: Sequence[int]
    record_at: Callable[[int], object]


@dataclass(frozen=True)
class LogChunk:
    """A part of one log: `messages` of MESSAGES_SCHEMA, `rejects` of REJECTS_SCHEMA, in order of lines.

    Attributes:
        records: rows of both: every message of a log and every record set aside is in one chunk, once.
    """

    messages: pa.Table
    rejects: pa.Table
    records: int


@dataclass
class _Shape:
    """Records with the same field names: their lines, and their values of the fields `present`.

    The values stand one record behind the other in a flat list: a tuple for each record would make the
    garbage collector walk through all of them again and again.
    """

    present: tuple[str, ...]
    values_of: Callable[[Mapping[str, object]], tuple[object, ...]]
    lines: list[int] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def row(self, index: int) -> list[object]:
        """Return the values of one record, in the order of `present`."""
        width = len(self.present)
        return self.values[index * width : (index + 1) * width]


class ChunkBuilder:
    """Gathers the records of one log; `units` is how many messages and rejects it holds by now."""

    def __init__(self, *, file_name: str, file_date: date | None, rules: LogRules) -> None:
        """Start with nothing; `file_name` is what the column `file` says."""
        self._file_name = file_name
        self._file_date = file_date
        self._rules = rules
        self._limits = limits_of(rules, file_date)
        self._restart()

    def _restart(self) -> None:
        self.units = 0
        self._shapes: dict[tuple[str, ...], _Shape | None] = {}
        self._clean: list[pa.Table] = []
        self._messages: list[tuple[int, Message]] = []
        self._rejects: list[tuple[int, Reject]] = []

    def add(self, line: int, record: object, size: int = 0) -> None:
        """Take a record, or a `Reject` in its place; `size` is its length in bytes, 0 if it is small."""
        if isinstance(record, dict) and size <= SMALL_RECORD_BYTES:
            names = tuple(record)
            shape = self._shapes.get(names) or self._new_shape(names)
            if shape is not None:
                shape.lines.append(line)
                shape.values.extend(shape.values_of(record))
                self.units += 1
                return
        self._read(line, record)

    def add_batch(self, batch: Batch) -> None:
        """Take many records at once; those that are not clean beyond doubt are read by themselves."""
        for line in chain(batch.odd, *map(self._add_rows, batch.rows)):
            self._read(line, batch.record_at(line))

    def _add_rows(self, rows: Rows) -> list[int]:
        """Keep the messages of the lines that are wholly clean; return the other lines."""
        is_clean, clean = clean_messages(rows.columns, self._limits)
        places = pa.table({"line": rows.lines, "item": rows.items})
        odd: list[int] = []
        if clean.num_rows < places.num_rows:
            lines = places["line"]
            odd = _pc.unique(lines.filter(_pc.invert(is_clean))).to_pylist()
            clean = clean.filter(_pc.invert(_pc.is_in(lines.filter(is_clean), value_set=pa.array(odd))))
            places = places.filter(_pc.invert(_pc.is_in(lines, value_set=pa.array(odd))))
        for name in places.column_names:
            clean = clean.append_column(name, places[name])
        self._clean.append(clean.cast(_FOUND))
        self.units += clean.num_rows
        return odd

    def take(self) -> LogChunk:
        """Return what was gathered, and start again."""
        clean = [*self._clean, *(self._settle(shape) for shape in self._shapes.values() if shape is not None)]
        messages = _in_order([*clean, _table_of(self._messages)])
        rejects = self._table_of_rejects()
        self._restart()
        return LogChunk(self._finished(messages), rejects, messages.num_rows + rejects.num_rows)

    def _new_shape(self, names: tuple[str, ...]) -> _Shape | None:
        if names in self._shapes or len(self._shapes) >= _SHAPES:
            return None
        return self._shapes.setdefault(names, _shape_of(fields_among(names)))

    def _read(self, line: int, record: object) -> None:
        if isinstance(record, Reject):
            self._keep(line, (record,))
        else:
            self._keep(line, read_record(record, self._rules, self._file_date))

    def _keep(self, line: int, outcomes: Sequence[Outcome]) -> None:
        self.units += len(outcomes)
        for outcome in outcomes:
            if isinstance(outcome, Message):
                self._messages.append((line, outcome))
            else:
                self._rejects.append((line, outcome))

    def _settle(self, shape: _Shape) -> pa.Table:
        """Return the clean rows of a shape; read the others one by one."""
        columns = _columns_of(shape)
        if columns is None:
            unclean, clean = range(len(shape.lines)), _FOUND.empty_table()
        else:
            is_clean, clean = clean_messages(columns, self._limits)
            lines = pa.array(shape.lines, pa.int64()).filter(is_clean)
            clean = clean.append_column("line", lines).append_column("item", _repeated(0, pa.int64(), len(lines)))
            unclean = _pc.indices_nonzero(_pc.invert(is_clean)).to_pylist()
        for index in unclean:
            values = Values(**dict.fromkeys(Values._fields) | dict(zip(shape.present, shape.row(index), strict=True)))
            self._keep(shape.lines[index], [read_values(values, 0, self._rules, self._file_date)])
        return clean.cast(_FOUND)

    def _finished(self, found: pa.Table) -> pa.Table:
        """Add country and file, and treat the numbers: in this order."""
        numbers = found["number"]
        columns: dict[str, Any] = {name: found[name] for name in found.column_names}
        columns["country"] = countries_of(numbers)
        columns["number"] = treat_numbers(numbers, self._rules.numbers)
        columns["file"] = _repeated(self._file_name, pa.string(), found.num_rows)
        return pa.table({name: columns[name] for name in MESSAGES_SCHEMA.names}).cast(MESSAGES_SCHEMA)

    def _table_of_rejects(self) -> pa.Table:
        found = sorted(self._rejects, key=lambda reject: (reject[0], reject[1].item or 0))
        return pa.table(
            {
                "file": _repeated(self._file_name, pa.string(), len(found)),
                "line": [line for line, _ in found],
                "item": [reject.item for _, reject in found],
                "reason": [reject.reason for _, reject in found],
                "raw": [reject.raw for _, reject in found],
                "file_date": _repeated(self._file_date, pa.date32(), len(found)),
            },
            schema=REJECTS_SCHEMA,
        )


def _shape_of(fields: Fields) -> _Shape | None:
    """Return a shape for records with these fields, None where each must be looked at on its own."""
    names = {field: name for field, name in fields.names().items() if name is not None}
    if fields.rivals or "response" in names or not {"msg_id", "sent_at"} <= names.keys():
        return None
    return _Shape(tuple(names), itemgetter(*names.values()))


def _columns_of(shape: _Shape) -> dict[str, pa.Array[Any]] | None:
    """Return the values of a shape as columns, None where a column mixes types or holds no Unicode."""
    width = len(shape.present)
    columns: Any = [shape.values[place::width] for place in range(width)]
    try:
        arrays = [pa.array(column) for column in columns]
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return None
    return dict(zip(shape.present, arrays, strict=True))


def _table_of(messages: Sequence[tuple[int, Message]]) -> pa.Table:
    ordered = sorted(messages, key=lambda message: (message[0], message[1].item))
    rows = [(*message[:7], line, message.item) for line, message in ordered]
    columns = list(zip(*rows, strict=True)) or [()] * len(_FOUND)
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, _FOUND, strict=True)], schema=_FOUND)


def _in_order(tables: Sequence[pa.Table]) -> pa.Table:
    filled = [table for table in tables if table.num_rows]
    if len(filled) == 1:
        return filled[0]
    table = pa.concat_tables(tables)
    lines = table["line"].to_numpy()
    if (lines[1:] >= lines[:-1]).all():
        return table
    order: Any = np.argsort(lines, kind="stable")
    return table.take(order)


def _repeated(value: object, kind: pa.DataType, times: int) -> pa.Array[Any]:
    scalar: Any = pa.scalar(value, kind)
    repeated: pa.Array[Any] = pa.repeat(scalar, times)
    return repeated
