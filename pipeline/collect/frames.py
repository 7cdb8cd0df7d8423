"""Raw frames: what the formats yield, the logged values of many messages.

Belongs here: gathering records, opening wrappers and the receipts of `sendSms` in them.
Does not belong here: parsing (`formats`), what values become and which rules they break (`records`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pipeline.collect.fields import ABSENT, FieldNames, Picker, RawFields
from pipeline.collect.json_text import Receipt, receipt_of
from pipeline.collect.values import extended_value, is_empty
from pipeline.collect.wrappers import Wrapped, records_in

LARGE_RECORD_BYTES: Final = 4096
"""The bytes of larger records count towards MOST_BYTES."""
MOST_BYTES: Final = 8 << 20
"""Bytes of large records after which a frame is full."""
MOST_RECEIPT_ROWS: Final = 100_000
"""Messages of one call: the rows of a receipt are read as one."""
_WIDTH = len(RawFields._fields)
_SENT_AT = RawFields._fields.index("sent_at")
_APP_ID = RawFields._fields.index("app_id")
_RESPONSE = RawFields._fields.index("response")


class Fault(NamedTuple):
    """Why a row is no message, found before the rules are applied; `receipt` adds its status and reason to `raw`."""

    code: str
    receipt: Receipt | None = None


class Unparsed(NamedTuple):
    """What could not be parsed: its line, its place in the line if others stand before it, the code, its rows."""

    line: int
    item: int | None
    code: str
    rows: int = 1


class RawFrame:
    """Raw fields of messages, one row per message, in order of lines.

    Attributes:
        names: what the names of fields stand for.
        items: index of each message in its line, from 0; None for a fault of the line's first record as a whole.
        faults: by place of the row.
        unparsed: records that could not be parsed.
    """

    def __init__(self, names: FieldNames | None = None) -> None:
        """Start without rows."""
        self.names = names or FieldNames()
        self.lines: list[int] = []
        self.items: list[int | None] = []
        self.faults: dict[int, Fault] = {}
        self.unparsed: list[Unparsed] = []
        self._values: list[object] = []  # one flat list: a tuple per row would be walked by the garbage collector
        self._bytes = 0
        self._latest: tuple[str, ...] = ()
        self._picker = self.names.picker(())

    def __len__(self) -> int:
        """Return how many messages and rejects it holds."""
        return len(self.lines) + len(self.unparsed)

    def is_full(self, most_rows: int) -> bool:
        """Tell whether it has `most_rows` rows, or large records of MOST_BYTES."""
        return len(self.lines) + len(self.unparsed) >= most_rows or self._bytes >= MOST_BYTES

    def column(self, field: str) -> list[object]:
        """Return the raw values of a field."""
        column = slice(RawFields._fields.index(field), None, _WIDTH)
        values = self._values[column]
        if dict in set(map(type, values)):
            values = self._values[column] = [extended_value(value) for value in values]
        return values

    def row(self, place: int) -> RawFields:
        """Return the raw values of one row."""
        values = self._values[place * _WIDTH : (place + 1) * _WIDTH]
        return RawFields(*(None if value is ABSENT else value for value in values))

    def reject(self, line: int, code: str, item: int = 0, *, rows: int = 1) -> int:
        """Add a reject for a record that could not be parsed, or for so many rows from it on; return 1."""
        self.unparsed.append(Unparsed(line, item or None, code, rows))
        return 1

    def add_record(self, line: int, record: object, item: int = 0, *, has_bad_bytes: bool = False) -> int:
        """Add a parsed JSON value; return how many rows and rejects came of it.

        Args:
            line: where it starts.
            record: an object; anything else is rejected.
            item: how many messages and rejects stand before it in its line.
            has_bad_bytes: whether its text had bytes that are no text, which are lone surrogates here.
        """
        if not isinstance(record, dict):
            return self.reject(line, "not_a_record", item)
        names = tuple(record)
        if names != self._latest:
            self._latest, self._picker = names, self.names.picker(names)
        if self._picker.is_wrapper:
            return self._add_wrapped(line, record, item, has_bad_bytes=has_bad_bytes)
        values = self._picker.pick([*record.values(), ABSENT, None])
        if self._picker.has_wrapper and not _is_digits(values[0]):
            return self._add_wrapped(line, record, item, has_bad_bytes=has_bad_bytes)
        return self.add(line, values, item, has_bad_bytes=has_bad_bytes)

    def add(self, line: int, values: Sequence[object], item: int = 0, *, has_bad_bytes: bool = False) -> int:
        """Add the values of a record in the order of `RawFields`: one row, or one for each row of its receipt.

        Returns:
            How many rows or rejects were added.
        """
        if has_bad_bytes and is_bad_text(values):
            return self.reject(line, "bad_encoding", item)
        if values[_RESPONSE] is not None:
            return self._open(line, RawFields(*values), item)
        self.lines.append(line)
        self.items.append(item)
        self._values += values
        return 1

    def add_columns(self, lines: Sequence[int], columns: Sequence[Sequence[object]], picker: Picker) -> None:
        """Add the values of records with the same names, one column per name: like `add` for each record."""
        rows, begin = len(lines), 0
        values: list[object] = [None] * (rows * _WIDTH)
        for place, column in enumerate(picker.pick_columns(columns, rows)):
            values[place::_WIDTH] = column
        calls = [row for row, response in enumerate(values[_RESPONSE::_WIDTH]) if response is not None]
        for row in [*calls, rows]:
            self.lines += lines[begin:row]
            self.items += [0] * (row - begin)
            self._values += values[begin * _WIDTH : row * _WIDTH]
            if row < rows:
                self._open(lines[row], RawFields(*values[row * _WIDTH : (row + 1) * _WIDTH]), 0)
            begin = row + 1

    def count_bytes(self, size: int, records: int = 1) -> None:
        """Count the size of records, if each is large."""
        if size > LARGE_RECORD_BYTES:
            self._bytes += size * records

    def _add_wrapped(self, line: int, record: Mapping[str, object], item: int, *, has_bad_bytes: bool) -> int:
        """Add the records in a wrapper; the wrapper's time and app count where a record has none."""
        added = 0
        for wrapped in records_in(record, self.names) or [Wrapped(record)]:
            inner = wrapped.record
            values = list(self.names.picker(tuple(inner)).pick([*inner.values(), ABSENT, None]))
            if is_empty(values[_SENT_AT]) and (said := wrapped.said_around("sent_at", self.names)) is not None:
                values[_SENT_AT] = said
            if values[_APP_ID] is ABSENT and (said := wrapped.said_around("app_id", self.names)) is not None:
                values[_APP_ID] = said
            added += self.add(line, values, item + added, has_bad_bytes=has_bad_bytes)
        return added

    def _open(self, line: int, call: RawFields, item: int) -> int:
        receipt = None if is_empty(call.response) else receipt_of(call.response)
        if receipt is None:
            is_message = is_empty(call.response) or not is_empty(call.msg_id)
            return self._add(line, item, call, None if is_message else Fault("bad_response"))
        if len(receipt.rows) > MOST_RECEIPT_ROWS:
            return self._add(line, item, call, Fault("bad_response"))
        if not receipt.is_sent:
            return self._add(line, item, call, Fault("not_sent", receipt))
        for place, row in enumerate(receipt.rows, item):
            self._add_receipt_row(line, place, row, call)
        return len(receipt.rows)

    def _add_receipt_row(self, line: int, item: int, row: object, call: RawFields) -> None:
        """Add one row of a receipt: id, number and order are its own, the rest is the call's."""
        if isinstance(row, dict):
            own = self.names.picker(tuple(row)).pick([*row.values(), ABSENT, None])
            self.lines.append(line)
            self.items.append(item)
            self._values += (own[0], call.sent_at, call.app_id, own[3], call.sender_id, own[5], None, call.labels)
        else:
            self._add(line, item, call, Fault("bad_response"), is_row=True)

    def _add(self, line: int, item: int, values: RawFields, fault: Fault | None, *, is_row: bool = False) -> int:
        if fault is not None:
            self.faults[len(self.lines)] = fault
        self.lines.append(line)
        self.items.append(item if item or is_row or fault is None else None)
        self._values += values
        return 1


def _is_digits(msg_id: object) -> bool:
    return isinstance(msg_id, str) and msg_id.isdigit()


def is_bad_text(values: Sequence[object]) -> bool:
    """Tell whether one of the values of a record has bytes that are no text."""
    return any(isinstance(value, str) and not value.isascii() and _has_bad_bytes(value) for value in values)


def _has_bad_bytes(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)
