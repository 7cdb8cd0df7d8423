"""Raw frames: what the formats yield, the logged values of many messages.

Belongs here: gathering records, and opening the receipts of `sendSms` in them.
Does not belong here: parsing (`formats`), what values become and which rules they break (`records`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pipeline.collect.fields import FieldNames, RawFields, is_empty
from pipeline.collect.json_text import Receipt, receipt_of

LARGE_RECORD_BYTES: Final = 4096
"""The bytes of larger records count towards MOST_BYTES."""
MOST_BYTES: Final = 8 << 20
"""Bytes of large records after which a frame is full."""
_WIDTH = len(RawFields._fields)
_RESPONSE = RawFields._fields.index("response")


class Fault(NamedTuple):
    """Why a row is no message, found before the rules are applied; `receipt` adds its status and reason to `raw`."""

    code: str
    receipt: Receipt | None = None


class RawFrame:
    """Raw fields of messages, one row per message, in order of lines.

    Attributes:
        names: what the names of fields stand for.
        items: index of each message in its record, from 0; None for a fault of the whole record.
        faults: by place of the row.
        unparsed: line and code of each record that could not be parsed.
    """

    def __init__(self, names: FieldNames | None = None) -> None:
        """Start without rows."""
        self.names = names or FieldNames()
        self.lines: list[int] = []
        self.items: list[int | None] = []
        self.faults: dict[int, Fault] = {}
        self.unparsed: list[tuple[int, str]] = []
        self._values: list[object] = []  # one flat list: a tuple per row would be walked by the garbage collector
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many messages and rejects it holds."""
        return len(self.lines) + len(self.unparsed)

    def is_full(self, most_rows: int) -> bool:
        """Tell whether it has `most_rows` rows, or large records of MOST_BYTES."""
        return len(self) >= most_rows or self._bytes >= MOST_BYTES

    def column(self, field: str) -> list[object]:
        """Return the raw values of a field."""
        return self._values[RawFields._fields.index(field) :: _WIDTH]

    def row(self, place: int) -> RawFields:
        """Return the raw values of one row."""
        return RawFields(*self._values[place * _WIDTH : (place + 1) * _WIDTH])

    def reject(self, line: int, code: str) -> None:
        """Add a reject for a record that could not be parsed."""
        self.unparsed.append((line, code))

    def add_record(self, line: int, record: object) -> None:
        """Add a parsed JSON value."""
        if isinstance(record, dict):
            self.add(line, self.names.picker(tuple(record))([*record.values(), None]))
        else:
            self.reject(line, "not_a_record")

    def add(self, line: int, values: Sequence[object]) -> None:
        """Add the values of a record in the order of `RawFields`: one row, or one for each row of its receipt."""
        if values[_RESPONSE] is None:
            self.lines.append(line)
            self.items.append(0)
            self._values += values
        else:
            self._open(line, RawFields(*values))

    def count_bytes(self, size: int) -> None:
        """Count the size of a record, if it is large."""
        if size > LARGE_RECORD_BYTES:
            self._bytes += size

    def _open(self, line: int, call: RawFields) -> None:
        receipt = None if is_empty(call.response) else receipt_of(call.response)
        if receipt is None:
            is_message = is_empty(call.response) or not is_empty(call.msg_id)
            self._add(line, 0 if is_message else None, call, None if is_message else Fault("bad_response"))
        elif not receipt.is_sent:
            self._add(line, None, call, Fault("not_sent", receipt))
        else:
            for item, row in enumerate(receipt.rows):
                self._add_receipt_row(line, item, row, call)

    def _add_receipt_row(self, line: int, item: int, row: object, call: RawFields) -> None:
        """Add one row of a receipt: id, number and order are its own, the rest is the call's."""
        if not isinstance(row, dict):
            self._add(line, item, call, Fault("bad_response"))
            return
        own = RawFields(*self.names.picker(tuple(row))([*row.values(), None]))
        of_row = call._replace(msg_id=own.msg_id, number=own.number, order_id=own.order_id, response=None)
        self._add(line, item, of_row)

    def _add(self, line: int, item: int | None, values: RawFields, fault: Fault | None = None) -> None:
        if fault is not None:
            self.faults[len(self.lines)] = fault
        self.lines.append(line)
        self.items.append(item)
        self._values += values
