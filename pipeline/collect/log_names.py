"""What the name of a log tells: its format, whether it was rotated, its date.

Belongs here: endings, rotation, `{date}` in patterns. Does not belong here: which files there are (`files`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

JSON_ENDINGS: Final = (".jsonl", ".ndjson", ".json")
LOG_ENDING: Final = ".log"
"""JSON, if there is an object among the first lines: docker and Kubernetes name their logs so."""
CSV_ENDINGS: Final = (".csv", ".tsv")
PARQUET_ENDING: Final = ".parquet"
_ENDINGS: Final = "|".join(map(re.escape, (*JSON_ENDINGS, LOG_ENDING, *CSV_ENDINGS, PARQUET_ENDING)))
_COMPRESSED: Final = r"\.(?:gz|zst)"
_DAY: Final = r"[.-]\d{4}-\d\d-\d\d(?:[-_.T]\d{2,6})?|[.-]\d{8}(?:[-_.T]?\d{2,10})?"
_BEHIND: Final = rf"(?:{_DAY}|[.-]\d{{1,10}})"
"""What rotation puts behind an ending: a number, a day, seconds since 1970."""
_BEFORE: Final = rf"(?:{_DAY}|\.\d{{1,3}})"
"""What it puts before one: more would also be files of another name."""
_MORE: Final = rf"(?:{_COMPRESSED}|{_BEHIND})*"
_NAME: Final = re.compile(rf".+?(?P<ending>{_ENDINGS})(?P<more>{_MORE})", re.IGNORECASE | re.DOTALL)
_LAST_ENDING: Final = re.compile(rf"(?:{_ENDINGS})(?:{_COMPRESSED})?$", re.IGNORECASE)
_ROTATED_GLOB: Final = "[.-][0-9]*"
_TOKENS: Final = re.compile(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]{]*\]|\{date(?::[^{}]*)?\})")
_AS_REGEX: Final = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*?", "?": "[^/]"}
_DATE_MARK: Final = re.compile(r"\{date(?::([^{}]*))?\}")
_DIRECTIVES: Final = {"%Y": r"\d{4}", "%y": r"\d\d", "%m": r"\d\d", "%d": r"\d\d", "%H": r"\d\d"}
_DIRECTIVE: Final = re.compile("|".join(_DIRECTIVES))
_CENTURY: Final = 2000


def format_of(path: Path) -> str:
    """Return the ending that tells the format of a log, empty where there is none that is known.

    Rotation and compression leave it what it is: `sent.jsonl.2.gz` is `.jsonl`. Parquet has its own compression.
    """
    name = _NAME.fullmatch(path.name)
    if name is None:
        return ""
    ending = name["ending"].lower()
    return "" if ending == PARQUET_ENDING and re.search(_COMPRESSED, name["more"], re.IGNORECASE) else ending


def has_date(pattern: str) -> bool:
    """Tell whether a pattern has `{date}` or `{date:%Y%m%d}`."""
    return _DATE_MARK.search(pattern) is not None


def globs_of(pattern: str, day: date | None) -> list[str]:
    """Return the globs for the files of a pattern of one day, or of any, rotated and compressed ones too."""
    dated = _DATE_MARK.sub(lambda mark: _DIRECTIVE.sub(_as_glob(day), mark[1] or "%Y-%m-%d"), pattern)
    globs = [dated, dated + _ROTATED_GLOB, f"{dated}.gz", f"{dated}.zst"]
    ending = _LAST_ENDING.search(dated)
    return [*globs, f"{dated[: ending.start()]}{_ROTATED_GLOB}{ending[0]}*"] if ending else globs


def with_date(pattern: str, day: date) -> str:
    """Return a pattern with a day in the place of its date; an hour stays open."""
    return _DATE_MARK.sub(lambda mark: _DIRECTIVE.sub(_as_glob(day), mark[1] or "%Y-%m-%d"), pattern)


def _as_glob(day: date | None) -> Callable[[re.Match[str]], str]:
    if day is not None:
        return lambda directive: "*" if directive[0] == "%H" else _written(day, directive[0])
    return lambda directive: "[0-9]" * (4 if directive[0] == "%Y" else 2)


def _written(day: date, directive: str) -> str:
    """Return a part of a date; `strftime` does not pad years below 1000."""
    return f"{day.year:04}" if directive == "%Y" else day.strftime(directive)


def name_regex(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression, whose groups Y, y, m and d are parts of the date."""
    parts: list[str] = []
    for token in _TOKENS.split(pattern):
        parts.append(_AS_REGEX.get(token) or _token_regex(token, "".join(parts)))
    whole = "".join(parts)
    ending = _LAST_ENDING.search(pattern)
    if ending:
        written = re.escape(ending[0])
        whole = f"{whole.removesuffix(written)}{_BEFORE}?{written}"
    return re.compile(whole + _MORE, re.DOTALL)


def _token_regex(token: str, before: str) -> str:
    mark = _DATE_MARK.fullmatch(token)
    if mark:
        return "".join(
            _directive_regex(part[1], before) if part in _DIRECTIVES else re.escape(part)
            for part in re.split(f"({_DIRECTIVE.pattern})", mark[1] or "%Y-%m-%d")
        )
    if _TOKENS.fullmatch(token):
        body = token[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
        return f"[^{body[1:]}]" if body.startswith("!") else f"[{body}]"
    return re.escape(token)


def _directive_regex(name: str, before: str) -> str:
    """Return the group of a part of the date; where it stands a second time, it must be the same."""
    return f"(?P={name})" if f"(?P<{name}>" in before else f"(?P<{name}>{_DIRECTIVES['%' + name]})"


def date_in(path: str, form: re.Pattern[str]) -> date | None:
    """Return the date in a path that a pattern matches; None where it does not, or there is no such date."""
    found = form.fullmatch(path)
    if found is None:
        return None
    parts = {name: int(value) for name, value in found.groupdict().items()}
    try:
        return date(parts.get("Y", _CENTURY + parts.get("y", 0)), parts["m"], parts["d"])
    except (KeyError, ValueError):
        return None
