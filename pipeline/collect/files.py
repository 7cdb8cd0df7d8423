"""Finding sent logs: patterns to files and their dates.

Belongs here: paths, globs, `{date}`, whether a file is there. Does not belong here: its content (`reading`).
"""

from __future__ import annotations

import errno
import glob
import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from stat import S_ISREG
from typing import IO, Final

from pipeline.collect.log_names import date_in, globs_of, has_date, name_regex
from pipeline.collect.objects import FoundObject, find_objects, open_object
from pipeline.model.bucket_urls import is_url
from pipeline.model.errors import SmsDeliveryError
from pipeline.model.phone_numbers import mask_digits

RESTING_TIME: Final = timedelta(minutes=10)
"""A file that has not changed for so long is complete."""


@dataclass(frozen=True)
class LogFile:
    """A sent log when it was listed: absolute path, the date in its name if the pattern has one, its state.

    Attributes:
        object: what it is in a bucket; None for a file. Its path serves name and folders alone then.
        has_rested: it is as an earlier run found it, RESTING_TIME ago, whatever its modification time says.
        stored_name: what is stored of its name where that holds a phone number; else None.
    """

    path: Path
    file_date: date | None
    size: int
    mtime_ns: int
    object: FoundObject | None = None
    has_rested: bool = field(default=False, compare=False)
    stored_name: str | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """The path as text that can be stored: bytes that are not UTF-8 become the replacement character."""
        name = self.object.url if self.object else str(self.path)
        return self.stored_name or name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def is_being_written(self, now: datetime) -> bool:
        """Tell whether its end may be half written: it changed less than RESTING_TIME ago, or since it was listed.

        A time ahead of now is of another clock, or of ours before it was corrected, and says nothing.
        """
        age = now - datetime.fromtimestamp(self.mtime_ns / 1e9, UTC)
        if age < RESTING_TIME and not self.has_rested:
            return True
        return self.object is None and _listed(self.path, self.file_date) != self

    def open(self) -> IO[bytes]:
        """Open it.

        Raises:
            OSError: it can't be opened, or is no regular file.
        """
        if self.object:
            return open_object(self.object.url, tag=self.object.tag, size=self.size)
        return open_log(self.path)

    def is_readable(self) -> bool:
        """Say whether it can be opened, as far as its mode tells."""
        return self.object is not None or os.access(self.path, os.R_OK)


class LogFileUnreadable(SmsDeliveryError):  # noqa: N818 - says what the file is
    """A sent log can't be opened or read: permissions or the disk, not its content."""

    def __init__(self, file: LogFile, why: str) -> None:
        super().__init__(f"{mask_digits(file.label, is_own=True)}: {why}")
        self.file = file


class LogFileGone(LogFileUnreadable):
    """A sent log was deleted after it was listed."""

    def __init__(self, file: LogFile) -> None:
        super().__init__(file, "is gone since it was listed")


def open_log(path: Path) -> IO[bytes]:
    """Open a sent log; what took its place since it was listed is not waited for.

    Raises:
        OSError: it can't be opened, or is no regular file.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "is not a regular file")
    return open(number, "rb")  # noqa: PTH123 - the caller closes it


def find_log_files(patterns: Sequence[str], days: Collection[date] | None) -> list[LogFile]:
    """List the logs that may hold messages of these days, or of any day.

    Args:
        patterns: paths or globs with `*`, `?`, `[..]` and `**`; `{date}` stands for YYYY-MM-DD, `{date:%Y%m%d}` for
            another form. A pattern with `[` is also tried with a literal `[`. Files that were rotated or compressed
            since are found too: `sent.jsonl.1`, `sent.jsonl-20261127.gz`, `sent.1.jsonl`.
        days: files dated one of these days, or a day before or after; None: any date. Files of a pattern
            without `{date}` have no date and are always listed.

    Returns:
        Regular files, each once, ordered by date and path, undated ones first.
    """
    window = None if days is None else _window(days)
    dates: dict[str, date | None] = {}
    objects: dict[str, LogFile] = {}
    for pattern in patterns:
        if is_url(pattern):
            objects |= {found.url: _file_of(found) for found in find_objects(pattern, window)}
            continue
        for path, file_date in _matches(_absolute(pattern), window):
            dates[path] = dates.get(path) or file_date
    listed = [*(_listed(Path(path), file_date) for path, file_date in dates.items()), *objects.values()]
    return sorted(filter(None, listed), key=lambda file: (file.file_date or date.min, file.label))


def _file_of(found: FoundObject) -> LogFile:
    modified_ns = int(found.modified.timestamp() * 1e9)
    return LogFile(Path(found.url), found.file_date, found.size, modified_ns, found)


def _window(days: Collection[date]) -> set[date]:
    near = {day.toordinal() + step for day in days for step in (-1, 0, 1)}
    return {date.fromordinal(each) for each in near if 1 <= each <= date.max.toordinal()}


def _absolute(pattern: str) -> str:
    return pattern if pattern.startswith("/") else f"{glob.escape(str(Path.cwd()))}/{pattern}"


def _matches(pattern: str, window: Collection[date] | None) -> Iterator[tuple[str, date | None]]:
    """Yield the paths that a pattern matches, read as a glob and with literal brackets, and their dates."""
    for reading in dict.fromkeys((pattern, pattern.replace("[", "[[]"))):
        form, is_dated = name_regex(str(Path(reading))), has_date(reading)
        days = sorted(window) if is_dated and window is not None else [None]
        for path in _globbed(itertools.chain.from_iterable(globs_of(reading, day) for day in days)):
            file_date = date_in(path, form) if is_dated else None
            if file_date is not None and (window is None or file_date in window):
                yield path, file_date
            elif not is_dated and form.fullmatch(path):
                yield path, None


def _globbed(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        yield from (str(Path(path)) for path in glob.iglob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns


def _listed(path: Path, file_date: date | None) -> LogFile | None:
    try:
        state = path.stat()
    except OSError:
        return None
    if not S_ISREG(state.st_mode):
        return None
    return LogFile(path, file_date, state.st_size, state.st_mtime_ns)
