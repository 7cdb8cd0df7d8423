"""Damage of a Delta log that Delta itself reads as fewer rows, or reports without the table: found before it is read.

Belongs here: what is wrong with a log, in one line each. Does not: putting it right (`maintain/repair.py`).

Delta reads an entry that a power cut left empty as one that changed nothing, and can't tell that the newest entry has
gone. So the log's files are looked at first: each version is there and ends as it was written, the checkpoint that is
named is there, and the newest version is not older than the one that was noted (`versions.py`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.log_entries import LAST_CHECKPOINT, LOG, entry_path
from pipeline.lake.snapshots import DataFile
from pipeline.lake.versions import Noted
from pipeline.model.errors import LakeError

REMEDY: Final = "run `sms-delivery repair`"
_TAIL_BYTES: Final = 65_536
"""Longer than the last line of any entry, which is that of a schema or of a commit."""
_ENTRY: Final = re.compile(r"([0-9]{20})\.json")
_CHECKPOINT: Final = re.compile(r"([0-9]{20})\.checkpoint\.parquet")
_PARQUET_MARK: Final = b"PAR1"


class DamagedTableError(LakeError):
    """A table of the lake lost a part of its log."""


@dataclass(frozen=True)
class LogFiles:
    """The files of a table's log: versions with an entry, versions with a checkpoint, the version of the last one.

    Attributes:
        named: version that `_last_checkpoint` names; None without that file, -1 if it can't be read.
    """

    log: Path
    entries: frozenset[int]
    checkpoints: frozenset[int]
    named: int | None

    @classmethod
    def of(cls, folder: Path) -> LogFiles:
        """List the log of a table's folder."""
        log = folder / LOG
        names = [path.name for path in log.iterdir()] if log.is_dir() else []
        return cls(log, _versions(names, _ENTRY), _versions(names, _CHECKPOINT), _named_checkpoint(log))

    @property
    def newest(self) -> int:
        """Newest version of which there is a file; -1 if there is none."""
        return max(self.entries | self.checkpoints, default=-1)

    @property
    def first_needed(self) -> int:
        """First version whose entry is read: the one after the newest checkpoint, else 0."""
        return max(self.checkpoints, default=-1) + 1

    def checkpoint_path(self, version: int) -> Path:
        """Return the path of a version's checkpoint."""
        return self.log / f"{version:020}.checkpoint.parquet"


def _versions(names: list[str], pattern: re.Pattern[str]) -> frozenset[int]:
    return frozenset(int(found[1]) for name in names if (found := pattern.fullmatch(name)))


def _named_checkpoint(log: Path) -> int | None:
    try:
        return int(json.loads((log / LAST_CHECKPOINT).read_bytes())["version"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError):
        return -1


def log_damage(files: LogFiles, noted: Noted | None, *, sound_up_to: int = -1) -> Iterator[str]:
    """Yield what is wrong with a log, one line each that names the file.

    `sound_up_to` is a version up to which the entries were found whole before.
    """
    if files.named is not None and files.named not in files.checkpoints:
        yield f"{files.log / LAST_CHECKPOINT} names a checkpoint that is missing"
    newest_checkpoint = files.first_needed - 1
    if newest_checkpoint > sound_up_to and (wrong := checkpoint_damage(files.checkpoint_path(newest_checkpoint))):
        yield wrong
    for version in range(files.first_needed, max(files.newest, noted.version if noted else -1) + 1):
        path = entry_path(files.log, version)
        if version not in files.entries:
            yield f"{path} is missing"
        elif version > sound_up_to and (wrong := entry_damage(path)):
            yield wrong
    if files.newest < 0 and not noted:
        yield f"{files.log} has no entry"


def entry_damage(path: Path) -> str | None:
    """Return what is wrong with an entry; None if it is whole: it starts or ends with who wrote it."""
    try:
        head, tail = _ends_of(path, len(_WRITER), _TAIL_BYTES)
    except FileNotFoundError:
        return f"{path} is missing"
    if not tail:
        return f"{path} is empty"
    lines = tail.splitlines()
    if not lines[-1].strip(b"\0"):
        return f"{path} is filled with zeros"
    if not _is_object(lines[-1]) or not (head == _WRITER or lines[-1].startswith(_WRITER)):
        return f"{path} is cut"
    if path.name == entry_path(path.parent, 0).name and _SCHEMA not in tail:
        return f"{path} is cut"
    return None


_SCHEMA: Final = b'{"metaData":'
_WRITER: Final = b'{"commitInfo"'


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def checkpoint_damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint; None if it is a Parquet file to its end."""
    try:
        head, tail = _ends_of(path, len(_PARQUET_MARK), len(_PARQUET_MARK))
    except FileNotFoundError:
        return f"{path} is missing"
    if not tail:
        return f"{path} is empty"
    return None if head == tail == _PARQUET_MARK else f"{path} is cut"


def _ends_of(path: Path, first: int, last: int) -> tuple[bytes, bytes]:
    """Read the first and the last bytes of a file."""
    with path.open("rb") as file:
        head = file.read(first)
        file.seek(max(0, file.seek(0, os.SEEK_END) - last))
        return head, file.read()


def data_damage(file: DataFile) -> str | None:
    """Return what is wrong with a data file by its size in the log; None if it is there and as long as it was."""
    try:
        size = file.path.stat().st_size
    except FileNotFoundError:
        return f"{file.path} is missing"
    return None if size == file.size else f"{file.path} has {size:,} bytes in place of {file.size:,}"


def footer_damage(file: DataFile) -> str | None:
    """Return what is wrong with a data file by its footer, too: its rows are those that the log names."""
    if wrong := data_damage(file):
        return wrong
    try:
        rows = pq.read_metadata(file.path).num_rows
    except (OSError, pa.ArrowException) as error:
        return f"{file.path} can't be read: {error}"
    return None if rows == file.rows else f"{file.path} has {rows:,} rows in place of {file.rows:,}"
