"""The note in the lake of the first days of which messages and phone numbers are kept.

What belongs here: the note. What does not: which days go, and dropping them (`maintain/retain.py`).

A day is noted before a row of an older day goes, and it never goes back: logs that are still there bring nothing back,
and rates of days without messages are not derived again, whatever the settings say later. So whoever reads the note
after a table knows whether a day of it is empty or was dropped.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Final

from pipeline.lake.copies import copies_of
from pipeline.lake.locks import SharedFolder
from pipeline.lake.texts import change_text, read_text
from pipeline.model.errors import LakeError
from pipeline.model.kept_days import KeptDays

_NOTE: Final = "kept_days.json"
_LOOK_SECONDS: Final = 10.0
_read: dict[Path, tuple[float, KeptDays]] = {}
"""When the note of a lake in a bucket was read, and what it said: each step asks, and each request takes its time."""


def kept_days(lake: SharedFolder, *, newest: bool = False) -> KeptDays:
    """Return the days as they are noted; of a lake in a bucket as of some seconds ago, unless the newest are wanted.

    Raises:
        LakeError: the note can't be read.
    """
    copies = copies_of(lake.folder)
    if copies is None:
        return _parsed(read_text(lake, _NOTE), lake)
    if newest:
        copies.forget_text(_NOTE)
    read_at, known = _read.get(lake.folder, (-_LOOK_SECONDS, KeptDays()))
    if newest or time.monotonic() - read_at >= _LOOK_SECONDS:
        known = _parsed(read_text(lake, _NOTE), lake)
        _read[lake.folder] = time.monotonic(), known
    return known


def note_kept_days(lake: SharedFolder, wanted: KeptDays) -> KeptDays:
    """Note days, synced; return what is noted then: of a day and the one noted before, the later one.

    Raises:
        LakeError: the former note can't be read.
    """

    def with_former(former: str | None) -> str:
        days = asdict(_parsed(former, lake).later(wanted))
        return json.dumps({name: day.isoformat() for name, day in days.items()}) + "\n"

    with lake.lock("kept_days"):
        noted = _parsed(change_text(lake, _NOTE, with_former), lake)
    _read.pop(lake.folder, None)
    return noted


def _parsed(text: str | None, lake: SharedFolder) -> KeptDays:
    if text is None:
        return KeptDays()
    try:
        noted = json.loads(text)
        return KeptDays(date.fromisoformat(noted["messages"]), date.fromisoformat(noted["numbers"]))
    except (ValueError, TypeError, KeyError) as error:
        raise LakeError(f"SMS_LAKE: {lake.folder / _NOTE} can't be read; restore it from a backup") from error
