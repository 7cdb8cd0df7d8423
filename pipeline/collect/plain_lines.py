"""Many lines of plain JSON at once, column by column: the quick way for what programs write by the million.

Belongs here: telling that lines are plain beyond doubt, and gathering the values of their fields. Does not
belong here: every other line, which `decoding` reads one by one; what values mean (`columns`, `log_records`).
The tests hold both ways against each other.

Lines that hold texts alone, and differ in these alone, are cut at their quotes (`alike_objects`); others are decoded.

The decoder knows the names that records had so far and takes no record with another one: a name that it passed
over might stand for a field. Values whose names stand for none are checked, and never become Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.collect.alike_objects import columns_of_alike
from pipeline.collect.columns import Rows, or_else
from pipeline.collect.fields import are_ranked, names_by_field
from pipeline.model.text_bytes import is_utf8

MOST_NAMES = 64
"""Names that are remembered of records, answers and their rows each; lines with others are read one by one."""
_LONGEST_INTEGER = 4300
"""Digits of an integer that Python reads; a line with a longer one is broken, whatever the field."""
_ENDLESS = re.compile(rb"[0-9]{%d}" % (_LONGEST_INTEGER + 1))
_OWN = ("msg_id", "number", "order_id")
"""Fields that a row of an answer has for itself."""
_SHARED = ("sent_at", "app_id", "sender_id")
"""Fields that a row of an answer has from its call."""
_MOST_MISSES = 3
"""Times more often than not that lines turned out not to be alike, after which it is not tried again for their file."""
_NEWLINE, _RETURN, _OPENING, _CLOSING = b"\n\r{}"
_NULL = b"null"
_Indices = npt.NDArray[np.int64]


class PlainDecoder:
    """Reads lines of plain JSON objects whose names it has learnt."""

    def __init__(self) -> None:
        """Start without names: no line is plain yet."""
        self._record = _Names((*_OWN, *_SHARED))
        self._answer = _Names((), status="status", array="array")
        self._row = _Names(_OWN)
        self._misses = 0
        self._prepare()

    def learn(self, record: object) -> None:
        """Remember the names of a record that was read by itself, and those of the answer in it."""
        if isinstance(record, dict) and self._learn(record):
            self._prepare()

    def decode(self, content: bytes, count: int, first_line: int) -> tuple[list[Rows], list[int]] | None:
        """Read the `count` lines of `content`, each of which has its newline; None where one of them is not plain.

        Shape:  n lines -> rows in order of lines, with or without an answer; numbers of the lines that must be
                read by themselves. Each line is in one of the three.
        """
        alike = self._alike(content, first_line)
        if alike is not None:
            return [alike], []
        ends = np.flatnonzero(np.frombuffer(content, np.uint8) == _NEWLINE)
        if not _are_objects(content, ends):
            return None
        try:
            records = self._decode_lines(content)
            return self._rows_of(records, first_line) if len(records) == count else None
        except (msgspec.MsgspecError, RecursionError, pa.ArrowException, OverflowError):
            return None

    def _alike(self, content: bytes, first_line: int) -> Rows | None:
        """Cut lines that are like the first one, which holds texts alone; None where that is not so."""
        first = content[: content.index(b"\n")]
        names = self._record.names_of_texts(first)
        if not names or self._misses > _MOST_MISSES:
            return None
        texts = columns_of_alike(content, first=first, members=len(names), end=b"\n")
        if texts is None:
            self._misses += 1
            return None
        self._misses = max(self._misses - 1, 0)
        by_name = dict(zip(names, texts, strict=True))
        lines = np.arange(first_line, first_line + len(texts[0]))
        columns = self._record.chosen((*_OWN, *_SHARED), len(lines), by_name.get)
        return Rows(columns, pa.array(lines), pa.array(np.zeros(len(lines), np.int64)))

    def _rows_of(self, records: Sequence[Any], first_line: int) -> tuple[list[Rows], list[int]]:
        response = self._record.attributes_of("response")
        lines = np.arange(first_line, first_line + len(records))
        if not response:
            return [self._plain(records, lines)], []
        responses: list[Any] = list(map(attrgetter(*response), records))
        called = [place for place, each in enumerate(responses) if each is not None and bytes(each) != _NULL]
        answers = {place: self._answer_of(responses[place]) for place in called}
        good = {place: answer for place, answer in answers.items() if answer}
        plain = np.delete(np.arange(len(records)), called)
        rows = [
            self._plain(_picked(records, plain), lines[plain]),
            self._called(_picked(records, good), lines[list(good)], list(good.values())),
        ]
        odd = [first_line + place for place, answer in answers.items() if not answer]
        return [each for each in rows if len(each.lines)], odd

    def _plain(self, records: Sequence[Any], lines: _Indices) -> Rows:
        columns = self._record.columns(records, (*_OWN, *_SHARED))
        return Rows(columns, pa.array(lines), pa.array(np.zeros(len(lines), np.int64)))

    def _called(self, records: Sequence[Any], lines: _Indices, answers: Sequence[Sequence[Any]]) -> Rows:
        """Return one row for each row of the answers, with the fields of the call."""
        counts = np.array([len(answer) for answer in answers], np.int64)
        places: Any = np.repeat(np.arange(len(answers)), counts)
        items = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        shared = self._record.columns(records, _SHARED)
        columns = {field: column.take(places) for field, column in shared.items()}
        columns |= self._row.columns(list(chain.from_iterable(answers)), _OWN)
        return Rows(columns, pa.array(lines[places]), pa.array(items))

    def _answer_of(self, response: msgspec.Raw) -> Sequence[Any] | None:
        """Return the rows of an answer that says that they were sent, None where it must be looked at."""
        try:
            answer: Any = self._decode_answer(response)
        except (msgspec.MsgspecError, RecursionError):
            return None
        return answer.array if answer.status == "0" else None

    def _learn(self, record: Mapping[object, object]) -> bool:
        grown = self._record.add(record)
        for answer in (record[name] for name in self._record.names_of("response") if name in record):
            if isinstance(answer, dict):
                rows = answer.get("array")
                kinds = {tuple(row): row for row in (rows if isinstance(rows, list) else ()) if isinstance(row, dict)}
                grown |= any([self._answer.add(answer), *map(self._row.add, kinds.values())])
        return grown

    def _prepare(self) -> None:
        row = self._row.struct()
        answer = self._answer.struct(status=Any, array=list[row] | None)  # type: ignore[valid-type]
        self._decode_answer = msgspec.json.Decoder(answer).decode
        self._decode_lines = msgspec.json.Decoder(self._record.struct()).decode_lines


class _Names:
    """The names that one kind of object had so far, and the attributes that their values become."""

    def __init__(self, fields: Sequence[str], **typed: str) -> None:
        """Start with the names in `typed`; only values of `fields` will be Python objects."""
        self._fields = fields
        self._attributes: dict[str, str] = dict(typed)
        self._by_field: Mapping[str, tuple[str, ...]] = {}

    def add(self, record: Mapping[Any, object]) -> bool:
        """Remember the names of an object; tell whether there was a new one."""
        before = len(self._attributes)
        for name in [name for name in record if name not in self._attributes]:  # msgspec expects names in this order
            names = (*self._attributes, name)
            if len(names) <= MOST_NAMES and _can_be_learnt(name) and are_ranked(names):
                self._attributes[name] = f"name_{len(names)}"
                self._by_field = names_by_field(names)
        return len(self._attributes) > before

    def names_of(self, field: str) -> tuple[str, ...]:
        """Return the names that stand for a field, the preferred first."""
        return self._by_field.get(field, ())

    def attributes_of(self, field: str) -> list[str]:
        """Return the attributes of `names_of`."""
        return [self._attributes[name] for name in self.names_of(field)]

    def struct(self, **typed: Any) -> type[msgspec.Struct]:
        """Return a type for objects with these names and no others; types of single attributes may be given."""
        wanted = set(chain.from_iterable(map(self.attributes_of, self._fields)))
        types = {name: typed.get(name, Any if name in wanted else msgspec.Raw) for name in self._attributes.values()}
        return msgspec.defstruct(
            "PlainObject",
            [(attribute, kind, None) for attribute, kind in types.items()],
            rename={attribute: name for name, attribute in self._attributes.items()},
            forbid_unknown_fields=True,
            gc=False,  # JSON has no cycles
        )

    def columns(self, objects: Sequence[Any], fields: Iterable[str]) -> dict[str, pa.Array[Any]]:
        """Return the values of some fields, by field."""

        def values_of(name: str) -> pa.Array[Any]:
            column: pa.Array[Any] = pa.array(list(map(attrgetter(self._attributes[name]), objects)))
            return column

        return self.chosen(fields, len(objects), values_of)

    def chosen(
        self, fields: Iterable[str], count: int, values_of: Callable[[str], pa.Array[Any] | None]
    ) -> dict[str, pa.Array[Any]]:
        """Return the values of some fields, by field: of the names that stand for one, and have values, the best."""
        found = {}
        for field in fields:
            columns = [column for name in self.names_of(field) if (column := values_of(name)) is not None]
            found[field] = reduce(or_else, columns) if columns else pa.nulls(count)
        return found

    def names_of_texts(self, line: bytes) -> list[str]:
        """Return the names in an object of known names and texts without quotes; none where it is another."""
        try:
            record: object = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        if not isinstance(record, dict) or not record.keys() <= self._attributes.keys():
            return []
        is_call = any(name in record for name in self.names_of("response"))
        are_texts = all(isinstance(value, str) for value in record.values())
        return list(record) if are_texts and not is_call and line.count(b'"') == 4 * len(record) else []


def _can_be_learnt(name: object) -> bool:
    return isinstance(name, str) and name.isprintable() and not {'"', "\\"} & set(name)


def _are_objects(content: bytes, ends: _Indices) -> bool:
    r"""Tell whether each line begins with `{`, ends with `}`, and is UTF-8.

    Inside a JSON value no newline stands between `}` and `{`: what is then read whole ends where its line ends,
    if there are as many values as lines.
    """
    at = np.frombuffer(content, np.uint8)
    before = at[ends - 1]
    if before[-1] == _RETURN:
        before = np.where(before == _RETURN, at[ends - 2], before)
    are_whole = (before == _CLOSING).all() and at[0] == _OPENING and (at[ends[:-1] + 1] == _OPENING).all()
    return bool(are_whole) and is_utf8(content) and not _has_endless(content, ends)


def _has_endless(content: bytes, ends: _Indices) -> bool:
    """Tell whether there is an integer of so many digits that Python does not read it."""
    if np.diff(ends, prepend=-1).max() <= _LONGEST_INTEGER:
        return False
    return _ENDLESS.search(content) is not None


def _picked(objects: Sequence[Any], places: Iterable[int]) -> list[Any]:
    return [objects[place] for place in places]
