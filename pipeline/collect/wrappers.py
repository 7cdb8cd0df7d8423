"""Records inside the objects that shippers of logs put around them.

Belongs here: docker, CloudWatch, Elasticsearch, fluentd, CRI: which fields hold a record, and finding it.
Does not belong here: the values of a record (`frames`), JSON text (`json_text`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pipeline.collect.fields import FieldNames
from pipeline.collect.json_text import decode_json

WRAPPERS: Final = (
    "log", "message", "msg", "@message", "_source", "jsonPayload", "textPayload", "event", "fields", "body",
)  # fmt: skip
"""Fields that may hold a record, as an object or as JSON text."""
LISTS: Final = ("events", "logEvents", "records", "hits")
"""Fields that may hold many, as CloudWatch's and Elasticsearch's answers do."""
_FIELDS: Final = frozenset(name.lower() for name in (*WRAPPERS, *LISTS))
_DEEPEST: Final = 6
CRI_LINE: Final = re.compile(rb"(\d{4}-\d\d-\d\d[T ]\S+) (?:stdout|stderr) ([FP])(?::\S*)? ")
"""What Kubernetes' container runtime writes in front of a line: time, stream, full or part."""


class Wrapped(NamedTuple):
    """A record, and the values of the wrapper nearest to it that has a time."""

    record: Mapping[str, object]
    wrapper: Mapping[str, object]


def has_wrapper(names: tuple[str, ...]) -> bool:
    """Tell whether one of these names may hold a record."""
    return any(name.lower() in _FIELDS for name in names)


def records_in(value: Mapping[str, object], names: FieldNames) -> list[Wrapped]:
    """Return the records that an object without id and response holds; none where it holds something else."""
    return list(_records_in(value, names, {}, 0))


def _records_in(
    value: Mapping[str, object], names: FieldNames, outer: Mapping[str, object], depth: int
) -> Iterator[Wrapped]:
    picker = names.picker(tuple(value))
    if picker.is_record:
        yield Wrapped(value, outer)
        return
    if depth == _DEEPEST:
        return
    nearest = value if "sent_at" in picker.fields else outer
    for name, inner in value.items():
        if name.lower() in _FIELDS:
            found = [each for one in _objects_of(inner) for each in _records_in(one, names, nearest, depth + 1)]
            if found:
                yield from found
                return


def _objects_of(value: object) -> list[dict[str, object]]:
    if isinstance(value, str):
        return _objects_of(_decoded(value))
    if isinstance(value, list):
        return [each for each in value if isinstance(each, dict)]
    return [value] if isinstance(value, dict) else []


def _decoded(text: str) -> object:
    """Decode a text that is an object, perhaps behind what a container runtime puts in front."""
    encoded = text.strip().encode("utf-8", "surrogatepass")
    prefix = CRI_LINE.match(encoded)
    encoded = encoded[prefix.end() :] if prefix else encoded
    if not encoded.startswith(b"{"):
        return None
    try:
        return decode_json(encoded)
    except ValueError:
        return None
