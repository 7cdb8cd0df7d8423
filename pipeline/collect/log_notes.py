"""What is noted of a log that was read: application transactions of `sent_messages`, committed with its messages.

Belongs here: their names and versions. Does not belong here: when they are committed (`log_group`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pipeline.collect.files import RESTING_TIME, LogFile
from pipeline.collect.times import EPOCH
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake, Snapshot
from pipeline.model.accounts import readable_apps
from pipeline.model.phone_numbers import is_number
from pipeline.model.settings import Settings
from pipeline.model.tables import SENT_MESSAGES

READ: Final = "sent_log:"
"""Begins the transaction whose version is the state in which a log was read."""
_AGAIN: Final = "sent_log_again:"
"""Begins the one whose version is the moment, in Unix milliseconds, from which a log is read again as it is, since a
record of it is in the future no longer. 0: no record waits."""
_ANY_AGAIN: Final = "sent_logs_again"
"""The one whose version is the earliest such moment of any log so far: most lakes have none, and one look tells."""
_CUT: Final = "sent_log_cut:"
"""Begins the one whose version is the state in which a log ended in half a line."""
_CUT_AT: Final = "sent_log_cut_at:"
"""Begins the one whose version is when that state was first seen, in Unix milliseconds."""
_UNUSABLE: Final = "sent_log_unusable:"
"""Begins the one whose version is the state in which a log is mostly unusable."""
_REPEATS: Final = "sent_log_repeats:"
"""Begins the one of a log with a message that counts from another log."""
_FIRST, _LAST = "sent_log_first:", "sent_log_last:"
"""Begin those whose versions are the days, as ordinals, that a log without a date has messages of."""


def unread(files: Iterable[LogFile], lake: Lake, settings: Settings, now: datetime) -> list[LogFile]:
    """Return the logs to read: new or changed ones, or with a setting that they are read with, or awaited ones.

    Logs of days that were dropped are left out. No log is opened.
    """
    first = _first_read(lake)
    present, found, files = lake.snapshot(SENT_MESSAGES), list[LogFile](), list(files)
    files = [file for file in files if file.file_date is None or file.file_date >= first]
    waited = {file.label for file in awaited(files, present, now)}
    for file in files:
        state = state_of(file, settings)
        if present.transaction(READ + file.label) != state or file.label in waited:
            found.append(replace(file, has_rested=_has_rested(file, state, present, now)))
    return found


def _first_read(lake: Lake) -> date:
    """Return the first date of logs that may hold messages which are kept: a log has those of the next day, too."""
    first = kept_days(lake).messages
    return max(first, date.min + timedelta(days=1)) - timedelta(days=1)


def awaited(files: Iterable[LogFile], present: Snapshot, now: datetime) -> list[LogFile]:
    """Return the logs with a record that was in the future when they were read, and no longer is."""
    earliest = present.transaction(_ANY_AGAIN)
    if earliest is None or earliest > _ms(now):
        return []
    moments = ((file, looked_at_again(file.label, present)) for file in files)
    return [file for file, again_at in moments if again_at and again_at <= now]


def looked_at_again(label: str, present: Snapshot) -> datetime | None:
    """Return from when a log is read again as it is; None where no record of it waits."""
    again_ms = present.transaction(_AGAIN + label)
    return datetime.fromtimestamp(again_ms / 1000, UTC) if again_ms else None


def _has_rested(file: LogFile, state: int, present: Snapshot, now: datetime) -> bool:
    """Say whether a log that ended in half a line is as it was then; a clock that went back tells no time."""
    if present.transaction(_CUT + file.label) != state:
        return False
    seen_ms = present.transaction(_CUT_AT + file.label) or 0
    return abs(_ms(now) - seen_ms) >= RESTING_TIME / timedelta(milliseconds=1)


def _ms(moment: datetime) -> int:
    """Return a moment in Unix milliseconds, rounded up."""
    return -((EPOCH - moment) // timedelta(milliseconds=1))


def state_of(file: LogFile, settings: Settings) -> int:
    """Return 63 bits for a log's size and modification time, and for the settings that it is read with."""
    apps = sorted(filter(is_number, readable_apps(settings)))  # others are no reason for a reject
    read_with = (*settings.logs_read_with, *apps, file.file_date)
    text = repr((file.size, (file.object and file.object.tag) or file.mtime_ns, read_with))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def unusable_logs(files: Iterable[LogFile], lake: Lake, settings: Settings) -> list[str]:
    """Return the labels of logs that are mostly unusable as they are now."""
    present = lake.snapshot(SENT_MESSAGES)
    return [file.label for file in files if present.transaction(_UNUSABLE + file.label) == state_of(file, settings)]


def has_repeats(file: LogFile, present: Snapshot) -> bool:
    """Say whether a log has a message that counts from another log."""
    return present.transaction(_REPEATS + file.label) is not None


def days_given(file: LogFile, present: Snapshot) -> list[date]:
    """Return the days that may hold messages which a log gave when it was read last; none if it never was."""
    if present.transaction(READ + file.label) is None:
        return []
    if file.file_date is not None:
        return [file.file_date + timedelta(days=step) for step in (-1, 0, 1)]
    first, last = present.transaction(_FIRST + file.label), present.transaction(_LAST + file.label)
    if first is None or last is None:  # an earlier version read it
        return present.days()
    return [day for day in present.days() if first <= day.toordinal() <= last]


def waiting_notes(
    states: Mapping[str, int],
    present: Snapshot,
    *,
    again: Mapping[str, datetime],
    unfinished: Collection[str],
    now: datetime,
) -> dict[str, int]:
    """Return what is noted of logs with records that wait, and of those that had some.

    Args:
        states: states of the logs that were read, by label.
        present: the table as it is.
        again: from when a log is read again, by label.
        unfinished: labels of logs that end in half a line.
        now: when they were read.
    """
    moments = {label: _ms(again[label]) if label in again else 0 for label in states}
    notes = {_AGAIN + label: at for label, at in moments.items() if at or present.transaction(_AGAIN + label)}
    if waiting := [at for at in moments.values() if at]:
        notes[_ANY_AGAIN] = min(present.transaction(_ANY_AGAIN) or min(waiting), *waiting)
    for label in unfinished & states.keys():
        if present.transaction(_CUT + label) != states[label]:
            notes |= {_CUT + label: states[label], _CUT_AT + label: _ms(now)}
    return notes


def of_records_in_future(labels: Iterable[str], present: Snapshot) -> dict[str, int]:
    """Return what is noted of logs with records in the future that have no such note: they are read again at once."""
    notes = {_AGAIN + label: 1 for label in labels if present.transaction(_AGAIN + label) is None}
    return notes | {_ANY_AGAIN: 1} if notes else {}


def notes_of(
    states: Mapping[str, int],
    *,
    unfinished: Collection[str],
    unusable: Iterable[str],
    repeating: Iterable[str],
    spans: Mapping[str, tuple[date, date]],
) -> dict[str, int]:
    """Return what is noted of logs that were read to their end.

    Args:
        states: states by label.
        unfinished: labels of those that are read again, whatever their state.
        unusable: labels of those that are mostly unusable.
        repeating: labels of logs, of any state, with a message that counts from another log.
        spans: first and last day of the messages of logs without a date.
    """
    notes = {READ + label: state for label, state in states.items() if label not in unfinished}
    notes |= {_UNUSABLE + label: states[label] for label in unusable}
    notes |= {_REPEATS + label: 1 for label in repeating}
    for label in spans.keys() & states.keys():
        first, last = spans[label]
        notes |= {_FIRST + label: first.toordinal(), _LAST + label: last.toordinal()}
    return notes
