"""A disk that forgets in a power cut all that was not synced, for worlds on a real lake: in the process, no strace.

By POSIX, what a file holds is on the disk once the file was synced, and a name once its folder was; a file that was
never synced is empty. Only syncs of this process are seen, by `os.fsync`: those of libraries count for nothing.

Belongs here: what is on the disk. Does not: what must hold then (`play.py`), every other way to forget
(`tests/support/power_cuts.py`).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

from pipeline.lake.lake import Lake
from tests.scenarios.stage import Stage, real_stage

Names = dict[str, os.stat_result]


@dataclass
class SyncedDisk:
    """What is on the disk of a folder: contents of files and names in folders, by inode."""

    root: Path
    contents: dict[int, bytes] = field(default_factory=dict)
    names: dict[int, Names] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take all that is there as synced."""
        for path in (self.root, *self.root.rglob("*")):
            self._take(path)

    def sync(self, descriptor: int) -> None:
        """Take what an open file or folder holds, in place of `os.fsync`."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_relative_to(self.root):
            self._take(path)

    def _take(self, path: Path) -> None:
        state = path.stat()
        if stat.S_ISDIR(state.st_mode):
            self.names[state.st_ino] = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(path)}
        else:
            self.contents[state.st_ino] = path.read_bytes()

    def cut_power(self) -> None:
        """Leave in the folder what is on the disk, and open the lake as the next process does."""
        names = self.names[self.root.stat().st_ino]
        for entry in self.root.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self._put_down(self.root, names)
        self.contents, self.names = {}, {}
        self.__post_init__()
        Lake.open(self.root, mode=0o640, recorded={})

    def _put_down(self, folder: Path, names: Names) -> None:
        for name, state in names.items():
            path = folder / name
            if stat.S_ISDIR(state.st_mode):
                path.mkdir()
                self._put_down(path, self.names.get(state.st_ino, {}))
            else:
                path.write_bytes(self.contents.get(state.st_ino, b""))
            path.chmod(stat.S_IMODE(state.st_mode))


@contextmanager
def forgetful_stage() -> Iterator[Stage]:
    """Open a new lake on such a disk."""
    with real_stage() as stage:
        disk = SyncedDisk(stage.lake.folder)
        with patch.object(os, "fsync", disk.sync):
            yield replace(stage, cut_power=disk.cut_power)
