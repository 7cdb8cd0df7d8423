"""The names of fields in logs: which name stands for which field.

Belongs here: spellings, names that `SMS_SENT_LOG_FIELDS` gives, and picking the values of fields from a record.
Does not belong here: what values become (`values`, `times`), the rules that make a record a message (`records`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from pipeline.collect.values import is_empty

SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "msg_id": ("msg_id", "message_id", "sms_id"),
        "sent_at": (
            "sent_at", "sent_time", "send_time", "send_at", "submitted_at", "submit_time", "created_at",
            "create_time", "date_sent", "timestamp", "@timestamp", "datetime", "event_time", "time", "ts", "@t",
            "__REALTIME_TIMESTAMP", "date",
        ),
        "app_id": ("app_id",),
        "number": (
            "number", "phone_number", "mobile_number", "mobile", "msisdn", "phone", "recipient", "receiver",
            "destination", "to_number", "to",
        ),
        "sender_id": ("sender_id", "sender", "from"),
        "order_id": ("order_id",),
        "response": ("response",),
    }
)  # fmt: skip
"""Field -> names it is known by, the preferred first. Case, blanks and `_IGNORED` signs make no difference."""
HOLDERS: Final = frozenset(
    {
        "log", "message", "msg", "@message", "_source", "jsonpayload", "textpayload", "event", "fields", "body",
        "line", "_raw", "result", "attributes", "context", "contextmap", "meta", "properties", "payload", "after",
        "detail", "item", "newimage", "short_message", "full_message", "data", "stringvalue",
        "events", "logevents", "records", "hits", "results", "items", "messages", "rows", "values",
        "resourcelogs", "scopelogs", "logrecords",
    }
)  # fmt: skip
"""Fields, in lower case, in which shippers and exports hold a record or many, as objects or as JSON text."""
ABSENT: Final = object()
"""The app of a record that has no field for it: only there the default stands in."""
_ABSENT_AT: Final = {"app_id": -2}
"""Places behind the values of a record: of ABSENT, and of None for all other fields."""
MOST_SEEN: Final = 1000
_CACHED_PICKERS = 256
_CACHED_NAMES = 64
_IGNORED = str.maketrans("", "", " \t\r\n\u00a0\u200b\ufeff_-.@#'`[]")
_HOLDERS_BEFORE = re.compile(rf"(?:(?:{'|'.join(map(re.escape, sorted(HOLDERS)))})\.)+", re.IGNORECASE)
"""What exports write in front of the name of a field inside others: `jsonPayload.msg_id`."""


class RawFields(NamedTuple):
    """The logged values of one record by field, None where the record does not have the field."""

    msg_id: object = None
    sent_at: object = None
    app_id: object = None
    number: object = None
    sender_id: object = None
    order_id: object = None
    response: object = None
    labels: object = None
    """A tuple of the values of the fields that `FieldNames.labels` names; None where there are no labels."""


Pick = Callable[[Sequence[object]], Sequence[object]]
"""The values of a record, ABSENT and None -> the values of `RawFields`, in their order."""


@dataclass(frozen=True)
class Picker:
    """Picks the values of fields from records with the same names.

    Attributes:
        fields: fields that the names stand for.
        places: of the values of each field, those of the labels behind them.
        pick: picks them.
        has_wrapper: whether one of the names may hold a record.
    """

    fields: frozenset[str]
    places: Sequence[Sequence[int]]
    pick: Pick
    has_wrapper: bool

    def pick_columns(self, columns: Sequence[Sequence[object]], rows: int) -> list[Sequence[object]]:
        """Pick from the columns of many records what `pick` does from the values of each."""
        every = [*columns, [ABSENT] * rows, [None] * rows]
        *fields, labels = [[every[place] for place in places] for places in self.places]
        picked = [found[0] if len(found) == 1 else list(map(_first_of, *found)) for found in fields]
        return [*picked, list(zip(*labels, strict=True)) if labels else every[-1]]

    @cached_property
    def is_record(self) -> bool:
        """Whether a record with these names can be one of messages."""
        return not self.fields.isdisjoint({"msg_id", "response"})

    @cached_property
    def is_wrapper(self) -> bool:
        """Whether a record with these names can only hold others."""
        return self.has_wrapper and not self.is_record

    @property
    def is_whole_record(self) -> bool:
        """Whether a record with these names says what was sent and when."""
        return self.is_record and "sent_at" in self.fields


class FieldNames:
    """What the names in one log stand for.

    Attributes:
        labels: fields that are kept as labels (`SMS_SENT_LOG_LABELS`); one may be another field, too.
        given: field -> its name in the log (`SMS_SENT_LOG_FIELDS`). A name given to a field stands for nothing else,
            and where a record has it, it is the field's only name.
        seen: names that the records had so far, at most MOST_SEEN.
    """

    def __init__(self, labels: Sequence[str] = (), given: Mapping[str, str] | None = None) -> None:
        """Start with the spellings."""
        self.labels = tuple(labels)
        self.given = dict(given or {})
        self.seen: dict[str, None] = {}
        self._given_to = {plain_name(name): field for field, name in self.given.items()}
        self._field_of = {**_FIELD_OF, **self._given_to}
        self._labels = [plain_name(label) for label in self.labels]
        self._pickers: dict[tuple[str, ...], Picker] = {}
        self._lacking = dict(self.given)

    @property
    def lacking(self) -> list[str]:
        """The given names that no record had so far."""
        return list(self._lacking.values())

    def field_of(self, name: str) -> str | None:
        """Return the field that a name stands for, None where there is none."""
        return self._field_of.get(plain_name(name))

    def recognised(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that stand for a field or a label, in their order."""
        return [name for name in names if plain_name(name) in self._field_of or plain_name(name) in self._labels]

    def fields_among(self, names: Iterable[str]) -> set[str]:
        """Return the fields that some of `names` stand for."""
        return {field for field in map(self.field_of, names) if field is not None}

    def meanings(self, name: str) -> list[str]:
        """Return the field and the label that a name stands for, as a person would say."""
        field = self.field_of(name)
        labels = [f"label {label}" for label in self.labels if plain_name(label) == plain_name(name)]
        return [*([field] if field else []), *labels]

    def picker(self, names: tuple[str, ...]) -> Picker:
        """Return the picker for records with these names.

        Where a field has several, the first that is not empty counts: the name of the field itself comes first, then
        the order of SPELLINGS. Of equal names the first is read.
        """
        found = self._pickers.get(names)
        if found is None:
            found = self._picker_of(names)
            if len(names) <= _CACHED_NAMES and len(self._pickers) < _CACHED_PICKERS:
                self._pickers[names] = found
        return found

    def _picker_of(self, names: tuple[str, ...]) -> Picker:
        if len(self.seen) < MOST_SEEN:
            self.seen.update(dict.fromkeys(names))
        places: dict[str, list[int]] = {field: [] for field in RawFields._fields}
        for name in dict.fromkeys(name for name in names if self.field_of(name)):
            places[self._field_of[plain_name(name)]].append(names.index(name))
        for field, found in places.items():
            given = [place for place in found if self._given_to.get(plain_name(names[place])) == field]
            if given:
                self._lacking.pop(field, None)
                found[:] = given
            found.sort(key=lambda place: (names[place] != field, _RANK.get(plain_name(names[place]), 0)))
        fields = frozenset(field for field, found in places.items() if found)
        has_wrapper = any(name.lower() in HOLDERS for name in names)
        ranked = [found or [_ABSENT_AT.get(field, -1)] for field, found in places.items() if field != "labels"]
        plain = [plain_name(name) for name in names] if self._labels else []
        labels = [plain.index(label) if label in plain else -1 for label in self._labels]
        return Picker(fields, [*ranked, labels], _pick_at(ranked, labels), has_wrapper)


def _pick_at(ranked: Sequence[Sequence[int]], labels: Sequence[int]) -> Pick:
    if not labels and all(len(places) == 1 for places in ranked):
        return itemgetter(*(places[0] for places in ranked), -1)

    def pick(values: Sequence[object]) -> Sequence[object]:
        picked = [
            values[places[0]] if len(places) == 1 else _first_of(*(values[place] for place in places))
            for places in ranked
        ]
        return [*picked, tuple(values[place] for place in labels) if labels else None]

    return pick


def _first_of(*values: object) -> object:
    return next((value for value in values if not is_empty(value)), None)


def plain_name(name: str) -> str:
    """Return what of a name makes a difference."""
    plain = name.lower().translate(_IGNORED)
    if "." not in name or plain in _FIELD_OF:
        return plain
    held = _HOLDERS_BEFORE.match(name)
    return name[held.end() :].lower().translate(_IGNORED) if held else plain


_FIELD_OF = {name.lower().translate(_IGNORED): field for field, names in SPELLINGS.items() for name in names}
_RANK = {name.lower().translate(_IGNORED): rank for names in SPELLINGS.values() for rank, name in enumerate(names)}
