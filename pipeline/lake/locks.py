"""Locks and scratch space in the lake's folder, which die with the process that holds them.

What belongs here: who may do what now, and folders of one process alone. What does not: what is guarded.
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

from pipeline.model.errors import LakeError

_SCRATCH: Final = "_scratch"


@dataclass(frozen=True)
class Guarded:
    """A folder with locks and scratch space.

    Attributes:
        folder: absolute path.
        mode: mode of its files.
    """

    folder: Path
    mode: int

    @contextmanager
    def lock(self, name: str, *, seconds: float = -1) -> Iterator[None]:
        """Hold a lock that other processes on this machine see; a dead process holds none.

        Args:
            name: what is locked.
            seconds: how long to wait for it, negative for ever.

        Raises:
            LakeError: it was not to be had in that time.
        """
        folder = self.folder / "_locks"
        folder.mkdir(exist_ok=True)
        try:
            with FileLock(folder / f"{name}.lock", timeout=seconds, mode=self.mode):
                yield
        except Timeout as error:
            raise LakeError(f"another run holds {name} of the lake {self.folder}") from error

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder of this process alone (0700), gone afterwards; a dead one's goes at the next run."""
        parent = self.folder / _SCRATCH
        parent.mkdir(exist_ok=True)
        with self.lock(_SCRATCH):  # whoever clears sees no folder whose guard is not held yet
            folder = Path(tempfile.mkdtemp(prefix=f"{time.time_ns() // 1_000_000}-", dir=parent))
            guard = FileLock(f"{folder}.lock", mode=0o600)
            guard.acquire()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            guard.release()
            Path(guard.lock_file).unlink(missing_ok=True)

    def clear_scratch(self) -> None:
        """Remove the scratch space of dead processes."""
        with self.lock(_SCRATCH):
            for folder in {entry.with_suffix("") for entry in (self.folder / _SCRATCH).glob("*")}:
                try:
                    with FileLock(f"{folder}.lock", timeout=0):
                        shutil.rmtree(folder, ignore_errors=True)
                except Timeout:
                    continue  # its process is alive
                Path(f"{folder}.lock").unlink(missing_ok=True)

    def working_since(self) -> datetime | None:
        """Return when the oldest scratch space that is in use was taken; None where none is.

        Whoever reads or writes the lake's files has scratch space meanwhile: a file that was old before is in
        nobody's hands.
        """
        with self.lock(_SCRATCH):
            folders = [entry for entry in (self.folder / _SCRATCH).glob("*") if entry.is_dir()]
            taken = [_taken_at(folder.name) for folder in folders if _in_use(folder)]
        return min(taken, default=None)


def _in_use(folder: Path) -> bool:
    try:
        with FileLock(f"{folder}.lock", timeout=0):
            return False
    except Timeout:
        return True


def _taken_at(name: str) -> datetime:
    milliseconds = name.partition("-")[0]
    return datetime.fromtimestamp(int(milliseconds) / 1000 if milliseconds.isdigit() else 0, UTC)
