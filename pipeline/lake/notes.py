"""What the lake remembers beside its tables: ids whose number was erased, and how far each step has read.

What belongs here: small files of the lake. What does not: rows (`lake.py`), recorded settings (`opening.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

from pipeline.lake.atomic import replace_text
from pipeline.lake.delta_log import now_ms
from pipeline.lake.lake import Lake
from pipeline.model.tables import Table

MessageKey = tuple[str, str]
"""app_id and msg_id."""
_FORGOTTEN: Final = "forgotten.json"
_WATERMARKS: Final = "_marks"
_RATES_DERIVED: Final = "rates_derived_on"
_RATES_FORMULA: Final = "rates_formula"
_COMMIT_MS: Final = 60_000
"""Longest time between stamping a file and committing it that a watermark allows for."""


def forgotten_messages(lake: Lake) -> AbstractSet[MessageKey]:
    """Return the messages whose number was erased: later answers for them are stored without a number."""
    path = lake.folder / _FORGOTTEN
    return {(app_id, msg_id) for app_id, msg_id in json.loads(path.read_text("utf-8"))} if path.is_file() else set()


def note_forgotten(lake: Lake, messages: AbstractSet[MessageKey]) -> None:
    """Add messages to those whose number was erased; only ids are kept, neither numbers nor their hashes."""
    with lake.lock("forget"):
        everything = sorted(forgotten_messages(lake) | messages)
        replace_text(lake.folder / _FORGOTTEN, json.dumps(everything), mode=lake.mode)


@contextmanager
def days_changed(lake: Lake, tables: Sequence[Table], *, reader: str) -> Iterator[set[date]]:
    """Give the days that got new files since this reader last completed the block.

    A block that fails leaves the watermark as it was, so that the next run gets the same days again. Each reader, a
    step, has a watermark of its own.
    """
    began, watermark = now_ms(), lake.folder / _WATERMARKS / reader
    since = _read(watermark) - _COMMIT_MS
    files = [file for table in tables for file in lake.snapshot(table).files]
    yield {file.sent_date for file in files if file.sent_date and file.added_ms >= since}
    with lake.lock(_WATERMARKS):
        replace_text(watermark, str(began), mode=lake.mode)


def rates_derived_on(lake: Lake) -> date:
    """Return the day on which the rates were last derived; the first of all days where that is not known."""
    note = lake.folder / _WATERMARKS / _RATES_DERIVED
    return date.fromisoformat(note.read_text("ascii")) if note.is_file() else date.min


def note_rates_derived(lake: Lake, *, on: date) -> None:
    """Note the day on which the rates were derived."""
    with lake.lock(_WATERMARKS):
        replace_text(lake.folder / _WATERMARKS / _RATES_DERIVED, on.isoformat(), mode=lake.mode)


def rates_formula(lake: Lake) -> str | None:
    """Return the fingerprint of the queries that made the rates; None where it was not noted."""
    note = lake.folder / _WATERMARKS / _RATES_FORMULA
    return note.read_text("ascii") if note.is_file() else None


def note_rates_formula(lake: Lake, formula: str) -> None:
    """Note the fingerprint of the queries that made the rates of all days."""
    with lake.lock(_WATERMARKS):
        replace_text(lake.folder / _WATERMARKS / _RATES_FORMULA, formula, mode=lake.mode)


def _read(watermark: Path) -> int:
    return int(watermark.read_text("ascii")) if watermark.is_file() else 0
