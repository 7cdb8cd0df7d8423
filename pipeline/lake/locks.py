"""Locks and scratch folders of a folder that processes share; the system frees them when a process dies.

What belongs here: exclusion between processes. What does not: what a lock protects.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

_SCRATCH: Final = "_scratch"


@dataclass(frozen=True)
class SharedFolder:
    """A folder by its absolute path, and the mode of its files."""

    folder: Path
    mode: int

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that other processes on this machine see; wait for it without limit."""
        folder = self.folder / "_locks"
        folder.mkdir(exist_ok=True)
        with FileLock(folder / f"{name}.lock", mode=self.mode):
            yield

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder (mode 0700) for this process alone; `clear_scratch` deletes it if the process dies."""
        parent = self.folder / _SCRATCH
        parent.mkdir(exist_ok=True)
        with self.lock(_SCRATCH):  # so that `clear_scratch` sees no folder without its lock
            folder = Path(tempfile.mkdtemp(prefix=f"{time.time_ns() // 1_000_000}-", dir=parent))
            lock = FileLock(f"{folder}.lock", mode=0o600)
            lock.acquire()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def clear_scratch(self) -> None:
        """Delete the scratch folders of dead processes."""
        with self.lock(_SCRATCH):
            for folder in {entry.with_suffix("") for entry in (self.folder / _SCRATCH).glob("*")}:
                if not _in_use(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    Path(f"{folder}.lock").unlink(missing_ok=True)

    def working_since(self) -> datetime | None:
        """Return when the oldest scratch folder in use was created; None if there is none.

        Every reader and writer of the lake's files holds a scratch folder: nobody reads a file replaced before that.
        A time ahead of now is of a clock that was wrong: that folder may be of any age.
        """
        return min(map(_created_at, self.at_work()), default=None)

    def at_work(self) -> list[str]:
        """Return the names of the scratch folders in use: one per process at work, none is ever used again."""
        with self.lock(_SCRATCH):
            folders = [entry for entry in (self.folder / _SCRATCH).glob("*") if entry.is_dir()]
            return [folder.name for folder in folders if _in_use(folder)]


def _in_use(folder: Path) -> bool:
    try:
        with FileLock(f"{folder}.lock", timeout=0):
            return False
    except Timeout:
        return True


def _created_at(name: str) -> datetime:
    milliseconds = name.partition("-")[0]
    seconds = int(milliseconds) / 1000 if milliseconds.isdigit() else 0
    return datetime.fromtimestamp(seconds if seconds <= time.time() else 0, UTC)
