"""Finding sent logs: patterns to files and their dates.

Belongs here: paths, globs, `{date}`. Does not belong here: what is in the files (`sent_logs`).
"""

from __future__ import annotations

import glob
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from stat import S_ISREG

DATE_MARK = "{date}"
_ANY_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_TOKENS = re.compile(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]{]*\]|\{date\})")
_AS_REGEX = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*?", "?": "[^/]"}


@dataclass(frozen=True)
class LogFile:
    """A sent log as it was listed: absolute path, date in its name if the pattern has one, size, time."""

    path: Path
    file_date: date | None
    size: int
    mtime_ns: int

    @property
    def label(self) -> str:
        """The path as text that can be stored: bytes that are not UTF-8 become the replacement character."""
        return str(self.path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def find_log_files(patterns: Sequence[str], days: Collection[date] | None) -> list[LogFile]:
    """List the logs that may hold messages of these days, or of any day.

    Args:
        patterns: paths or globs with `*`, `?`, `[..]` and `**`; `{date}` stands for YYYY-MM-DD. A `[` may
            be meant literally: both readings are tried.
        days: with `{date}` in a pattern, files of these days and of a day either side; None: of any day.
            Without `{date}` every match counts, and has no date.

    Returns:
        Regular files, each once however many patterns match, by date and path, undated ones first.
        Broken links, folders and what vanishes meanwhile are left out.
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
    for reading in dict.fromkeys((pattern, pattern.replace("[", "[[]"))):
        if DATE_MARK not in reading:
            yield from ((path, None) for path in _globbed(reading))
            continue
        form = _regex(str(Path(reading)))
        for path in _candidates(reading, window):
            file_date = _date_in(path, form)
            if file_date is not None and (window is None or file_date in window):
                yield path, file_date


def _candidates(pattern: str, window: Collection[date] | None) -> Iterator[str]:
    marks = [_ANY_DATE] if window is None else [day.isoformat() for day in sorted(window)]
    for mark in marks:
        yield from _globbed(pattern.replace(DATE_MARK, mark))


def _globbed(pattern: str) -> Iterator[str]:
    for path in glob.iglob(pattern, recursive=True):  # noqa: PTH207 - Path.glob wants relative patterns
        yield str(Path(path))


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
