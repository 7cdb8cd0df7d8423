"""Files of pushed reports: which there are, their whole lines, what is over and done with.

What belongs here: bytes of the files that `sms-delivery listen` writes. What does not: storing reports
(`pushed_reports.py`), writing the files (`api/push_journal.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final

import msgspec

from pipeline.collect.files import RESTING_TIME

_NAME: Final = re.compile(r"pushed-(\d{8}T\d{2})Z-[0-9a-f]+\.jsonl")
MOST_BYTES: Final = 16 * 2**20
"""Bytes of lines read at a time: about 50,000 reports."""


@dataclass(frozen=True)
class PushFile:
    """A file of pushed reports as it was listed.

    Attributes:
        hour: start of the hour in its name.
    """

    path: Path
    hour: datetime
    size: int
    changed_at: datetime

    def is_over(self, now: datetime) -> bool:
        """Say whether its hour ended some time ago, and it has not changed since: nobody writes to it any more."""
        return self.hour + timedelta(hours=1) + RESTING_TIME <= now and self.changed_at + RESTING_TIME <= now


@dataclass(frozen=True)
class Lines:
    """Whole lines of a file: their bytes, the offset behind them, whether the last one has no end and never gets it."""

    texts: list[bytes]
    end: int
    is_cut: bool = False


def push_files(folder: Path | None) -> list[PushFile]:
    """List the files of a folder, oldest first; links and other names are left alone."""
    found: list[PushFile] = []
    for path in sorted(folder.iterdir()) if folder and folder.is_dir() else ():
        if name := _NAME.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):
                state = path.lstat()
                if S_ISREG(state.st_mode):
                    hour = datetime.strptime(f"{name[1]}+0000", "%Y%m%dT%H%z")
                    found.append(PushFile(path, hour, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC)))
    return found


def lines_of(file: PushFile, offset: int, *, now: datetime) -> Iterator[Lines]:
    """Yield the lines behind an offset, some at a time. A last line without its end is left until the file is over."""
    with file.path.open("rb") as stream:
        while True:
            stream.seek(offset)
            read = stream.read(MOST_BYTES)
            whole, _, rest = read.rpartition(b"\n")
            if whole or read.startswith(b"\n"):
                offset += len(read) - len(rest)
                yield Lines(whole.split(b"\n"), offset)
            elif len(read) == MOST_BYTES or (read and file.is_over(now)):  # no line is that long
                offset += len(read)
                yield Lines([read], offset, is_cut=True)
            else:
                return


def line_number(file: PushFile, offset: int) -> int:
    """Return the number of the line that starts at an offset, from 1."""
    lines = 1
    with file.path.open("rb") as stream:
        while offset > 0 and (read := stream.read(min(offset, MOST_BYTES))):
            lines += read.count(b"\n")
            offset -= len(read)
    return lines


def delete_if_done(file: PushFile, read_up_to: int, *, now: datetime) -> bool:
    """Delete a file that is over and was read to its end, unless a process holds it open for writing."""
    if not file.is_over(now):
        return False
    with contextlib.suppress(OSError), file.path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(stream.fileno()).st_size <= read_up_to:
            file.path.unlink()
            return True
    return False


def rewrite_lines(file: PushFile, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> int:
    """Change lines in their place, each as long as before, filled up with blanks; return how many changed.

    `change` returns the changed line, or None. A line may only get shorter. Whoever appends to the file may go on.
    """
    changed, offset = 0, 0
    with file.path.open("r+b") as stream:
        for text in stream:
            new = _changed(text, change)
            if new is not None:
                os.pwrite(stream.fileno(), new.ljust(len(text) - 1), offset)
                changed += 1
            offset += len(text)
        if changed:
            os.fsync(stream.fileno())
    return changed


def _changed(text: bytes, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> bytes | None:
    try:
        line = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    new = change(line) if text.endswith(b"\n") and isinstance(line, dict) else None
    if new is None:
        return None
    written = msgspec.json.encode(new)
    return written if len(written) < len(text) else b""  # written by another hand, so as to be longer: better no line
