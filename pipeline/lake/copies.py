"""A lake in a bucket, and this machine's copies of it in a folder with the layout of a lake.

Belongs here: what is brought and put, and when; how large the copies get. Does not: requests (`store.py`), what a log
or a file means. All other modules work on the folder; they call this one where a file must come or must go out, and
for a lake in a folder there is nothing to do.

- Files never change. A new one is written to the folder, put, and only then named by a commit.
- The Delta logs are copied as they are. A commit is an entry that is put on the condition that there is none.
- A look at a table's log, or at a text, counts for `FRESH_SECONDS`. If it finds commits of others, the other tables and
  the texts are looked at again when they are needed, so that none is older than what was derived from it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock

from pipeline.lake.atomic import written_whole
from pipeline.lake.store import Store, Stored, side_by_side
from pipeline.model.errors import LakeError, SettingsError

FRESH_SECONDS: Final = 10.0
KEPT_SECONDS: Final = 600.0
"""Copies that were used this recently stay, however large all are together: a query may be reading them."""
CHECKPOINT_VERSIONS: Final = 20
"""Versions between two checkpoints: a machine without copies brings one checkpoint and the entries since."""
LOG: Final = "_delta_log"
_OWNER_ONLY: Final = 0o600
_NOTE: Final = "bucket.json"
_IDENTITY: Final = "bucket-lake"
_TAGS: Final = ".etags"
_CHECKPOINT: Final = ".checkpoint.parquet"
_POINTER: Final = "_last_checkpoint"


class GoneError(LakeError):
    """A file that is to be brought is not in the store."""


@dataclass(frozen=True)
class Copies:
    """A folder of copies, the store that they are of, the mode of files, and the most bytes of all copies."""

    folder: Path
    store: Store
    mode: int
    limit: int
    _looked: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    _newest: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _texts: dict[str, tuple[float, str | None]] = field(default_factory=dict, repr=False, compare=False)
    _bytes: list[int] = field(default_factory=list, repr=False, compare=False)

    def name_of(self, path: Path) -> str:
        """Return the name of the object that a path is the copy of."""
        return path.relative_to(self.folder).as_posix()

    def look_again(self) -> None:
        """Look at each log and text again when it is needed next: others may have changed it."""
        self._looked.clear()
        self._texts.clear()

    def start_anew(self) -> None:
        """Compare all copies of logs with the store when they are needed next."""
        self.look_again()
        self._newest.clear()

    def check_identity(self, identity: str) -> None:
        """Delete all copies if they are of another lake, which was at this URL before."""
        note = self.folder / _IDENTITY
        if note.is_file() and note.read_text("utf-8") == identity:
            return
        for table in _tables(self.folder):
            shutil.rmtree(table)
        _write(note, identity)

    def text(self, name: str) -> str | None:
        """Return a small text; None if there is none. A look counts for `FRESH_SECONDS`, as for a log."""
        looked, text = self._texts.get(name, (float("-inf"), None))
        if time.monotonic() - looked < FRESH_SECONDS:
            return text
        began, found = time.monotonic(), self.store.read(name)
        text = found[0].decode() if found else None
        self._texts[name] = began, text
        return text

    def forget_text(self, name: str) -> None:
        """Look at a text again when it is needed next: it was changed here, or the newest is wanted."""
        self._texts.pop(name, None)

    def refresh_log(self, folder: Path) -> None:
        """Bring what is new of a table's log."""
        table = folder.name
        if time.monotonic() - self._looked.get(table, float("-inf")) < FRESH_SECONDS:
            return
        began = time.monotonic()
        with self._locked(table):
            new, newest = self._new_of(folder / LOG)
            if new:
                self._bring_log(folder / LOG, new)
                self.look_again()
            if newest:  # only now: what could not be brought is looked for again
                self._newest[table] = newest
        self._looked[table] = began

    def refresh_logs(self, folders: Iterable[Path]) -> None:
        """Bring what is new of several logs, side by side."""
        side_by_side(self.refresh_log, folders)

    def _new_of(self, log: Path) -> tuple[list[Stored], str | None]:
        """Return the objects of a log that the copy lacks, and the name of its newest one if it has one we don't know.

        Copies of objects that are gone or were replaced are deleted.
        """
        prefix, newest = self.name_of(log), self._newest.get(log.parent.name)
        found = self.store.listed(prefix, after=f"{prefix}/{newest}" if newest else None)
        listed = {stored.name.rpartition("/")[2]: stored for stored in found}
        listed.pop(_POINTER, None)
        needed = listed if newest else _needed(log, listed)
        return [listed[name] for name in sorted(needed) if not (log / name).exists()], max(listed, default=None)

    def _bring_log(self, log: Path, new: Collection[Stored]) -> None:
        """Bring objects of a log side by side, and show them in order: whoever reads the log meanwhile sees no gap."""
        log.mkdir(parents=True, exist_ok=True)
        tags = {found.name.rpartition("/")[2]: found.tag for found in new}
        try:
            side_by_side(
                lambda name: self.store.fetch(self.name_of(log / name), _hidden(log, name), mode=self.mode), tags
            )
        except FileNotFoundError as error:
            raise LakeError(
                f"{self.store.setting}: {self.store.url}: a log was shortened meanwhile; run again"
            ) from error
        for name in sorted(tags):
            _hidden(log, name).replace(log / name)
        _note_tags(log, tags)

    def commit(self, entry: Path, content: str) -> None:
        """Put an entry of a log unless its version is there, and keep a copy.

        Raises:
            FileExistsError: another writer has committed this version.
            UncertainError: the store does not say whether it was put.
        """
        data = content.encode()
        with self._locked(entry.parent.parent.name):
            try:
                tag = self.store.create(self.name_of(entry), data)
            except FileExistsError:
                self.look_again()
                raise
            try:
                self._keep(entry, data)
                _note_tags(entry.parent, {entry.name: tag})
            except OSError:  # it is committed: the next look brings it
                self.look_again()

    def place(self, path: Path, target: Path) -> None:
        """Put a file that Delta wrote for a log: an entry as `commit` does, a checkpoint, what names the last one."""
        if path.suffix == ".json":
            self.commit(target, path.read_text("utf-8"))
            return
        tag = self.store.put(self.name_of(target), path)
        if target.name != _POINTER:  # in the folder nothing needs it, and it would grow old
            with self._locked(target.parent.parent.name):
                self._keep(target, path.read_bytes())
                _note_tags(target.parent, {target.name: tag})

    def bring_whole_log(self, log: Path) -> None:
        """Bring the objects of a log, those too that a checkpoint made needless."""
        found = {stored.name.rpartition("/")[2]: stored for stored in self.store.listed(self.name_of(log))}
        with self._locked(log.parent.name):
            self._bring_log(log, [found[name] for name in found if name != _POINTER and not (log / name).exists()])

    def replace(self, path: Path, content: Path) -> None:
        """Put another content of an object of a log, which says the same in other words; its copy is the caller's."""
        _note_tags(path.parent, {path.name: self.store.put(self.name_of(path), content)})

    def _keep(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, mode=self.mode) as beside:
            beside.write_bytes(content)

    def put(self, paths: Iterable[Path]) -> None:
        """Put files, side by side."""
        side_by_side(lambda path: self.store.put(self.name_of(path), path), paths)

    def bring(self, wanted: Mapping[Path, int]) -> None:
        """Bring the files that are not there yet, by their sizes, side by side; 0 is an unknown size.

        Raises:
            GoneError: one is not in the store.
            LakeError: it can't be brought.
        """
        missing = [path for path, size in wanted.items() if not _is_whole(path, size)]
        if missing:
            self._make_room(sum(wanted[path] for path in missing))
            side_by_side(lambda path: self._bring(path, wanted[path]), missing)

    def _bring(self, path: Path, size: int) -> None:
        try:
            found = self.store.fetch(self.name_of(path), path, mode=self.mode)
        except FileNotFoundError as error:
            gone = f"{self.store.url}/{self.name_of(path)} has gone"
            raise GoneError(f"the lake is damaged, or another run removed what this one reads: {gone}") from error
        except OSError as error:
            raise LakeError(f"SMS_CACHE: {path} can't be written: {error.strerror}") from error
        if size and found != size:
            path.unlink()
            raise LakeError(
                f"the lake is damaged: {self.store.url}/{self.name_of(path)} has {found:,} bytes, not {size:,}"
            )

    def delete(self, paths: Iterable[Path]) -> None:
        """Delete files, from the store and here."""
        gone = list(paths)
        self.store.delete(map(self.name_of, gone))
        for path in gone:
            path.unlink(missing_ok=True)

    def stored_in(self, folder: Path) -> list[Stored]:
        """Return the objects of a table, without its log."""
        prefix = self.name_of(folder)
        return [found for found in self.store.listed(prefix) if not found.name.startswith(f"{prefix}/{LOG}/")]

    def drop(
        self, folder: Path, *, named: Mapping[Path, int], replaced: Mapping[Path, datetime], before: datetime
    ) -> None:
        """Delete the copies of a table that are cut, or not of its newest version and read by nobody here.

        Args:
            folder: of the table.
            named: files of the newest version, with their sizes.
            replaced: files that were removed, and when.
            before: when the oldest process at work here began.
        """
        for path in _data_files(folder):
            with contextlib.suppress(FileNotFoundError):
                state = path.stat()
                since = replaced.get(path) or datetime.fromtimestamp(state.st_mtime, UTC)
                if named[path] != state.st_size if path in named else since < before:
                    path.unlink()

    def shorten_log(self, folder: Path, *, before: datetime) -> None:
        """Delete the objects of a log that the newest checkpoint made needless before a moment."""
        found = self.store.listed(self.name_of(folder / LOG))
        names = {stored.name.rpartition("/")[2]: stored for stored in found}
        start = max((name[:20] for name in names if name.endswith(_CHECKPOINT)), default="")
        old = [name for name, stored in names.items() if name[:20] < start and stored.modified < before]
        self.delete(folder / LOG / name for name in old if name != _POINTER)

    def _make_room(self, more: int) -> None:
        """Delete the copies that were used least recently, of all lakes in the folder above, to keep the limit."""
        if self._bytes and self._bytes[0] + more <= self.limit:
            self._bytes[0] += more
            return
        files = []
        for table in (path for lake in self.folder.parent.iterdir() for path in _tables(lake)):
            for path in _data_files(table):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    files.append((status.st_atime, status.st_size, path))
        total, now = sum(size for _, size, _ in files) + more, time.time()
        for used, size, path in sorted(files):
            if total <= self.limit:
                break
            if 0 <= now - used < KEPT_SECONDS:  # one used later than now was so by a clock that was wrong
                continue
            path.unlink(missing_ok=True)
            total -= size
        self._bytes[:] = [total]

    @contextlib.contextmanager
    def _locked(self, table: str) -> Iterator[None]:
        locks = self.folder / "_locks"
        locks.mkdir(exist_ok=True)
        with FileLock(locks / f"copies-{table}.lock", mode=self.mode):
            yield


def copies_of(folder: Path) -> Copies | None:
    """Return the copies that a folder holds; None for a lake that is in this folder itself."""
    try:
        note = (folder / _NOTE).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _copies(folder, note)


@functools.lru_cache(maxsize=8)
def _copies(folder: Path, note: str) -> Copies:
    noted = json.loads(note)
    return Copies(folder, Store(noted["url"]), noted["mode"], noted["limit"])


def make_copies(folder: Path, url: str, *, mode: int, limit: int) -> Copies:
    """Make a folder one of copies of a bucket.

    Raises:
        SettingsError: it can't be made.
    """
    text = json.dumps({"url": url, "mode": mode, "limit": limit})
    note = folder / _NOTE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not note.is_file() or note.read_text("utf-8") != text:
            _write(note, text)
    except OSError as error:
        raise SettingsError(f"SMS_CACHE: {folder} can't be used: {error.strerror}") from error
    copies = _copies(folder, text)
    copies.store.renew()
    return copies


def _is_whole(path: Path, size: int) -> bool:
    """Say whether a copy is there; note that it is used."""
    try:
        status = path.stat()
        if size and status.st_size != size:
            return False
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))
    except FileNotFoundError:
        return False
    return True


def _hidden(log: Path, name: str) -> Path:
    """Return where an object of a log is kept until those before it are there; nobody reads it there."""
    return log / f".{name}.brought"


def _tables(lake: Path) -> list[Path]:
    return [path.parent for path in lake.glob(f"*/{LOG}")]


def _data_files(table: Path) -> list[Path]:
    return [*table.glob("*.parquet"), *table.glob("*=*/*.parquet")]


def _needed(log: Path, listed: Mapping[str, Stored]) -> list[str]:
    """Return which objects of a whole log are read: the newest checkpoint, what came after it or after the copy.

    Copies that are not of the objects that are listed are deleted.
    """
    tags, kept = _tags(log), set[str]()
    for path in log.glob("[0-9]*") if log.is_dir() else ():
        there = listed.get(path.name)
        if there and tags.get(path.name) == there.tag and path.stat().st_size == there.size:
            kept.add(path.name)
        else:
            path.unlink(missing_ok=True)
    if kept:
        _write(log / _TAGS, "".join(f"{name} {tags[name]}\n" for name in sorted(kept)))
    start = max((name[:20] for name in listed if name.endswith(_CHECKPOINT)), default="")
    since = min(start, max(name[:20] for name in kept)) if kept else start
    return [name for name in listed if name[:20] > since or name == f"{start}{_CHECKPOINT}"]


def _tags(log: Path) -> dict[str, str]:
    """Return the noted ETags of the copies of a log."""
    try:
        lines = (log / _TAGS).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {name: tag for name, _, tag in (line.partition(" ") for line in lines)}


def _write(path: Path, text: str) -> None:
    with written_whole(path, mode=_OWNER_ONLY) as beside:
        beside.write_text(text, "utf-8")


def _note_tags(log: Path, tags: Mapping[str, str]) -> None:
    with (log / _TAGS).open("a", encoding="utf-8") as file:
        file.write("".join(f"{name} {tag}\n" for name, tag in tags.items()))
