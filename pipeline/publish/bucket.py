"""The published file in a bucket: each version an object of its own, numbered, the newest with the highest number.

Belongs here: putting a version, bringing the newest here, deleting old ones. Does not: what a version holds
(`database.py`), how this machine's copy is swapped in (`swap.py`).

An object that is overwritten breaks whoever reads it at that moment: DuckDB asks for its size and its content in two
requests. So no object says which version is the newest; a list of names does. Below the URL of `SMS_DUCKDB` there are:

- `<number>/analytics.duckdb`, which never changes, and stays `SMS_SNAPSHOT_HOURS` after the next one was put;
- `report.html`, the page of the newest version, which a browser gets in one request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from pipeline.lake.copies import FRESH_SECONDS
from pipeline.lake.lake import StaleSnapshotError
from pipeline.lake.locks import SharedFolder
from pipeline.lake.store import Store, Stored
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.publish.contents import WRITE_BITS
from pipeline.publish.swap import KEPT_SECONDS, remove_old_versions, swapped_in

PAGE: Final = "report.html"
_FASTER: Final = "SMS_DUCKDB: the publications of other machines were faster each time; run again"
_PAGE_TYPE: Final = "text/html; charset=utf-8"
_DIGITS: Final = 8
_NOTE: Final = "object"
"""File beside this machine's copy that says which object it is of."""
_COPYING: Final = "copy"
"""Name of the lock that a writer of this machine's copy holds."""
_looked: dict[Path, tuple[float, Stored]] = {}
"""When this process last looked which version is the newest, by path of the copy, and what it saw."""


@dataclass(frozen=True)
class PublishedBucket:
    """The published file in a bucket, and this machine's copy of its newest version.

    Attributes:
        store: the objects below the file's URL.
        path: of the copy.
        file_mode: of files, write bits included.
        kept: how long a version stays after it was replaced.
    """

    store: Store
    path: Path
    file_mode: int
    kept: timedelta

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process of this machine change the copy."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with SharedFolder(self.path.parent, self.file_mode).lock(_COPYING):
            yield

    def url_of(self, version: Stored) -> str:
        """Return the URL of a version."""
        return f"{self.store.url}/{version.name}"

    def newest(self) -> Stored | None:
        """Return the version that was published last; None before the first."""
        versions = self.versions()
        return versions[-1] if versions else None

    def known_newest(self) -> Stored | None:
        """Return what `newest` does; a look counts for `FRESH_SECONDS`."""
        looked, newest = _looked.get(self.path, (float("-inf"), None))
        return newest if time.monotonic() - looked < FRESH_SECONDS else self.newest()

    def versions(self) -> list[Stored]:
        """Return the versions that are there, in the order in which they were published."""
        began, name = time.monotonic(), re.compile(rf"[0-9]{{{_DIGITS}}}/{re.escape(self.path.name)}")
        found = [stored for stored in self.store.listed("") if name.fullmatch(stored.name)]
        found.sort(key=lambda stored: stored.name)
        if found:
            _looked[self.path] = began, found[-1]
        return found

    def publish(self, file: Path, *, after: Stored | None) -> Stored:
        """Put a version after the one that was the newest, unless another one was put since; return it.

        Versions that are kept no longer are deleted.

        The caller looks which is the newest, and then reads the lake. So no publication shows less of the lake than the
        one before.

        Raises:
            StaleSnapshotError: another one was put; this one is not there.
            SettingsError: the store keeps no conditions.
        """
        if after is None:
            self.store.check_conditions()
        number = int(after.name[:_DIGITS]) + 1 if after else 1
        name = f"{number:0{_DIGITS}}/{self.path.name}"
        try:
            self.store.create(name, file.read_bytes())
        except FileExistsError:
            raise StaleSnapshotError(_FASTER) from None
        versions = self.versions()
        ours = next((found for found in versions if found.name == name), None)
        # a later one may have been put before, if the one that had this number was deleted as an old one meanwhile;
        # a store may keep whole seconds: one of the same time counts as put before, and as replaced later
        if ours is None or any(found.name > name and found.modified <= ours.modified for found in versions):
            self.store.delete([name])
            raise StaleSnapshotError(_FASTER)
        self._delete_old(versions, before=ours.modified - self.kept)
        self._note(file, ours)
        return ours

    def bring(self) -> Path | None:
        """Return this machine's copy, which is brought unless it is of the newest version; None before the first one.

        A look at which version is the newest counts for `FRESH_SECONDS`.

        Raises:
            LakeError: the newest version has gone.
        """
        known = self.known_newest()
        if known is None:
            return None
        with self.locked():
            return self.path if self._is_here(known) or self.bring_newest() else None

    def bring_newest(self) -> bool:
        """Bring the newest version unless the copy is of it; say whether there is one. The caller holds the lock.

        It is looked for again: the copy may be of one that another process brought, and never goes back behind it.

        Raises:
            LakeError: it has gone.
        """
        newest, gone = self.newest(), None
        while newest is not None and not self._is_here(newest):
            if newest == gone:
                raise LakeError(f"SMS_DUCKDB: {self.url_of(newest)} has gone; `sms-delivery publish` makes another")
            try:
                self._fetch(newest)
            except FileNotFoundError:
                newest, gone = self.newest(), newest  # perhaps it was the newest until a moment ago
        return newest is not None

    def _is_here(self, version: Stored) -> bool:
        """Say whether the copy is of a version."""
        return self._noted() == _text(version) and self.path.stat().st_size == version.size

    def _fetch(self, newest: Stored) -> None:
        mode = self.file_mode & ~WRITE_BITS
        with swapped_in(self.path, mode=mode) as file:
            self.store.fetch(newest.name, file, mode=mode)
            self._note(file, newest)

    def _note(self, file: Path, version: Stored) -> None:
        (file.parent / _NOTE).write_text(_text(version), "utf-8")

    def _noted(self) -> str | None:
        try:
            return (self.path.resolve(strict=True).parent / _NOTE).read_text("utf-8")
        except FileNotFoundError:
            return None

    def put_page(self, page: Path, shown: Stored | None) -> bool:
        """Put the page of what is published; say whether that is the newest still.

        Of two writers the one that puts last looks last: if something newer was published, it writes the page again.
        """
        self.store.put(PAGE, page, content_type=_PAGE_TYPE)
        return self.newest() == shown

    def delete_replaced(self) -> None:
        """Delete all versions but the newest."""
        self._delete_old(self.versions(), before=None)

    def _delete_old(self, versions: Sequence[Stored], *, before: datetime | None) -> None:
        """Delete the versions that were replaced before a moment, or all that were replaced."""
        replaced = pairwise(versions)
        self.store.delete(old.name for old, successor in replaced if before is None or successor.modified < before)


def _text(version: Stored) -> str:
    return f"{version.name} {version.tag}"


def published_bucket(settings: Settings) -> PublishedBucket | None:
    """Return the bucket that the file is published to; None if it is published to a folder."""
    if settings.duckdb_url is None:
        return None
    store = Store(settings.duckdb_url, setting="SMS_DUCKDB")
    kept = timedelta(seconds=max(settings.snapshot_hours * 3600, KEPT_SECONDS))
    return PublishedBucket(store, settings.duckdb, settings.file_mode, kept)


def published_file(settings: Settings) -> Path | None:
    """Return the published file, of a bucket this machine's copy of the newest version; None before the first one.

    Raises:
        SettingsError, LakeError: it is in a bucket that can't be reached.
    """
    if bucket := published_bucket(settings):
        return bucket.bring()
    return settings.duckdb if settings.duckdb.exists() else None


def remove_old_publications(settings: Settings) -> None:
    """Delete all versions but the newest, at once. The caller holds the lock of writers.

    Raises:
        OSError, SettingsError, LakeError: one can't be deleted.
    """
    bucket = published_bucket(settings)
    if bucket is None:
        remove_old_versions(settings.duckdb, at_once=True)
        return
    with bucket.locked():  # in this order: else the copy that is left may be of a version that is deleted
        bucket.delete_replaced()
        bucket.bring_newest()
        remove_old_versions(settings.duckdb, at_once=True)


def required_published_file(settings: Settings) -> Path:
    """Return what `published_file` does.

    Raises:
        LakeError: nothing is published yet.
    """
    if (path := published_file(settings)) is None:
        place = settings.duckdb_place
        raise LakeError(f"SMS_DUCKDB: there is no {place}; `sms-delivery publish` makes it")
    return path
