"""What the lake remembers beside its tables: erased numbers, their messages' ids, and how far each step has read.

What belongs here: small files of the lake. What does not: rows (`lake.py`), recorded settings (`opening.py`).
"""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Final

from pipeline.lake.atomic import replace_text
from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.snapshots import fingerprint_of
from pipeline.model.errors import LakeError
from pipeline.model.forgotten_numbers import ForgottenNumbers
from pipeline.model.tables import Table

MessageKey = tuple[str, str]
"""app_id and msg_id."""
_FORGOTTEN: Final = "forgotten.json"
_NUMBERS: Final = "forgotten_numbers.json"
_NUMBERS_KEY: Final = "forgotten_numbers.key"
"""Random, of this lake alone and readable by its owner alone: with it and what it made numbers can be guessed."""
_OWNER_ONLY: Final = 0o600
_WATERMARKS: Final = "_marks"
_RATES_DERIVED: Final = "rates_derived_on"
_RATES_FORMULA: Final = "rates_formula"
_RECORD_READING: Final = "record_reading"


def forgotten_messages(lake: Lake) -> AbstractSet[MessageKey]:
    """Return the messages whose number was erased: later answers for them are stored without a number."""
    path = lake.folder / _FORGOTTEN
    return {(app_id, msg_id) for app_id, msg_id in json.loads(path.read_text("utf-8"))} if path.is_file() else set()


def lake_key(lake: Lake) -> bytes:
    """Return the random key of this lake's HMACs of numbers; it is made where it is first needed."""
    path = lake.folder / _NUMBERS_KEY
    if not path.is_file():
        with lake.lock("forget"):
            _make_key(path)
    return bytes.fromhex(path.read_text("ascii"))


def _make_key(path: Path) -> None:
    if not path.is_file():
        replace_text(path, secrets.token_hex(32), mode=_OWNER_ONLY)


def note_forgotten(
    lake: Lake, messages: AbstractSet[MessageKey], *, treated: Callable[[MessageKey], MessageKey]
) -> None:
    """Add messages to those whose number was erased; only ids are kept, neither numbers nor their hashes.

    `treated` returns what is stored of a key that holds an erased number, any other as it is.
    """
    with lake.lock("forget"):
        everything = sorted(set(map(treated, forgotten_messages(lake) | messages)))
        replace_text(lake.folder / _FORGOTTEN, json.dumps(everything), mode=lake.mode)


def forgotten_numbers(lake: Lake) -> ForgottenNumbers:
    """Return the numbers that were erased, to recognise them when they come again.

    Raises:
        LakeError: their key has gone, so they can't be recognised.
    """
    path, key = lake.folder / _NUMBERS, lake.folder / _NUMBERS_KEY
    if not path.is_file():
        return ForgottenNumbers()
    if not key.is_file():
        raise LakeError(f"{key} has gone: without it erased numbers would come back; restore it from a backup")
    noted = json.loads(path.read_text("utf-8"))
    return ForgottenNumbers(
        bytes.fromhex(key.read_text("ascii")), frozenset(noted["digests"]), frozenset(noted["lengths"])
    )


class NewestForgotten:
    """The numbers that were erased, read again only where the note of them has changed: for a process that stays."""

    def __init__(self, lake: Lake) -> None:
        """Read nothing yet."""
        self._lake = lake
        self._state: tuple[int, int] | None = None
        self._numbers = ForgottenNumbers()

    def numbers(self) -> ForgottenNumbers:
        """Return them as of now.

        Raises:
            LakeError: their key has gone, or they can't be read.
        """
        try:
            found = (self._lake.folder / _NUMBERS).stat()
            state = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            state = None
        except OSError as error:
            raise LakeError(f"erased numbers can't be read: {error.strerror}") from error
        if state != self._state:
            self._numbers = forgotten_numbers(self._lake) if state else ForgottenNumbers()
            self._state = state
        return self._numbers


def note_forgotten_number(lake: Lake, digits: str) -> None:
    """Add a number, ASCII digits in the form of the tables, to those that must not come back."""
    with lake.lock("forget"):
        known = forgotten_numbers(lake)
        if not known:
            _make_key(lake.folder / _NUMBERS_KEY)
            known = ForgottenNumbers(bytes.fromhex((lake.folder / _NUMBERS_KEY).read_text("ascii")))
        noted = {
            "digests": sorted({*known.digests, known.digest_of(digits)}),
            "lengths": sorted({*known.lengths, len(digits)}),
        }
        replace_text(lake.folder / _NUMBERS, json.dumps(noted), mode=lake.mode)


@contextmanager
def days_changed(lake: Lake, tables: Sequence[Table], *, reader: str) -> Iterator[set[date]]:
    """Give the days that have other files than when this reader last completed the block.

    A block that fails leaves the mark as it was, so that the next run gets the same days again. Each reader, a step,
    has a mark of its own: a fingerprint of the files of each day, since a clock that went back would hide new ones.
    """
    mark = lake.folder / _WATERMARKS / reader
    known, present = _read(mark), _fingerprints(lake, tables)
    yield {date.fromisoformat(day) for day in known.keys() | present.keys() if known.get(day) != present.get(day)}
    if known != present:
        with lake.lock(_WATERMARKS):
            replace_text(mark, json.dumps(present), mode=lake.mode)


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


def record_reading_since(lake: Lake) -> datetime | None:
    """Return when a reading of the platform's record began that did not come to its end; None if there is none."""
    note = lake.folder / _WATERMARKS / _RECORD_READING
    return datetime.fromisoformat(note.read_text("ascii")) if note.is_file() else None


def note_record_reading(lake: Lake, *, since: datetime | None) -> None:
    """Note when a reading of the platform's record began; None once it has come to its end."""
    note = lake.folder / _WATERMARKS / _RECORD_READING
    with lake.lock(_WATERMARKS):
        if since is None:
            note.unlink(missing_ok=True)
        else:
            replace_text(note, since.isoformat(), mode=lake.mode)


def _fingerprints(lake: Lake, tables: Sequence[Table]) -> dict[str, int]:
    files: defaultdict[str, list[DataFile]] = defaultdict(list)
    for file in (file for table in tables for file in lake.snapshot(table).files):
        if file.sent_date:
            files[file.sent_date.isoformat()].append(file)
    return {day: fingerprint_of(of_day) for day, of_day in files.items()}


def _read(mark: Path) -> dict[str, int]:
    """Return a mark; empty where there is none, or the moment that an earlier version noted."""
    known = json.loads(mark.read_text("ascii")) if mark.is_file() else {}
    return known if isinstance(known, dict) else {}
