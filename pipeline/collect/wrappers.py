"""Records inside the objects that shippers of logs put around them.

Belongs here: finding a record inside the fields, lists and texts that hold it.
Does not belong here: which fields those are (`fields`), the values of a record (`frames`), JSON text (`json_text`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pipeline.collect.fields import HOLDERS, FieldNames, Picker, RawFields
from pipeline.collect.json_text import decode_whole
from pipeline.collect.values import extended_value, id_of, is_empty

_DEEPEST: Final = 6
_BYTES: Final = 256
_PAIR: Final = ("time", "line")
"""What Loki writes of a line: nanoseconds and text."""
CRI_LINE: Final = re.compile(rb"(\d{4}-\d\d-\d\d[T ]\S+) (stdout|stderr) ([FP])(?::\S*)? ")
"""What Kubernetes' container runtime writes in front of a line: time, stream, full or part."""
TEXT_BEFORE: Final = re.compile(
    rb"[\s\[]*+(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?"
    rb'[^"{}\\]*+(?<!,)(?<!, )(?=\{)'
)
"""What loggers, syslog and `kubectl logs` write in front of an object: a time, and text that is no part of JSON."""
_BEHIND: Final = b" \t\r\n[]"
"""What may stand behind an object in its line: Monolog's line ends with an empty list."""


class TextObject(NamedTuple):
    """An object in a text, the time in front of it, and whether it has bytes that are no UTF-8."""

    value: dict[str, object]
    time: str | None
    has_bad_bytes: bool


class Wrapped(NamedTuple):
    """A record, and the objects around it, the outermost first."""

    record: Mapping[str, object]
    around: tuple[Mapping[str, object], ...] = ()

    def said_around(self, field: str, names: FieldNames) -> object:
        """Return what the nearest object around the record says of a field, None where none does."""
        for value in reversed(self.around):
            picker = names.picker(tuple(value))
            said = RawFields(*picker.pick([*value.values(), None, None]))._asdict()[field]
            if field in picker.fields and not is_empty(said):
                return said
        return None


def records_in(value: Mapping[str, object], names: FieldNames) -> list[Wrapped]:
    """Return the records that an object holds, or is itself; none where it is something else."""
    return list(_records_in(value, names, ()))


def _records_in(
    value: Mapping[str, object], names: FieldNames, around: tuple[Mapping[str, object], ...]
) -> Iterator[Wrapped]:
    picker = names.picker(tuple(value))
    if len(around) < _DEEPEST and not (picker.is_record and has_own_id(value, picker)):
        for name, inner in value.items():
            if name.lower() in HOLDERS:
                found = [each for one in _objects_of(inner) for each in _records_in(one, names, (*around, value))]
                if found:
                    yield from found
                    return
    if picker.is_record:
        yield Wrapped(value, around)


def has_own_id(value: Mapping[str, object], picker: Picker) -> bool:
    """Tell whether an object has an id of a message, or a receipt: a queue's own `MessageId` is none."""
    own = RawFields(*picker.pick([*value.values(), None, None]))
    return id_of(extended_value(own.msg_id)) is not None or not is_empty(own.response)


def _objects_of(value: object, lists: int = 0) -> list[dict[str, object]]:
    """Return the objects that a value is or holds, inside at most _DEEPEST lists."""
    if isinstance(value, str):
        return _objects_of(_decoded(value))
    if isinstance(value, list):
        return _objects_in_list(value, lists + 1) if lists < _DEEPEST else []
    return [_without_lists(value)] if isinstance(value, dict) else []


def _without_lists(value: dict[str, object]) -> dict[str, object]:
    """Return an object of lists of one, as Elasticsearch writes `fields`, as an object of their values."""
    if value and all(isinstance(each, list) and len(each) == 1 for each in value.values()):
        return {name: each[0] for name, each in value.items() if isinstance(each, list)}
    return value


def _objects_in_list(value: list[object], lists: int) -> list[dict[str, object]]:
    """Return the objects of a list, of text written as its bytes (journald), or of times and texts (Loki)."""
    kinds = set(map(type, value))
    if kinds == {int} and all(0 <= each < _BYTES for each in value if isinstance(each, int)):
        return _objects_of(bytes(value).decode("utf-8", "replace"))  # type: ignore[arg-type]  # integers, as was seen
    if kinds == {str} and len(value) == len(_PAIR):
        return [dict(zip(_PAIR, value, strict=True))]
    return [each for one in value if isinstance(one, dict | list) for each in _objects_of(one, lists)]


def _decoded(text: str) -> object:
    found = object_in(text.encode("utf-8", "surrogatepass"))
    return None if found is None else found.value


def object_in(text: bytes) -> TextObject | None:
    """Return the object that a text is, perhaps behind what a logger or a container runtime puts in front."""
    time = None
    if not text.startswith(b"{"):
        before = TEXT_BEFORE.match(text)
        if before is None:
            return None
        time = before[1].decode() if before[1] else None
        text = text[before.end() :].rstrip(_BEHIND)
    try:
        found = decode_whole(text)
    except ValueError:
        return None
    return TextObject(found.value, time, found.has_bad_bytes) if isinstance(found.value, dict) else None
