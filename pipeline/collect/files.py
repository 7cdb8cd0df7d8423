"""Finding sent logs: patterns to files and their dates.

Belongs here: paths, globs, `{date}`, whether a file is there. Does not belong here: its content (`reading`).
"""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from stat import S_ISREG

from pipeline.model.errors import SmsDeliveryError

DATE_MARK = "{date}"
_ANY_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_TOKENS = re.compile(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]{]*\]|\{date\})")
_AS_REGEX = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*?", "?": "[^/]"}


@dataclass(frozen=True)
class LogFile:
    """A sent log when it was listed: absolute path, the date in its name if the pattern has one, its state."""

    path: Path
    file_date: date | None
    size: int
    mtime_ns: int

    @property
    def label(self) -> str:
        """The path as text that can be stored: bytes that are not UTF-8 become the replacement character."""
        return str(self.path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def has_changed(self) -> bool:
        """Tell whether the file has changed since it was listed; then its end may be half written."""
        return _listed(self.path, self.file_date) != self


class LogFileUnreadable(SmsDeliveryError):  # noqa: N818 - says what the file is
    """A sent log can't be opened or read: permissions or the disk, not its content."""

    def __init__(self, file: LogFile, why: str) -> None:
        super().__init__(f"{file.path}: {why}")
        self.file = file


class LogFileGone(LogFileUnreadable):
    """A sent log was deleted after it was listed."""

    def __init__(self, file: LogFile) -> None:
        super().__init__(file, "is gone since it was listed")


def find_log_files(patterns: Sequence[str], days: Collection[date] | None) -> list[LogFile]:
    """List the logs that may hold messages of these days, or of any day.

    Args:
        patterns: paths or globs with `*`, `?`, `[..]` and `**`; `{date}` stands for YYYY-MM-DD. A pattern
            with `[` is also tried with a literal `[`.
        days: files dated one of these days, or a day before or after; None: any date. Files of a pattern
            without `{date}` have no date and are always listed.

    Returns:
        Regular files, each once, ordered by date and path, undated ones first.
    """
    window = None if days is None else _window(days)
    dates: dict[str, date | None] = {}
    for pattern in patterns:
        for path, file_date in _matches(_absolute(pattern), window):
            dates[path] = dates.get(path) or file_date
    listed = (_listed(Path(path), file_date) for path, file_date in dates.items())
    return sorted(filter(None, listed), key=lambda file: (file.file_date or date.min, str(file.path)))


def _window(days: Collection[date]) -> set[date]:
    near = {day.toordinal() + step for day in days for step in (-1, 0, 1)}
    return {date.fromordinal(each) for each in near if 1 <= each <= date.max.toordinal()}


def _absolute(pattern: str) -> str:
    return pattern if pattern.startswith("/") else f"{glob.escape(str(Path.cwd()))}/{pattern}"


def _matches(pattern: str, window: Collection[date] | None) -> Iterator[tuple[str, date | None]]:
    """Yield the paths that a pattern matches, read as a glob and with literal brackets, and their dates."""
    dates = [_ANY_DATE] if window is None else [day.isoformat() for day in sorted(window)]
    for reading in dict.fromkeys((pattern, pattern.replace("[", "[[]"))):
        if DATE_MARK not in reading:
            yield from ((path, None) for path in _globbed(reading))
            continue
        form = _regex(str(Path(reading)))
        for path in (path for each in dates for path in _globbed(reading.replace(DATE_MARK, each))):
            file_date = _date_in(path, form)
            if file_date is not None and (window is None or file_date in window):
                yield path, file_date


def _globbed(pattern: str) -> list[str]:
    return [str(Path(path)) for path in glob.iglob(pattern, recursive=True)]  # noqa: PTH207 - absolute patterns


def _regex(pattern: str) -> re.Pattern[str]:
    """Return the glob as a regular expression whose group `date` is the date."""
    parts = [_AS_REGEX.get(token) or _token_regex(token) for token in _TOKENS.split(pattern)]
    first, *others = "".join(parts).split(DATE_MARK)
    return re.compile("(?P=date)".join([rf"{first}(?P<date>\d{{4}}-\d\d-\d\d){others[0]}", *others[1:]]), re.DOTALL)


def _token_regex(token: str) -> str:
    if token == DATE_MARK:
        return DATE_MARK
    if _TOKENS.fullmatch(token):
        body = token[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
        return f"[^{body[1:]}]" if body.startswith("!") else f"[{body}]"
    return re.escape(token)


def _date_in(path: str, form: re.Pattern[str]) -> date | None:
    found = form.fullmatch(path)
    try:
        return date.fromisoformat(found["date"]) if found else None
    except ValueError:
        return None


def _listed(path: Path, file_date: date | None) -> LogFile | None:
    try:
        state = path.stat()
    except OSError:
        return None
    if not S_ISREG(state.st_mode):
        return None
    return LogFile(path, file_date, state.st_size, state.st_mtime_ns)
