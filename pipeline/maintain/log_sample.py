"""The first records of a sent log, read as a run reads them, and what a person should know of them.

What belongs here: which name stands for which field, what would be rejected, whether the times make sense. What does
not: reading (`collect`), the other checks (`doctor`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Final

from pipeline.collect.fields import SPELLINGS, FieldNames, plain_name
from pipeline.collect.files import LogFile, LogFileUnreadable, find_log_files
from pipeline.collect.reading import read_sent_log
from pipeline.collect.records import LogRules
from pipeline.collect.rejects import REASONS
from pipeline.collect.told import remedy_for
from pipeline.model.phone_numbers import mask_digits
from pipeline.model.settings import Settings

ROWS: Final = 1000
REJECTED_SHARE: Final = 0.01
"""Share of rejects above which the log needs somebody's look: the bound of the check `rejected_share`."""
CLOCKS: Final = timedelta(minutes=2)
"""How far a time may be ahead of this machine's clock."""
_CLOSE: Final = 0.8
"""Likeness, 0 to 1, from which on a name is close to a known one."""
_SHORTEST: Final = 4
"""Letters of a name that may be close to another: shorter ones are close to everything."""


@dataclass
class LogSample:
    """The first records of a log.

    Attributes:
        names: what its names stand for.
        rejects: rejected records by code.
        first_lines: line of the first reject by code.
        first_sent_at: the earliest time; None without a message.
        last_sent_at: the latest time.
    """

    file: LogFile
    names: FieldNames
    messages: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    first_lines: dict[str, int] = field(default_factory=dict)
    first_sent_at: datetime | None = None
    last_sent_at: datetime | None = None

    @property
    def records(self) -> int:
        """How many records it has."""
        return self.messages + self.rejects.total()


def newest_samples(settings: Settings, rules: LogRules) -> Iterator[LogSample]:
    """Read the first records of the newest log of each pattern; logs that can't be read are left out."""
    for pattern in settings.sent_logs:
        newest = sorted(find_log_files([pattern], None), key=lambda file: (str(file.file_date or ""), file.mtime_ns))
        sample = _sample_of(newest[-1], rules) if newest else None
        if sample is not None:
            yield sample


def _sample_of(file: LogFile, rules: LogRules) -> LogSample | None:
    sample = LogSample(file, FieldNames(rules.labels, rules.fields))
    try:
        for chunk in read_sent_log(file, rules, chunk_rows=ROWS, names=sample.names):
            sample.messages = chunk.messages.num_rows
            times = [time for time in chunk.messages["sent_at"].to_pylist() if time is not None]
            sample.first_sent_at, sample.last_sent_at = min(times, default=None), max(times, default=None)
            for reject in chunk.rejects.to_pylist():
                code = str(reject["reason"]).partition(":")[0]
                sample.rejects[code] += 1
                sample.first_lines.setdefault(code, int(reject["line"] or 1))
            return sample
    except LogFileUnreadable:
        return None
    return sample


def fields_text(sample: LogSample) -> str:
    """Say how each name is understood, which are ignored, and which of those come close to a known one."""
    understood: dict[str, list[str]] = {}
    ignored: list[str] = []
    for name in sample.names.seen:
        found = sample.names.meanings(name)
        for meaning in found:
            understood.setdefault(meaning, []).append(name)
        if not found:
            ignored.append(name)
    parts = [f"{meaning} from {' or '.join(names)}" for meaning, names in understood.items()]
    close = _close_names(ignored, understood)
    parts += ["ignored: " + ", ".join(_ignored_text(name, close) for name in ignored)] if ignored else []
    parts += [f"no {name}, which SMS_SENT_LOG_FIELDS names" for name in sample.names.lacking]
    return f"{sample.file.path.name}: {'; '.join(parts) or 'no fields'}"


def _close_names(ignored: Sequence[str], understood: Mapping[str, object]) -> dict[str, str]:
    """Return the field that an ignored name comes close to, of the fields that have no name yet."""
    missing = {plain_name(name): of for of, names in SPELLINGS.items() if of not in understood for name in names}
    candidates = [name for name in missing if len(name) >= _SHORTEST]
    found: dict[str, str] = {}
    for name in ignored:
        near = get_close_matches(plain_name(name), candidates, n=1, cutoff=_CLOSE)
        if near and len(plain_name(name)) >= _SHORTEST:
            found[name] = missing[near[0]]
    return found


def _ignored_text(name: str, close: Mapping[str, str]) -> str:
    if name not in close:
        return mask_digits(name)  # the first row of a file without a header, perhaps
    return f"{name} (close to {close[name]}; if it is, set SMS_SENT_LOG_FIELDS={close[name]}={name})"


def records_text(sample: LogSample) -> str:
    """Say how many of the first records would be stored, and why the others would not."""
    stored = f"{sample.file.path.name}: {sample.messages:,} of the first {sample.records:,} records can be stored"
    return "; ".join([stored, *(_reject_text(sample, code) for code, _ in sample.rejects.most_common())])


def _reject_text(sample: LogSample, code: str) -> str:
    count, line = sample.rejects[code], sample.first_lines[code]
    return f"{code}: {count:,}, first in line {line} ({REASONS[code]}; {remedy_for(code)})"


def is_rejected_too_often(sample: LogSample) -> bool:
    """Say whether so many records would be rejected that somebody should look."""
    return sample.rejects.total() > REJECTED_SHARE * sample.records


def times_text(sample: LogSample, now: datetime) -> str | None:
    """Say from when to when the messages were sent, by the log; None without a message."""
    if sample.first_sent_at is None or sample.last_sent_at is None:
        return None
    span = f"{sample.file.path.name}: sent {_utc(sample.first_sent_at)} to {_utc(sample.last_sent_at)} UTC"
    if is_ahead(sample, now):
        ahead = (sample.last_sent_at - now) / timedelta(hours=1)
        return f"{span}, {ahead:.1f} hours from now; is SMS_SENT_LOG_TIMEZONE the zone in which the log is written?"
    return span


def is_ahead(sample: LogSample, now: datetime) -> bool:
    """Say whether a message would have been sent in the future."""
    return sample.last_sent_at is not None and sample.last_sent_at > now + CLOCKS


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
