"""The head of a CSV file: delimiter, titles, names of columns.

Belongs here: what stands above the rows. Does not belong here: the rows (`csv`), what fields mean.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.collect.fields import FieldNames, Picker
from pipeline.collect.formats.lines import Line
from pipeline.collect.values import id_of

DELIMITERS: Final = (",", ";", "\t", "|")
HEAD_LINES: Final = 20
"""Lines among which the header is looked for."""
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_LONG_ID: Final = 10
"""Digits from which on a cell above the header is an id."""


@dataclass(frozen=True)
class Head:
    """How the rows of a file are read.

    Attributes:
        names: of the columns.
        picker: picks the fields of a row.
        rejects: line and code of what is neither title nor header.
        lines: how many lines the head has.
    """

    delimiter: str
    names: tuple[str, ...]
    picker: Picker
    rejects: Sequence[tuple[int, str]]
    lines: int

    @property
    def is_wrapped(self) -> bool:
        """Whether the records stand in one of the columns."""
        return self.picker.is_wrapper


def head_of(lines: Sequence[Line], fields: FieldNames) -> Head:
    """Find the header among the first lines: the first that names `msg_id` or `response`, or a shipper's column.

    Without one the first line that is not blank is taken for it, and rejected.
    """
    texts = [content.decode("utf-8", "replace") if isinstance(content, bytes) else "" for _, content, _ in lines]
    delimiters, is_record = _delimiters_of(texts), True
    for is_record in (True, False):
        for place, text in enumerate(texts):
            delimiter, names = _best_cells(text, delimiters, fields)
            picker = fields.picker(names)
            if picker.is_record if is_record else picker.has_wrapper and "sent_at" in picker.fields:
                above = _rows_above(lines[:place], texts, delimiter, len(names))
                return Head(delimiter, names, picker, above, place + 1)
    return _without_header(lines, texts, delimiters, fields)


def cells_of(text: str, delimiter: str) -> list[str] | None:
    """Parse one physical line; None where it is no whole row."""
    if '"' not in text:
        return text.split(delimiter)
    return _parsed(text, delimiter, None)


def escaped_cells_of(text: str, delimiter: str) -> list[str] | None:
    r"""Parse one physical line in which `\"` stands for a quote; None where it has none or is no whole row."""
    return _parsed(text, delimiter, "\\") if '\\"' in text else None


def _parsed(text: str, delimiter: str, escape: str | None) -> list[str] | None:
    try:
        rows = list(csv.reader([text], delimiter=delimiter, escapechar=escape, strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return rows[0] if rows else []


def _delimiters_of(texts: Sequence[str]) -> Sequence[str]:
    """Return the delimiter that a line `sep=;` names, else those that are tried."""
    named = _SEPARATOR_LINE.fullmatch(next((text for text in texts if text.strip()), ""))
    return (named[1],) if named else DELIMITERS


def _best_cells(text: str, delimiters: Sequence[str], fields: FieldNames) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter that makes the most known columns of a line, else the most columns, and the cells."""
    cells = {each: cells_of(text, each) or [] for each in delimiters}
    best = max(cells, key=lambda each: (len(fields.recognised(cells[each])), len(cells[each])))
    return best, tuple(cell.strip() for cell in cells[best])


def _rows_above(lines: Sequence[Line], texts: Sequence[str], delimiter: str, width: int) -> list[tuple[int, str]]:
    """Return rejects of rows above the header, and of lines that can't be had; titles are none."""
    found = []
    for (number, content, _), text in zip(lines, texts, strict=False):
        cells = cells_of(text, delimiter) or []
        if isinstance(content, str):
            found.append((number, content))
        elif 1 < len(cells) <= width and any(len(id_of(cell) or "") >= _LONG_ID for cell in cells):
            found.append((number, "no_header"))
    return found


def _without_header(lines: Sequence[Line], texts: Sequence[str], delimiters: Sequence[str], fields: FieldNames) -> Head:
    place = next((place for place, line in enumerate(lines) if isinstance(line[1], str) or texts[place].strip()), None)
    if place is None:
        return Head(delimiters[0], (), fields.picker(()), (), len(lines))
    number, content, _ = lines[place]
    delimiter, names = _best_cells(texts[place], delimiters, fields)
    is_row = cells_of(texts[place], delimiter) is not None
    code = content if isinstance(content, str) else "no_header" if is_row else "broken_line"
    return Head(delimiter, names, fields.picker(names), ((number, code),), place + 1)
