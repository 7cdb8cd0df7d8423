"""Where worlds are played: processes that die, and a lake whose transaction log is in memory.

The stand-in keeps the interface of `Lake` and its Parquet files; commits cost nothing, and all databases of a
test share one instance of DuckDB: opening one takes 40 ms, more than all that a small world does with it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.lake.lake import DataFile, Lake, Snapshot, StaleSnapshotError
from pipeline.lake.queries import connect
from pipeline.model.tables import LAKE_TABLES, PARTITION_KEY, Table

MEMORY_LIMIT = "400MB"
_FAST_FOLDER = Path("/dev/shm")  # noqa: S108 - a temporary folder is made in it


class Killed(BaseException):
    """The process is dead: what it still does has no effect."""


@dataclass
class Life:
    """Counts what a process does to the world outside; it dies at a step, or never."""

    dies_at: int | None = None
    steps: int = 0
    is_dead: bool = False

    def step(self) -> None:
        """Do one more thing, or be dead."""
        self.is_dead = self.is_dead or self.steps == self.dies_at
        if self.is_dead:
            raise Killed
        self.steps += 1


@dataclass(frozen=True)
class MortalLake(Lake):
    """A lake as one process sees it: it may die before a file is written, before a commit and after it."""

    life: Life = field(default_factory=Life)

    def finished(self, path: Path, *args: Any, **kwargs: Any) -> DataFile:
        """Step, then finish a file."""
        self.life.step()
        return super().finished(path, *args, **kwargs)

    def append(self, table: Table, files: Sequence[DataFile]) -> None:
        """Step, append, step, where there is something to append."""
        if not files:
            return
        self.life.step()
        super().append(table, files)
        self.life.step()

    def commit(self, snapshot: Snapshot, **changes: Any) -> None:
        """Step, commit, step."""
        self.life.step()
        super().commit(snapshot, **changes)
        self.life.step()


@dataclass(frozen=True)
class _Log:
    """A table's state: what Delta's transaction log would say."""

    version: int = 0
    files: tuple[DataFile, ...] = ()
    transactions: Mapping[str, int] = field(default_factory=dict)

    def transaction_version(self, name: str) -> int | None:
        return self.transactions.get(name)


@dataclass(frozen=True)
class _InMemory(Lake):
    """A lake whose transaction log is a dictionary, for one thread of work at a time."""

    logs: dict[str, _Log] = field(default_factory=dict)
    workshop: Path = Path()

    def snapshot(self, table: Table) -> Snapshot:
        log = self.logs[table.name]
        return Snapshot(table, log.version, log.files, log)  # type: ignore[arg-type] # all that a snapshot asks of it

    def append(self, table: Table, files: Sequence[DataFile]) -> None:
        _InMemory.commit(self, self.snapshot(table), add=files)

    def commit(
        self,
        snapshot: Snapshot,
        *,
        add: Sequence[DataFile] = (),
        remove: Sequence[DataFile] = (),
        transactions: Mapping[str, int] | None = None,
        data_change: bool = True,
    ) -> None:
        del data_change  # rows are what a log in memory is asked for
        log, names = self.logs[snapshot.table.name], dict(transactions or {})
        gone = {file.path for file in remove} - {file.path for file in log.files}
        if gone or any(log.transactions.get(name) != snapshot.transaction(name) for name in names):
            for file in add:
                file.path.unlink()
            raise StaleSnapshotError(snapshot.table.name)
        going = {file.path for file in remove}
        kept = tuple(file for file in log.files if file.path not in going)
        self.logs[snapshot.table.name] = _Log(log.version + 1, (*kept, *add), {**log.transactions, **names})

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        shutil.rmtree(self.workshop / "staged", ignore_errors=True)  # its files may be links to files of the lake
        before = set(self.workshop.iterdir())
        try:
            yield self.workshop
        finally:
            for days in set(self.workshop.glob(f"{PARTITION_KEY}=*")) - before:  # one block may lie inside another
                shutil.rmtree(days)


@dataclass(frozen=True)
class _MortalInMemory(MortalLake, _InMemory):
    """Both: steps around commits to a dictionary."""


@dataclass(frozen=True)
class Stage:
    """A lake for one world, how a process sees it, and what the power does after each run."""

    lake: Lake
    as_seen_by: Callable[[Life], Lake]
    cut_power: Callable[[], None] = lambda: None


StageMaker = Callable[[], AbstractContextManager[Stage]]


@contextmanager
def real_stage() -> Iterator[Stage]:
    """Open a new lake of Delta tables; the umask, which opening sets for the process, is put back."""
    before = os.umask(0o077)
    with _fast_folder() as folder:
        try:
            lake = Lake.open(folder / "lake", mode=0o640, recorded={})
            yield Stage(lake, lambda life: MortalLake(lake.folder, lake.mode, life=life))
        finally:
            os.umask(before)


@contextmanager
def memory_stages() -> Iterator[StageMaker]:
    """Give what makes new lakes in memory, as many as are wanted while the block lasts."""
    with (
        _fast_folder() as workshop,
        # Keeps open the instance that all connections to this file share; their lakes are beside it.
        connect(memory_limit=MEMORY_LIMIT, scratch=workshop, folders=[workshop.parent]),
    ):

        @contextmanager
        def stage() -> Iterator[Stage]:
            with _fast_folder() as folder:
                logs = {table.name: _Log() for table in LAKE_TABLES}
                lake = _InMemory(folder, 0o640, logs=logs, workshop=workshop)
                yield Stage(lake, lambda life: _MortalInMemory(folder, 0o640, logs=logs, workshop=workshop, life=life))

        yield stage


@contextmanager
def _fast_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=_FAST_FOLDER if _FAST_FOLDER.is_dir() else None) as folder:
        yield Path(folder)


def read_file(file: DataFile) -> list[dict[str, Any]]:
    """Return the rows of one file, the partition key with them; no SQL."""
    rows: list[dict[str, Any]] = pq.ParquetFile(file.path).read().to_pylist()
    return [row | {PARTITION_KEY: file.sent_date} for row in rows]


def read_table(lake: Lake, table: Table) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    return [row for file in lake.snapshot(table).files for row in read_file(file)]
