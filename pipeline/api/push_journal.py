"""Pushed reports on the disk: lines of JSON, one file per hour and process, until a run has read them.

What belongs here: appending lines that are safe once `store` returns, names of the files. What does not: what a line
says (`pushes.py`), reading the files (`collect/pushed_reports.py`).

Lines that wait are written together and synced once (group commit). A file in which a write failed is never written
again: what is behind its last whole line was answered by nobody. The writer holds a lock on its file, which the system
frees when the process dies; who reads deletes a file only with that lock.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

MOST_WAITING: Final = 32 * 2**20
"""Bytes of lines that wait for the disk; what comes then is not taken."""


class CannotStoreError(Exception):
    """A report can't be stored now; nothing of it counts as taken."""


class HourFile:
    """The file that this process appends to; a new one each hour, and after each error."""

    def __init__(self, folder: Path, *, mode: int, now: Callable[[], datetime]) -> None:
        """Open nothing yet."""
        self._folder, self._mode, self._now = folder, mode, now
        self._descriptor: int | None = None
        self._path = folder
        self._hour = ""
        self._stored = 0
        self._turn = threading.Lock()

    def append(self, lines: bytes) -> None:
        """Return once whole lines are on the disk.

        Raises:
            OSError: they are not, or not for certain.
        """
        with self._turn:
            descriptor = self._opened()
            try:
                rest = memoryview(lines)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                self._abandon()
                raise
            self._stored += len(lines)

    def close_if_over(self) -> None:
        """Close the file if its hour is over, so that it can be deleted once it was read."""
        with self._turn:
            if self._hour != _hour_of(self._now()):
                self._close()

    def close(self) -> None:
        """Close the file; its lock goes with it."""
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        hour = _hour_of(self._now())
        if self._descriptor is not None and hour == self._hour and self._is_there(self._descriptor):
            return self._descriptor
        self._close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / f"pushed-{hour}-{uuid.uuid4().hex[:12]}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor, self._hour, self._stored = os.open(self._path, flags, self._mode), hour, 0
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(self._descriptor, self._mode)
            _sync_folder(self._folder)
        except OSError:
            self._abandon()
            raise
        return self._descriptor

    def _is_there(self, descriptor: int) -> bool:
        """Say whether the file still has its name: what is written to a deleted one is lost."""
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except OSError:
            return False

    def _abandon(self) -> None:
        self._close()
        if not self._stored:
            self._path.unlink(missing_ok=True)


class Journal:
    """Takes lines of many requests at once and stores them together."""

    def __init__(self, file: HourFile) -> None:
        """Start with nothing waiting."""
        self._file = file
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self.fails = False
        """Whether the last attempt to store failed."""

    async def store(self, lines: bytes) -> None:
        """Return once the lines are on the disk.

        Raises:
            CannotStoreError: they are not.
        """
        if self._bytes + len(lines) > MOST_WAITING:
            raise CannotStoreError("too much waits for the disk")
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, stored))
        self._bytes += len(lines)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await stored

    async def tend(self) -> None:
        """Close the file of an hour that is over, unless something is being written."""
        if self._writer is None or self._writer.done():
            await asyncio.to_thread(self._file.close_if_over)

    def close(self) -> None:
        """Close the file, once no request waits."""
        self._file.close()

    async def _write(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            error: Exception | None = None
            try:
                await asyncio.to_thread(self._file.append, b"".join(lines for lines, _ in taken))
            except OSError as failure:
                error = CannotStoreError(failure.strerror or "the disk refuses")
            self.fails = error is not None
            self._bytes -= sum(len(lines) for lines, _ in taken)
            for _, stored in taken:
                if not stored.done():
                    stored.set_exception(error) if error else stored.set_result(None)


def _hour_of(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%HZ}"


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
