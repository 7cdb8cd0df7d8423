"""What the lake remembers beside its tables: erased numbers, their messages' ids, and how far each step has read.

What belongs here: small files of the lake. What does not: rows (`lake.py`), recorded settings (`opening.py`).
"""

from __future__ import annotations

import hashlib
import json
import secrets
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import date, datetime
from typing import Final

from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.snapshots import fingerprint_of
from pipeline.lake.texts import change_text, delete_text, read_text, write_text
from pipeline.model.errors import LakeError
from pipeline.model.forgotten_numbers import ForgottenNumbers
from pipeline.model.tables import Table

MessageKey = tuple[str, str]
"""app_id and msg_id."""
_FORGOTTEN: Final = "forgotten.json"
_NUMBERS: Final = "forgotten_numbers.json"
_NUMBERS_KEY: Final = "forgotten_numbers.key"
"""Random, of this lake alone: with it and what it made numbers can be guessed. Its owner alone may read it, or a group
that `SMS_FILE_MODE` lets write the lake: its members run the pipeline, and must recognise forgotten numbers."""
_OWNER_ONLY: Final = 0o600
_WITH_GROUP: Final = 0o660
_LOOK_SECONDS: Final = 10.0
_WATERMARKS: Final = "_marks"
_WAITS_NOTED: Final = f"{_WATERMARKS}/waits_noted"
_RATES_DERIVED: Final = f"{_WATERMARKS}/rates_derived_on"
_RATES_FORMULA: Final = f"{_WATERMARKS}/rates_formula"
_RECORD_READING: Final = f"{_WATERMARKS}/record_reading"
_BALANCE_ASKED: Final = f"{_WATERMARKS}/balance_asked"
_BALANCE_ABSENT: Final = f"{_WATERMARKS}/balance_absent"
_UNNAMED_FILES: Final = f"{_WATERMARKS}/unnamed_files"


def forgotten_messages(lake: Lake) -> AbstractSet[MessageKey]:
    """Return the messages whose number was erased: later answers for them are stored without a number."""
    return _messages(read_text(lake, _FORGOTTEN))


def _messages(text: str | None) -> set[MessageKey]:
    return {(app_id, msg_id) for app_id, msg_id in json.loads(text or "[]")}


def lake_key(lake: Lake) -> bytes:
    """Return the random key of this lake's HMACs of numbers; it is made where it is first needed."""
    known = _known_key(lake)
    if known is None:
        with lake.lock("forget"):
            known = _made_key(lake)
    return bytes.fromhex(known)


def _known_key(lake: Lake) -> str | None:
    """Return the key in hex; None if there is none.

    Raises:
        LakeError: it is another user's, who keeps it for himself.
    """
    try:
        return read_text(lake, _NUMBERS_KEY)
    except PermissionError as error:
        place = lake.folder / _NUMBERS_KEY
        remedy = f"its owner runs `chmod g+rw {place}`, so that users of one group know the erased numbers"
        raise LakeError(f"{place} can't be read by this user: {remedy}") from error


def _made_key(lake: Lake) -> str:
    """Return the key in hex, which is made unless there is one. The caller holds the lock."""
    new = secrets.token_hex(32)
    return change_text(lake, _NUMBERS_KEY, lambda former: former or new, mode=_key_mode(lake))


def _key_mode(lake: Lake) -> int:
    return _WITH_GROUP if lake.mode & stat.S_IWGRP else _OWNER_ONLY


def note_forgotten(
    lake: Lake, messages: AbstractSet[MessageKey], *, treated: Callable[[MessageKey], MessageKey]
) -> None:
    """Add messages to those whose number was erased; only ids are kept, neither numbers nor their hashes.

    `treated` returns what is stored of a key that holds an erased number, any other as it is.
    """
    with lake.lock("forget"):
        change_text(
            lake, _FORGOTTEN, lambda former: json.dumps(sorted(set(map(treated, _messages(former) | messages))))
        )


def forgotten_numbers(lake: Lake) -> ForgottenNumbers:
    """Return the numbers that were erased, to recognise them when they come again.

    Raises:
        LakeError: their key has gone, so they can't be recognised.
    """
    text = read_text(lake, _NUMBERS)
    if text is None:
        return ForgottenNumbers()
    key = _known_key(lake)
    if key is None:
        place = lake.folder / _NUMBERS_KEY
        raise LakeError(f"{place} has gone: without it erased numbers would come back; restore it from a backup")
    return _numbers(text, key)


def erased_elsewhere(lake: Lake) -> str:
    """Return a short text that changes when a number is erased, if other machines may do it; else an empty one."""
    text = read_text(lake, _NUMBERS) if lake.has_copies else None
    return f"-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}" if text else ""


def _numbers(text: str | None, key: str) -> ForgottenNumbers:
    noted = json.loads(text or '{"digests": [], "lengths": []}')
    return ForgottenNumbers(bytes.fromhex(key), frozenset(noted["digests"]), frozenset(noted["lengths"]))


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
        state = self._newest_state()
        if state != self._state:
            self._numbers = forgotten_numbers(self._lake) if state else ForgottenNumbers()
            self._state = state
        return self._numbers

    def _newest_state(self) -> tuple[int, int] | None:
        """Return what changes when the note does; a bucket is asked every `_LOOK_SECONDS`."""
        if self._lake.has_copies:
            return (int(time.monotonic() / _LOOK_SECONDS), 0)
        try:
            found = (self._lake.folder / _NUMBERS).stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LakeError(f"erased numbers can't be read: {error.strerror}") from error
        return found.st_mtime_ns, found.st_ino


def note_forgotten_number(lake: Lake, digits: str) -> None:
    """Add a number, ASCII digits in the form of the tables, to those that must not come back."""
    with lake.lock("forget"):
        forgotten_numbers(lake)  # its key must not be made anew
        key = _made_key(lake)

        def with_number(former: str | None) -> str:
            known = _numbers(former, key)
            digests, lengths = {*known.digests, known.digest_of(digits)}, {*known.lengths, len(digits)}
            return json.dumps({"digests": sorted(digests), "lengths": sorted(lengths)})

        change_text(lake, _NUMBERS, with_number)


@contextmanager
def days_changed(lake: Lake, tables: Sequence[Table], *, reader: str, before: date = date.max) -> Iterator[set[date]]:
    """Give the days, earlier than `before`, that have other files than when this reader last completed the block.

    A block that fails leaves the mark as it was, so that the next run gets the same days again. Each reader, a step,
    has a mark of its own: a fingerprint of the files of each day, since a clock that went back would hide new ones.
    """
    mark = f"{_WATERMARKS}/{reader}"
    known, present = _read(lake, mark), _fingerprints(lake, tables, before)
    yield {date.fromisoformat(day) for day in known.keys() | present.keys() if known.get(day) != present.get(day)}
    if known != present:
        with lake.lock(_WATERMARKS):
            write_text(lake, mark, json.dumps(present))


def are_waits_noted(lake: Lake) -> bool:
    """Say whether each log with a record in the future has a note of when it is read again."""
    return read_text(lake, _WAITS_NOTED) is not None


def note_waits_noted(lake: Lake) -> None:
    """Note that each log with a record in the future has such a note; earlier versions made none."""
    with lake.lock(_WATERMARKS):
        write_text(lake, _WAITS_NOTED, "noted\n")


def rates_derived_on(lake: Lake) -> date:
    """Return the day on which the rates were last derived; the first of all days where that is not known."""
    noted = read_text(lake, _RATES_DERIVED)
    return date.fromisoformat(noted) if noted is not None else date.min


def note_rates_derived(lake: Lake, *, on: date) -> None:
    """Note the day on which the rates were derived."""
    if rates_derived_on(lake) != on:
        with lake.lock(_WATERMARKS):
            write_text(lake, _RATES_DERIVED, on.isoformat())


def rates_formula(lake: Lake) -> str | None:
    """Return the fingerprint of the queries that made the rates; None where it was not noted."""
    return read_text(lake, _RATES_FORMULA)


def note_rates_formula(lake: Lake, formula: str) -> None:
    """Note the fingerprint of the queries that made the rates of all days."""
    with lake.lock(_WATERMARKS):
        write_text(lake, _RATES_FORMULA, formula)


def record_reading_since(lake: Lake) -> datetime | None:
    """Return when a reading of the platform's record began that did not come to its end; None if there is none."""
    noted = read_text(lake, _RECORD_READING)
    return datetime.fromisoformat(noted) if noted is not None else None


def note_record_reading(lake: Lake, *, since: datetime | None) -> None:
    """Note when a reading of the platform's record began; None once it has come to its end."""
    with lake.lock(_WATERMARKS):
        if since is None:
            delete_text(lake, _RECORD_READING)
        else:
            write_text(lake, _RECORD_READING, since.isoformat())


def balance_asked(lake: Lake) -> dict[str, datetime]:
    """Return when the balance of each account was last asked for, by fingerprint, whatever came of it."""
    return _moments(read_text(lake, _BALANCE_ASKED))


def note_balance_asked(lake: Lake, accounts: Collection[str], *, at: datetime) -> None:
    """Note that the balance of these accounts is asked for now."""
    _note_moment(lake, _BALANCE_ASKED, accounts, at)


def balance_absent(lake: Lake) -> dict[str, datetime]:
    """Return when it was last learnt of an account, by fingerprint, that its platform does not tell balances."""
    return _moments(read_text(lake, _BALANCE_ABSENT))


def note_balance_absent(lake: Lake, accounts: Collection[str], *, at: datetime) -> None:
    """Note that the platform of these accounts does not tell balances."""
    _note_moment(lake, _BALANCE_ABSENT, accounts, at)


def _note_moment(lake: Lake, note: str, names: Collection[str], at: datetime) -> None:
    def noted(former: str | None) -> str:
        known = _moments(former) | dict.fromkeys(names, at)
        return json.dumps({name: moment.isoformat() for name, moment in known.items()})

    with lake.lock(_WATERMARKS):
        change_text(lake, note, noted)


def _moments(text: str | None) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(moment) for name, moment in json.loads(text or "{}").items()}


def unnamed_files(lake: Lake) -> str | None:
    """Return what the latest cleaning noted of files that no table names; None if there was none."""
    return read_text(lake, _UNNAMED_FILES)


def note_unnamed_files(lake: Lake, noted: str) -> None:
    """Note what a cleaning found."""
    with lake.lock(_WATERMARKS):
        write_text(lake, _UNNAMED_FILES, noted)


def _fingerprints(lake: Lake, tables: Sequence[Table], before: date) -> dict[str, int]:
    files: defaultdict[str, list[DataFile]] = defaultdict(list)
    for file in (file for table in tables for file in lake.snapshot(table).files):
        if file.sent_date and file.sent_date < before:
            files[file.sent_date.isoformat()].append(file)
    return {day: fingerprint_of(of_day) for day, of_day in files.items()}


def _read(lake: Lake, mark: str) -> dict[str, int]:
    """Return a mark; empty where there is none, or the moment that an earlier version noted."""
    known = json.loads(read_text(lake, mark) or "{}")
    return known if isinstance(known, dict) else {}
