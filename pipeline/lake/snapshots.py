"""A table of the lake at one version: its files, and which inputs a partition was derived from.

What belongs here: values that describe files and versions. What does not: reading or writing the Delta log
(`delta_log.py`), changing a table (`lake.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final

from deltalake import DeltaTable

from pipeline.model.tables import Table

_63_BITS: Final = 2**63 - 1
_COMPACTED: Final = re.compile(r"-for-([0-9a-f]{16})\.parquet$")


@dataclass(frozen=True)
class DataFile:
    """A Parquet file that is part of a table, or is about to be.

    Attributes:
        path: absolute path.
        sent_date: its partition; None for rows without a date.
        rows: number of rows.
        size: bytes.
        latest: greatest `observed_at` in UTC; None if the table has no such column or the Delta log lacks it.
        added_ms: when it was added to its table, in Unix milliseconds of the writer's clock; 0 before that.
        maxima: greatest values of the table's `told_maxima`, in their order; None if the Delta log lacks them.
    """

    path: Path
    sent_date: date | None
    rows: int
    size: int
    latest: datetime | None = None
    added_ms: int = 0
    maxima: tuple[int, ...] | None = None

    @property
    def fingerprint(self) -> int:
        """63 bits that identify the rows: a hash of the name, or for a compacted file the one in its name."""
        compacted = _COMPACTED.search(self.path.name)
        if compacted:
            return int(compacted[1], 16)
        return int.from_bytes(hashlib.blake2b(self.path.name.encode(), digest_size=8).digest()) & _63_BITS


@dataclass(frozen=True)
class Snapshot:
    """A table at one version: what readers read, and what a commit starts from."""

    table: Table
    version: int
    files: tuple[DataFile, ...]
    handle: DeltaTable = field(repr=False)

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return rows_in(self.files)

    @property
    def latest(self) -> datetime | None:
        """Greatest `observed_at` of all files."""
        return max((file.latest for file in self.files if file.latest), default=None)

    def days(self) -> list[date]:
        """Return the partitions that have files, in order, without the one of rows without a date."""
        return sorted({file.sent_date for file in self.files if file.sent_date})

    def of(self, days: Collection[date | None]) -> list[DataFile]:
        """Return the files of some partitions."""
        return [file for file in self.files if file.sent_date in days]

    def transaction(self, name: str) -> int | None:
        """Return the version of an application transaction; None if there was none."""
        version = self.handle.transaction_version(name)
        return None if version is None else int(version)


def rows_in(files: Iterable[DataFile]) -> int:
    """Return the number of rows of some files."""
    return sum(file.rows for file in files)


def fingerprint_of(files: Iterable[DataFile]) -> int:
    """Return 63 bits that identify the rows of some files; compacting the files does not change it."""
    return sum(file.fingerprint for file in files) & _63_BITS


def compacted_name(name: str, replaced: Iterable[DataFile]) -> str:
    """Return the name of a file that holds the rows of others, with their fingerprint."""
    return f"{name}-for-{fingerprint_of(replaced):016x}"


def inputs_key(table: Table, day: date) -> str:
    """Name the application transaction whose version is the fingerprint of a derived partition's inputs."""
    return f"{table.name}/{day}"


def is_derived(target: Snapshot, inputs: Iterable[DataFile], day: date) -> bool:
    """Say whether a partition of `messages` or of a rate table was derived from exactly these files."""
    return target.transaction(inputs_key(target.table, day)) == fingerprint_of(inputs)
