"""The lake: one folder of Delta tables, one partition per day of sending.

What belongs here: listing, writing and committing files. What does not: opening (`opening.py`), conflicts between
writers (`commits.py`), the Delta log (`delta_log.py`), DuckDB (`queries.py`), the meaning of rows (`tables.py`).

Files are written first, a row group at a time, so that memory does not grow with a day. One commit adds them to a
table. Work that must not be done twice (storing a log's records, replacing a partition) records a Delta application
transaction: if another commit recorded the same name meanwhile, the commit raises `StaleSnapshotError`, and the work
is repeated from a new snapshot (`retry`).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipeline.lake.commits import Change, StaleSnapshotError, commit_change, retry
from pipeline.lake.copies import CHECKPOINT_VERSIONS as BUCKET_CHECKPOINT_VERSIONS
from pipeline.lake.copies import copies_of, make_copies
from pipeline.lake.damage import REMEDY, DamagedTableError, LogFiles, footer_damage, log_damage
from pipeline.lake.delta_log import LogEntry, replaced_files, snapshot_of
from pipeline.lake.durable import sync_folder
from pipeline.lake.locks import SharedFolder
from pipeline.lake.log_entries import CHECKPOINT_VERSIONS, write_checkpoint
from pipeline.lake.opening import RECORDED, prepare
from pipeline.lake.parquet import write_parquet
from pipeline.lake.snapshots import DataFile, Snapshot, compacted_name, new_name, rows_in
from pipeline.lake.texts import read_text
from pipeline.lake.trust import check_data_files
from pipeline.lake.versions import note_commit, noted
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import PARTITION_KEY, Table

__all__ = ["DataFile", "Lake", "Snapshot", "StaleSnapshotError", "retry"]  # all of its interface in one place

IN_FLIGHT: Final = timedelta(hours=1)
"""Shortest age of a file that no log names before its run counts as dead, where runs of other machines can't be seen; a
live run commits within minutes."""
_NO_DATE: Final = "__HIVE_DEFAULT_PARTITION__"
"""Folder of the partition of rows without a date, as Hive, Delta and DuckDB write it."""


@dataclass(frozen=True)
class Lake(SharedFolder):
    """A folder of Delta tables."""

    _listed: dict[str, tuple[LogEntry, Snapshot]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _handles: dict[str, tuple[LogEntry, DeltaTable]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _tidied: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _sound: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    _trusted: set[Path] = field(default_factory=set, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path, *, mode: int, recorded: Mapping[str, str]) -> Lake:
        """Open the lake; create what is missing, delete what dead processes left.

        From now on this process creates files with `mode`. `recorded` are settings, by name, that must not change for
        the life of a lake.

        Raises:
            SettingsError: `folder` can't be used, or a recorded setting has another value there.
            LakeError: the disk is full, or the lake can't be read.
        """
        prepare(folder, mode=mode, recorded=recorded)
        return cls(folder, mode)

    @classmethod
    def of(cls, settings: Settings) -> Lake:
        """Open the lake of the settings, as `open` does, in a folder or in a bucket."""
        _connect(settings)
        return cls.open(settings.lake, mode=settings.file_mode, recorded=settings.recorded)

    @classmethod
    def is_made(cls, settings: Settings) -> bool:
        """Say whether there is the lake of the settings.

        Raises:
            SettingsError, LakeError: it is in a bucket that can't be reached.
        """
        _connect(settings)
        return cls.exists(settings.lake)

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Say whether there is a lake in a folder."""
        return read_text(SharedFolder(folder, 0), RECORDED) is not None

    def folder_of(self, table: Table) -> Path:
        """Return the folder of a table."""
        return self.folder / table.name

    def snapshot(self, table: Table) -> Snapshot:
        """Return a table as of now; the former snapshot if nothing was committed since.

        Raises:
            LakeError: the table can't be read.
        """
        self._refresh(table)
        former = self._listed.get(table.name)
        if former and former[0].is_newest():
            return former[1]
        with self._readable(table) as folder:
            self._check_log(table)
            snapshot = snapshot_of(table, DeltaTable(folder), folder)
            self._check_trust(table, (file.path for file in snapshot.files))
            self._check_rows(snapshot)
            self._listed[table.name] = LogEntry.now(folder, snapshot.version), snapshot
            self._drop_old_copies(snapshot)
        return snapshot

    def _refresh(self, table: Table) -> None:
        """Bring what others committed, if the lake is in a bucket."""
        if copies := copies_of(self.folder):
            with self._readable(table) as folder:
                copies.refresh_log(folder)

    def _drop_old_copies(self, present: Snapshot) -> None:
        """Delete copies of what is no longer part of a table, when it is first read, if the lake is in a bucket."""
        name = present.table.name
        if name in self._tidied or (copies := copies_of(self.folder)) is None:
            return
        self._tidied.add(name)
        before, folder = self.working_since() or datetime.now(UTC), self.folder_of(present.table)
        named = {file.path: file.size for file in present.files}
        copies.drop(folder, named=named, replaced=replaced_files(folder), before=before)

    @property
    def has_copies(self) -> bool:
        """Whether the lake is in a bucket, and its folder has copies of what was needed."""
        return copies_of(self.folder) is not None

    @property
    def place(self) -> str:
        """Where the lake is, for a person: its folder or URL."""
        copies = copies_of(self.folder)
        return copies.store.url if copies else str(self.folder)

    def look_again(self) -> None:
        """Let the next snapshots have all that was committed before now, by other machines, too."""
        if copies := copies_of(self.folder):
            copies.look_again()

    def _check_log(self, table: Table) -> None:
        """Look at the entries that are new since the last time.

        Raises:
            DamagedTableError: the log lacks something; nothing may be derived from the table.
        """
        folder, sound_up_to = self.folder_of(table), self._sound.get(table.name, -1)
        for is_last_try in (False, True):  # the first may have listed a log that was being changed
            note, files = noted(self, table), LogFiles.of(folder)
            wrong = next(log_damage(files, note, sound_up_to=sound_up_to), None)
            if wrong is None:
                self._sound[table.name] = files.newest
                return
            if is_last_try:
                raise DamagedTableError(f"the lake's table {table.name} is damaged: {wrong}; {REMEDY}")

    def _check_trust(self, table: Table, paths: Iterable[Path]) -> None:
        check_data_files(paths, folder=self.folder_of(table), mode=self.mode, known=self._trusted)

    def _check_rows(self, snapshot: Snapshot) -> None:
        name, note = snapshot.table.name, noted(self, snapshot.table)
        if note and note.version == snapshot.version and note.rows != snapshot.rows:
            lost = f"it has {snapshot.rows:,} rows and had {note.rows:,} when version {note.version} was committed"
            raise DamagedTableError(f"the lake's table {name} is damaged: {lost}; {REMEDY}")

    @contextmanager
    def _readable(self, table: Table) -> Iterator[Path]:
        """Give a table's folder; translate errors of Delta and of the file system."""
        try:
            yield self.folder_of(table)
        except (DeltaError, OSError) as error:
            reason = str(error).partition("\n")[0]  # Delta adds a stack trace
            raise LakeError(
                f"the lake's table {table.name} can't be read in {self.folder}: {reason}; {REMEDY}"
            ) from error

    def new_file(self, table: Table, sent_date: date | None, *, in_place_of: Collection[DataFile] = ()) -> Path:
        """Return the path for a new file of a partition, in a folder that exists.

        `in_place_of` are the files whose rows, and no others, it will hold.

        Raises:
            LakeError: the lake has gone; half a lake is not created in its place.
        """
        if not self.folder.is_dir():
            raise LakeError(f"the lake {self.folder} has gone; the next run makes a new one from the sent logs")
        folder = self.folder_of(table)
        if table.is_partitioned:
            folder /= f"{PARTITION_KEY}={sent_date or _NO_DATE}"
        folder.mkdir(parents=True, exist_ok=True)
        name = new_name(table)
        return folder / f"{compacted_name(name, in_place_of) if in_place_of else name}.parquet"

    def write(self, table: Table, rows: pa.Table, sent_date: date | None) -> DataFile:
        """Write rows of one partition to a new file; `append` or `commit` adds it to the table."""
        return self.write_parts(table, [rows], sent_date)

    def write_parts(
        self,
        table: Table,
        parts: Iterable[pa.Table],
        sent_date: date | None,
        *,
        in_place_of: Collection[DataFile] = (),
    ) -> DataFile:
        """Write a new file as `write` does, one row group per part; `in_place_of` is as for `new_file`."""
        path = self.new_file(table, sent_date, in_place_of=in_place_of)
        with _removed_unless_written(path):
            file = write_parquet(path, table, parts)
        return self.finished(path, sent_date, rows=file.rows, maxima=file.maxima)

    def write_from(self, table: Table, path: Path, sent_date: date | None, *, rows: int) -> DataFile:
        """Link a complete file of scratch space into a partition; `append` or `commit` adds it to the table."""
        new = self.new_file(table, sent_date)
        with _removed_unless_written(new):
            try:
                new.hardlink_to(path)
            except OSError:  # not every file system has links
                shutil.copyfile(path, new)
        return self.finished(new, sent_date, rows=rows)

    def finished(
        self, path: Path, sent_date: date | None, *, rows: int, maxima: Mapping[str, Any] | None = None
    ) -> DataFile:
        """Set the mode of a file that was written, and describe it."""
        path.chmod(self.mode)
        return DataFile(path, sent_date, rows, path.stat().st_size, maxima=maxima or {})

    def append(self, table: Table, files: Sequence[DataFile]) -> None:
        """Add files to a table, whatever else was committed in the meantime."""
        if files:
            self._commit(Change(table, tuple(files)), self._newest_handle(table))

    def _newest_handle(self, table: Table) -> DeltaTable:
        """Return a handle of a table as of now, for appends: updating it costs less than opening the table."""
        with self._readable(table) as folder:
            self._check_log(table)
            entry, handle = self._handles.get(table.name, (None, None))
            if entry and handle and entry.is_unchanged():
                handle.update_incremental()
            else:
                handle = DeltaTable(folder)
            self._handles[table.name] = LogEntry.now(folder, handle.version()), handle
        return handle

    def commit(
        self,
        snapshot: Snapshot,
        *,
        add: Sequence[DataFile] = (),
        remove: Sequence[DataFile] = (),
        transactions: Mapping[str, int] | None = None,
        data_change: bool = True,
    ) -> None:
        """Commit a `Change` that was worked out from `snapshot`.

        Raises:
            StaleSnapshotError: one of `transactions` was recorded, or one of `remove` was removed, in the meantime; see
                `retry`.
            LakeError: it could not be committed. After either error the files of `add` are deleted.
        """
        names = dict(transactions or {})
        expected = {name: snapshot.transaction(name) for name in names}
        change = Change(snapshot.table, tuple(add), tuple(remove), names, expected, data_change=data_change)
        self._commit(change, snapshot.handle)

    def _commit(self, change: Change, handle: DeltaTable) -> None:
        table, newest = change.table, partial(self.snapshot, change.table)
        version = commit_change(change, handle, folder=self.folder_of(table), newest=newest)
        more_rows = rows_in(change.add) - rows_in(change.remove)
        note_commit(self, table, version, more_rows=more_rows, newest=newest)
        if version % (BUCKET_CHECKPOINT_VERSIONS if copies_of(self.folder) else CHECKPOINT_VERSIONS) == 0:
            with self.scratch() as scratch, self._readable(table) as folder:
                write_checkpoint(folder, scratch)

    def files_there(self, table: Table) -> list[DataFile]:
        """Return every Parquet file of a table that is there, with its time, also those that no version names."""
        if copies := copies_of(self.folder):
            return [
                DataFile(self.folder / found.name, None, 0, found.size, int(found.modified.timestamp() * 1000))
                for found in copies.stored_in(self.folder_of(table))
                if found.name.endswith(".parquet")
            ]
        files = self.folder_of(table).glob(f"{PARTITION_KEY}=*/*.parquet" if table.is_partitioned else "*.parquet")
        there = sorted(files)
        self._check_trust(table, there)
        return list(filter(None, map(_found, there)))

    def delete(self, files: Iterable[DataFile]) -> None:
        """Delete files that no version names."""
        paths = [file.path for file in files]
        if copies := copies_of(self.folder):
            copies.delete(paths)
            return
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:  # no power cut brings back what was erased
            sync_folder(folder)

    def delete_unnamed(self, table: Table) -> None:
        """Delete every file that was removed from a table, however recently, and those that no version ever named.

        A file that no version named must be older than the processes at work here: one may be about to commit it.
        Without any, it may go whatever its time says.
        """
        present = self.files_there(table)
        at_work_since = self.working_since()  # after the listing: who begins now has written none of these
        named, replaced = {file.path for file in self.snapshot(table).files}, replaced_files(self.folder_of(table))
        self.delete(
            file
            for file in present
            if file.path not in named and (file.path in replaced or self._is_dead(file, at_work_since))
        )

    def damaged_files(self, present: Snapshot) -> Iterator[str]:
        """Yield what is wrong with each data file of a table that is missing or damaged, a line each."""
        copies = copies_of(self.folder)
        if copies is None:
            yield from filter(None, map(footer_damage, present.files))
            return
        sizes = {self.folder / found.name: found.size for found in copies.stored_in(self.folder_of(present.table))}
        for file in present.files:
            url, size = f"{copies.store.url}/{copies.name_of(file.path)}", sizes.get(file.path)
            if size is None:
                yield f"{url} is missing"
            elif size != file.size:
                yield f"{url} has {size:,} bytes in place of {file.size:,}"

    def shorten_log(self, table: Table, *, before: datetime) -> None:
        """Delete objects of a log in a bucket that its newest checkpoint made needless before a moment."""
        if copies := copies_of(self.folder):
            copies.shorten_log(self.folder_of(table), before=before)

    def _is_dead(self, file: DataFile, at_work_since: datetime | None) -> bool:
        """Say whether no process will commit a file that no version names.

        `at_work_since` is when the oldest process at work here began. Those of other machines are not known.
        """
        if copies_of(self.folder) and file.added_at >= datetime.now(UTC) - IN_FLIGHT:
            return False
        return at_work_since is None or file.added_at < at_work_since


def check_store(settings: Settings) -> None:
    """Check that the bucket of a lake can be written and keeps conditions; nothing for a lake in a folder.

    Raises:
        SettingsError, LakeError: it can't, or doesn't.
    """
    _connect(settings)
    if copies := copies_of(settings.lake):
        copies.store.check_conditions()


def _connect(settings: Settings) -> None:
    if settings.lake_url:
        make_copies(settings.lake, settings.lake_url, mode=settings.file_mode, limit=settings.cache_bytes)


def _found(path: Path) -> DataFile | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return DataFile(path, None, 0, status.st_size, int(status.st_mtime * 1000))


@contextmanager
def _removed_unless_written(path: Path) -> Iterator[None]:
    """Delete the partial file if the block that writes it fails: on a full disk it takes space."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
