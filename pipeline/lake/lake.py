"""The lake: Delta tables of Parquet files, one folder a table, one partition a day of sending.

What belongs here: opening, listing, committing. What does not: locks and scratch space (`locks.py`), what a
version consists of (`snapshots.py`), what the rows mean (`tables.py`, `sql/`), DuckDB (`warehouse.py`), HTTP.

Files are written first (a row group at a time, so that memory does not grow with a day) and become
part of a table with one commit of its transaction log. What must not be done twice (a log's records stored,
a partition replaced) carries a Delta application transaction: a commit that meets another one of the same
name fails with `StaleSnapshotError`, and is worked out again from what is there now.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from pipeline.lake.locks import Guarded
from pipeline.lake.parquet import write_parquet
from pipeline.lake.snapshots import (
    DataFile,
    LogEntry,
    Snapshot,
    add_action,
    arrow_schema,
    now_ms,
    remove_action,
    replaced_files,
    snapshot_of,
    stand_in_name,
)
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.tables import LAKE_TABLES, PARTITION_KEY, Table

__all__ = [
    "NO_DATE",
    "DataFile",
    "Lake",
    "Snapshot",
    "StaleSnapshotError",
    "arrow_schema",
    "folder_mode",
    "retry",
]

NO_DATE: Final = "__HIVE_DEFAULT_PARTITION__"
"""Folder name of the partition of rows without a date, as Hive, Delta and DuckDB write it."""
_COMMIT_TRIES: Final = 50
_TRIES: Final = 20
_T = TypeVar("_T")
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says of a full disk, a used up quota, a limit of file sizes."""
_STAGED_SECONDS: Final = 60.0
"""Age from which a file that Delta wrote and did not move into its log is a dead process's: moving follows at once."""
_MARK_MARGIN_MS: Final = 60_000
"""Longest time between stamping a file and committing it that a mark allows for."""


class StaleSnapshotError(LakeError):
    """Another commit did the same work in the meantime; read again and work it out anew."""


def retry(work: Callable[[], _T]) -> _T:
    """Return what `work` returns; call it again while another writer's commit makes its snapshot stale.

    `work` takes its snapshots anew in each call. A commit that fails has deleted the files that it was to add.

    Raises:
        StaleSnapshotError: another writer was faster each time.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(StaleSnapshotError):
            return work()
    return work()


@dataclass(frozen=True)
class _Change:
    """What one commit changes: see `Lake.commit`; `expected` is what its transactions must still have."""

    table: Table
    add: tuple[DataFile, ...] = ()
    remove: tuple[DataFile, ...] = ()
    names: Mapping[str, int] = field(default_factory=dict)
    expected: Mapping[str, int | None] = field(default_factory=dict)
    data_change: bool = True


@dataclass(frozen=True)
class Lake:
    """A folder of Delta tables.

    Attributes:
        folder: absolute path.
        mode: mode of its files.
    """

    folder: Path
    mode: int
    _seen: dict[str, tuple[LogEntry, Snapshot]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _handles: dict[str, tuple[LogEntry, DeltaTable]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def open(cls, folder: Path, *, mode: int, recorded: Mapping[str, str]) -> Lake:
        """Open the lake, make what is missing, clear what dead processes left.

        Args:
            folder: where it is, or will be.
            mode: mode of its files; this process makes files with it from now on.
            recorded: settings (by name) that must stay the same for the life of a lake.

        Raises:
            SettingsError: `folder` can't be used, or a recorded setting has another value there.
            LakeError: the disk is full, or what lies there can't be read.
        """
        os.umask(0o777 & ~folder_mode(mode))
        lake = cls(folder, mode)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with lake.lock("create"):
                lake._check_recorded(recorded)
                for table in LAKE_TABLES:
                    lake._create(table)
            lake._guarded.clear_scratch()
            lake._clear_staged()
        except (DeltaError, OSError) as error:
            # Delta's own errors have no number: they come after the folder was found good.
            number = getattr(error, "errno", None)
            kind = LakeError if number is None or number in _FULL else SettingsError
            raise kind(f"SMS_LAKE: {folder} can't be used: {getattr(error, 'strerror', None) or error}") from error
        return lake

    @classmethod
    def exists(cls, folder: Path) -> bool:
        """Say whether there is a lake in a folder."""
        return (folder / _RECORDED).is_file()

    def snapshot(self, table: Table) -> Snapshot:
        """Return the list of a table's files as of now: the one read before, where no commit has come since.

        Raises:
            LakeError: the table can't be read.
        """
        seen = self._seen.get(table.name)
        if seen and seen[0].is_newest():
            return seen[1]
        with self._readable(table) as folder:
            snapshot = snapshot_of(table, DeltaTable(folder), folder)
            self._seen[table.name] = LogEntry.now(folder, snapshot.version), snapshot
        return snapshot

    @contextmanager
    def _readable(self, table: Table) -> Iterator[Path]:
        """Give a table's folder; what Delta can't read there is an error of ours."""
        try:
            yield self.folder_of(table)
        except (DeltaError, OSError) as error:
            raise LakeError(f"the lake's table {table.name} can't be read in {self.folder}: {error}") from error

    def new_file(self, table: Table, sent_date: date | None, *, in_place_of: Collection[DataFile] = ()) -> Path:
        """Return the path for a new file of a partition; its folder is there.

        Args:
            table: the table.
            sent_date: the partition.
            in_place_of: files whose rows, and no others, it will hold.

        Raises:
            LakeError: the lake has gone; half a lake is not made in its place.
        """
        if not self.folder.is_dir():
            raise LakeError(f"the lake {self.folder} has gone; the next run makes a new one from the sent logs")
        folder = self.folder_of(table)
        if table.is_partitioned:
            folder /= f"{PARTITION_KEY}={sent_date or NO_DATE}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"part-{uuid.uuid4()}"
        return folder / f"{stand_in_name(name, in_place_of) if in_place_of else name}.parquet"

    def write(self, table: Table, rows: pa.Table, sent_date: date | None) -> DataFile:
        """Write rows of one partition to a new file, which no table knows yet.

        Args:
            table: the table.
            rows: all its columns; the partition key is not written.
            sent_date: the partition.
        """
        path = self.new_file(table, sent_date)
        with self.removed_unless_written(path):
            write_parquet(path, table, [rows])
        latest = None
        if "observed_at" in rows.column_names and rows.num_rows:
            latest = max(moment.as_py() for moment in (pa.compute.max(rows["observed_at"]),))
        return self.finished(path, sent_date, rows=rows.num_rows, latest=latest)

    def write_from(self, table: Table, path: Path, sent_date: date | None, *, rows: int) -> DataFile:
        """Make a whole file in scratch space one of a partition, which no table knows yet; it stays there, too."""
        new = self.new_file(table, sent_date)
        with self.removed_unless_written(new):
            try:
                new.hardlink_to(path)
            except OSError:  # not every file system has links
                shutil.copyfile(path, new)
        return self.finished(new, sent_date, rows=rows)

    def finished(self, path: Path, sent_date: date | None, *, rows: int, latest: datetime | None = None) -> DataFile:
        """Describe a file that was written, with its mode set."""
        path.chmod(self.mode)
        return DataFile(path, sent_date, rows, path.stat().st_size, latest)

    @staticmethod
    @contextmanager
    def removed_unless_written(path: Path) -> Iterator[None]:
        """Remove half a file where the block that writes it fails: on a full disk it would only be in the way."""
        try:
            yield
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def append(self, table: Table, files: Sequence[DataFile]) -> None:
        """Add files to a table, whatever else was committed in the meantime."""
        if files:
            self._commit(_Change(table, tuple(files)), self._newest(table))

    def _newest(self, table: Table) -> DeltaTable:
        """Return a handle of a table as of now, for appends alone: to bring one up to date costs less than opening."""
        with self._readable(table) as folder:
            entry, handle = self._handles.get(table.name, (None, None))
            if entry and handle and entry.stands():
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
        """Add and remove files in one commit, which starts from `snapshot`.

        Args:
            snapshot: the state from which the change was worked out.
            add: files that were written and are not part of the table.
            remove: files of `snapshot` that go.
            transactions: application transactions to record: name to new version. What they had in
                `snapshot` must still stand.
            data_change: False where the rows stay the same, in other files.

        Raises:
            StaleSnapshotError: one of `transactions` was recorded, or one of `remove` went, in the meantime; see
                `retry`.
            LakeError: it could not be committed. After either the files of `add` are deleted.
        """
        names = dict(transactions or {})
        expected = {name: snapshot.transaction(name) for name in names}
        change = _Change(snapshot.table, tuple(add), tuple(remove), names, expected, data_change=data_change)
        self._commit(change, snapshot.handle)

    def _commit(self, change: _Change, handle: DeltaTable) -> None:
        for attempt in range(_COMMIT_TRIES):
            try:
                self._commit_once(change, handle)
            except CommitFailedError:
                time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311 - to part two writers
                present = self.snapshot(change.table)
                if _are_named(change.add, present):
                    return
                try:
                    self._check_fresh(present, change)
                except StaleSnapshotError:
                    _unlink(change.add)
                    raise
                handle = present.handle
            except (DeltaError, OSError) as error:
                # Delta may fail after the commit, at a checkpoint; what is named then must stay.
                if _are_named(change.add, self.snapshot(change.table)):
                    return
                _unlink(change.add)
                raise LakeError(f"{change.table.name} could not be committed to {self.folder}: {error}") from error
            else:
                return
        _unlink(change.add)
        raise LakeError(f"{change.table.name} met another writer at each of {_COMMIT_TRIES} tries")

    def _commit_once(self, change: _Change, handle: DeltaTable) -> None:
        root, table = self.folder_of(change.table), change.table
        if not root.is_dir():  # Delta would make a log that begins in its middle
            raise FileNotFoundError(errno.ENOENT, "the table's folder has gone", str(root))
        handle.create_write_transaction(  # the handle stays at its version: others may hold the same snapshot
            [add_action(table, file, root, data_change=change.data_change) for file in change.add]
            + [remove_action(table, file, root, data_change=change.data_change) for file in change.remove],
            "append",
            arrow_schema(table),
            table.partition_keys,
            commit_properties=CommitProperties(
                max_commit_retries=0,
                app_transactions=[Transaction(name, version) for name, version in change.names.items()],
            ),
        )

    @staticmethod
    def _check_fresh(present: Snapshot, change: _Change) -> None:
        moved = [name for name, version in change.expected.items() if present.transaction(name) != version]
        gone = {file.path for file in change.remove} - {file.path for file in present.files}
        if moved or gone:
            raise StaleSnapshotError(f"{present.table.name} was changed by another run")

    def delete_unnamed(self, table: Table, *, written_before: datetime) -> None:
        """Delete every file of a table that was replaced, however young, and those that no version ever named.

        Args:
            table: the table.
            written_before: of the latter only files as old as this: a run at work may be about to commit others.
        """
        there, named = self.files_there(table), {file.path for file in self.snapshot(table).files}
        replaced = replaced_files(self.folder_of(table))
        for path in (file.path for file in there if file.path not in named):
            with contextlib.suppress(FileNotFoundError):
                if path in replaced or datetime.fromtimestamp(path.stat().st_mtime, UTC) < written_before:
                    path.unlink()

    def files_there(self, table: Table) -> list[DataFile]:
        """Return every Parquet file in a table's folder, whether a version names it or not."""
        files = self.folder_of(table).glob(f"{PARTITION_KEY}=*/*.parquet" if table.is_partitioned else "*.parquet")
        return [DataFile(path, None, rows=0, size=path.stat().st_size) for path in sorted(files)]

    def lock(self, name: str, *, seconds: float = -1) -> AbstractContextManager[None]:
        """Hold a lock of the lake, see `Guarded.lock`."""
        return self._guarded.lock(name, seconds=seconds)

    def scratch(self) -> AbstractContextManager[Path]:
        """Give a folder of this process alone, see `Guarded.scratch`."""
        return self._guarded.scratch()

    def working_since(self) -> datetime | None:
        """Return from when on somebody has been at work in the lake without a pause, see `Guarded.working_since`."""
        return self._guarded.working_since()

    @property
    def _guarded(self) -> Guarded:
        return Guarded(self.folder, self.mode)

    def _clear_staged(self) -> None:
        """Remove what Delta wrote beside its log (`….json#1`) and a dead process did not move into it."""
        for path in self.folder.glob("*/_delta_log/*#*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _STAGED_SECONDS:
                    path.unlink()

    @contextmanager
    def days_changed(self, tables: Sequence[Table], *, reader: str) -> Iterator[set[date]]:
        """Give the days of which files were added since this reader last left the block without an error.

        What a run that died had not come to is so left to the next one, whatever days that is asked for.

        Args:
            tables: where to look.
            reader: who asks; each has a mark of its own.
        """
        began, mark = now_ms(), self.folder / _MARKS / reader
        since = int(mark.read_text("ascii")) - _MARK_MARGIN_MS if mark.is_file() else 0
        files = [file for table in tables for file in self.snapshot(table).files]
        yield {file.sent_date for file in files if file.sent_date and file.added_ms >= since}
        mark.parent.mkdir(exist_ok=True)
        with self.lock(_MARKS):
            self._write_whole(mark, str(began))

    def found_sound(self, audit: str) -> dict[str, str]:
        """Return what an audit has noted of days that it found sound, by day."""
        path = self.folder / _MARKS / audit
        noted: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return noted

    def note_sound(self, audit: str, days: Mapping[str, str]) -> None:
        """Note that an audit found days sound, and of which files; what it noted of other days stays."""
        path = self.folder / _MARKS / audit
        path.parent.mkdir(exist_ok=True)
        with self.lock(_MARKS):
            self._write_whole(path, json.dumps({**self.found_sound(audit), **days}, indent=0, sort_keys=True))

    def _write_whole(self, path: Path, text: str) -> None:
        beside = path.with_name(f".{path.name}.tmp")
        beside.write_text(text, "utf-8")
        beside.chmod(self.mode)
        beside.replace(path)

    def folder_of(self, table: Table) -> Path:
        """Return where a table lies."""
        return self.folder / table.name

    def _create(self, table: Table) -> None:
        folder = self.folder_of(table)
        try:
            DeltaTable(folder)
        except (TableNotFoundError, FileNotFoundError):
            DeltaTable.create(
                folder,
                schema=arrow_schema(table),
                mode="ignore",
                partition_by=table.partition_keys,
                name=table.name,
                description=table.row,
            )

    def _check_recorded(self, recorded: Mapping[str, str]) -> None:
        path = self.folder / _RECORDED
        if not path.is_file():
            self._write_whole(path, json.dumps(dict(recorded), indent=2) + "\n")
            return
        there: dict[str, str] = json.loads(path.read_text("utf-8"))
        for name, value in recorded.items():
            if there.get(name, value) != value:
                raise SettingsError(
                    f"{name}: is {value}, but the lake {self.folder} was made with {there[name]}; "
                    f"set it back, or start another lake"
                )


_RECORDED: Final = "settings.json"
_MARKS: Final = "_marks"


def folder_mode(mode: int) -> int:
    """Return the mode of folders that goes with a mode of files: who may read may enter."""
    return mode | (mode & 0o444) >> 2


def _are_named(add: Sequence[DataFile], present: Snapshot) -> bool:
    """Say whether files are part of a table; none are not."""
    return bool(add) and {file.path for file in add} <= {file.path for file in present.files}


def _unlink(files: Iterable[DataFile]) -> None:
    for file in files:
        file.path.unlink(missing_ok=True)
