"""What is noted of a log that was read: application transactions of `sent_messages`, committed with its messages.

Belongs here: their names and versions. Does not belong here: when they are committed (`log_group`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from typing import Final

from pipeline.collect.files import LogFile
from pipeline.lake.lake import Lake, Snapshot
from pipeline.model.settings import Settings
from pipeline.model.tables import SENT_MESSAGES

_READ: Final = "sent_log:"
"""Begins the transaction whose version is the state in which a log was read."""
_UNUSABLE: Final = "sent_log_unusable:"
"""Begins the one whose version is the state in which a log is mostly unusable."""
_REPEATS: Final = "sent_log_repeats:"
"""Begins the one of a log with a message that counts from another log."""
_FIRST, _LAST = "sent_log_first:", "sent_log_last:"
"""Begin those whose versions are the days, as ordinals, that a log without a date has messages of."""


def unread(files: Iterable[LogFile], lake: Lake, settings: Settings) -> list[LogFile]:
    """Return the logs that are new or have changed since they were read, or a setting that they are read with has."""
    present = lake.snapshot(SENT_MESSAGES)
    return [file for file in files if present.transaction(_READ + file.label) != state_of(file, settings)]


def state_of(file: LogFile, settings: Settings) -> int:
    """Return 63 bits for a log's size and modification time, and for the settings that it is read with."""
    read_with = (*settings.logs_read_with, file.file_date)
    text = repr((file.size, file.mtime_ns, read_with))
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
    if present.transaction(_READ + file.label) is None:
        return []
    if file.file_date is not None:
        return [file.file_date + timedelta(days=step) for step in (-1, 0, 1)]
    first, last = present.transaction(_FIRST + file.label), present.transaction(_LAST + file.label)
    if first is None or last is None:  # an earlier version read it
        return present.days()
    return [day for day in present.days() if first <= day.toordinal() <= last]


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
    notes = {_READ + label: state for label, state in states.items() if label not in unfinished}
    notes |= {_UNUSABLE + label: states[label] for label in unusable}
    notes |= {_REPEATS + label: 1 for label in repeating}
    for label in spans.keys() & states.keys():
        first, last = spans[label]
        notes |= {_FIRST + label: first.toordinal(), _LAST + label: last.toordinal()}
    return notes
