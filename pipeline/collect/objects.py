"""Sent logs in a bucket: found by patterns, read as streams.

Belongs here: objects and their bytes. Does not belong here: which days are looked for (`files`), their content
(`reading`), requests (`lake/store.py`).

An object is known by its URL, and its state by size and ETag: its time is the same if it is rewritten within a second.
"""

from __future__ import annotations

import errno
import functools
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import IO, Any, Final

from pipeline.collect.log_names import date_in, has_date, name_regex, with_date
from pipeline.lake.store import Store
from pipeline.lake.store_errors import ChangedMeanwhileError
from pipeline.model.errors import LakeError, SettingsError

_SETTING: Final = "SMS_SENT_LOGS"
_FIRST_BYTES, _MOST_BYTES = 1 << 18, 1 << 22
"""What is read ahead: more each time, as long as reading goes on where it was."""
_WILD: Final = re.compile(r"[*?\[{]")
_LAST: Final = "\U0010ffff"


@dataclass(frozen=True)
class FoundObject:
    """An object that a pattern matches: its URL, the date in it, and its state."""

    url: str
    file_date: date | None
    size: int
    tag: str
    modified: datetime


@functools.lru_cache(maxsize=16)
def _store(bucket: str) -> Store:
    return Store(bucket, _SETTING)


def _split(url: str) -> tuple[str, str]:
    """Return the URL of a bucket, and what is behind it."""
    scheme, _, rest = url.partition("://")
    bucket, _, name = rest.partition("/")
    return f"{scheme}://{bucket}", name


def find_objects(pattern: str, window: Collection[date] | None) -> Iterator[FoundObject]:
    """Yield the objects that a pattern matches, of some days or of any.

    Only names between those of the first and the last day are listed, if the date is their first varying part.

    Raises:
        SettingsError, LakeError: the bucket can't be listed.
    """
    form, is_dated = name_regex(pattern), has_date(pattern)
    if is_dated and window is not None and not window:
        return
    bucket, inside = _split(pattern)
    _store(bucket).renew()
    days = [min(window), max(window)] if is_dated and window else []
    first, last = (_fixed(with_date(inside, day)) for day in days) if days else (_fixed(inside),) * 2
    folder = first[: len(_common(first, last))].rpartition("/")[0]
    after = first[:-1] if days and first.rstrip("/") != folder else None
    for found in _store(bucket).listed(folder, after=after, until=f"{last}{_LAST}" if days else None):
        url = f"{bucket}/{found.name}"
        file_date = date_in(url, form) if is_dated else None
        if form.fullmatch(url) and (not is_dated or (file_date and (window is None or file_date in window))):
            yield FoundObject(url, file_date, found.size, found.tag, found.modified)


def _fixed(pattern: str) -> str:
    """Return a pattern up to its first part that varies."""
    wild = _WILD.search(pattern)
    return pattern[: wild.start()] if wild else pattern


def _common(one: str, other: str) -> str:
    same = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[:same]


def open_object(url: str, *, tag: str, size: int) -> IO[bytes]:
    """Open an object as it was listed.

    Raises:
        OSError: it has changed or gone since, or can't be read.
    """
    return io.BufferedReader(_Bytes(url, tag, size), _FIRST_BYTES)


class _Bytes(io.RawIOBase):
    """The bytes of an object; each request is for a range of what was listed."""

    def __init__(self, url: str, tag: str, size: int) -> None:
        super().__init__()
        bucket, self._name = _split(url)
        self._store, self._tag, self._size = _store(bucket), tag, size
        self._held, self._start, self._place, self._ahead = b"", 0, 0, _FIRST_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        inside = self._place - self._start
        if not 0 <= inside < len(self._held):
            follows = inside == len(self._held)
            self._ahead = min(self._ahead * 2, _MOST_BYTES) if follows and self._held else _FIRST_BYTES
            self._held, self._start, inside = self._read(max(self._ahead, len(buffer))), self._place, 0
        part = self._held[inside : inside + len(buffer)]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)

    def _read(self, length: int) -> bytes:
        end = min(self._place + length, self._size)
        if end <= self._place:
            return b""
        try:
            return self._store.read_range(self._name, self._place, end, tag=self._tag)
        except ChangedMeanwhileError:
            raise OSError(errno.ESTALE, "has changed since it was listed; the next run reads it") from None
        except (LakeError, SettingsError) as error:
            raise OSError(errno.EIO, str(error)) from None
