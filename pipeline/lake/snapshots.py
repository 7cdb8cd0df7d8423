"""A table of the lake at one version: its files, and which inputs a partition was derived from.

What belongs here: values that describe files and versions. What does not: reading or writing the Delta log
(`delta_log.py`), changing a table (`lake.py`).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from deltalake import DeltaTable

from pipeline.model.tables import Table

_63_BITS: Final = 2**63 - 1
_LAYOUT: Final = re.compile(r"part([0-9]+)-")
_COMPACTED: Final = re.compile(r"-for-([0-9a-f]{16})\.parquet$")


@dataclass(frozen=True)
class DataFile:
    """A Parquet file that is part of a table, or is about to be.

    Attributes:
        path: absolute path.
        sent_date: its partition; None for rows without a date.
        rows: number of rows.
        size: bytes.
        added_ms: when it was added to its table, in Unix milliseconds of the writer's clock; 0 before that.
        maxima: maxima of the table's `logged_maxima` by name; those missing in the Delta log are left out.
    """

    path: Path
    sent_date: date | None
    rows: int
    size: int
    added_ms: int = 0
    maxima: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def added_at(self) -> datetime:
        """When it was added to its table; of a file that no version names, when it was written."""
        return datetime.fromtimestamp(self.added_ms / 1000, UTC)

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
        """Maximum of `observed_at` in all files; None if no file has one in the Delta log."""
        return max((file.maxima["observed_at"] for file in self.files if "observed_at" in file.maxima), default=None)

    def latest_by(self, moment: datetime) -> datetime | None:
        """Return the maximum of `observed_at` in the files whose maximum is not after a moment, as `latest` does."""
        found = (file.maxima["observed_at"] for file in self.files if "observed_at" in file.maxima)
        return max((each for each in found if each <= moment), default=None)

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


def new_name(table: Table) -> str:
    """Return a name for a new file of a table; it tells the layout, and so which columns the file has."""
    return f"part{table.layout if table.layout > 1 else ''}-{uuid.uuid4()}"


def layout_of(file: DataFile) -> int:
    """Return the layout of a file."""
    found = _LAYOUT.match(file.path.name)
    return int(found[1]) if found else 1


def compacted_name(name: str, replaced: Iterable[DataFile]) -> str:
    """Return the name of a file that holds the rows of others, with their fingerprint."""
    return f"{name}-for-{fingerprint_of(replaced):016x}"


def inputs_key(table: Table, day: date) -> str:
    """Name the application transaction whose version is the fingerprint of a derived partition's inputs."""
    return f"{table.name}/{day}"


def marks_of(present: Snapshot, remove: Iterable[DataFile]) -> dict[str, int]:
    """Return changed transactions of the days of files that are taken out of a table.

    They are those that a derivation records, so that one under way starts again from what is there then.
    """
    names = {f"{present.table.name}/{file.sent_date}" for file in remove}
    return {name: (present.transaction(name) or 0) ^ 1 for name in sorted(names)}


def is_derived(target: Snapshot, inputs: Iterable[DataFile], day: date) -> bool:
    """Say whether a partition of `messages` or of a rate table was derived from exactly these files."""
    return target.transaction(inputs_key(target.table, day)) == fingerprint_of(inputs)
