"""What an audit works with, a private database that shows the lake's tables, and what it returns, a finding.

Belongs here: reading tables and running queries of `sql/checks/`. Does not: what is bad (the audits).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import duckdb

from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.queries import Scalar, database, query, show_files, used_in
from pipeline.lake.snapshots import rows_in
from pipeline.model.phone_numbers import mask_digits
from pipeline.model.settings import Settings
from pipeline.model.tables import Table
from pipeline.publish.contents import insert_rows
from pipeline.publish.reading import PUBLISHED, attached_published

WORDS: Final = "words"
"""Column of a bad row that says what is wrong in a sentence, which `run` prints."""
_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Finding:
    """What an audit found, without personal data.

    If it did not pass and `is_severe`, that is an error: figures are wrong or work stands still; else a warning.
    """

    passed: bool
    is_severe: bool
    figures: Mapping[str, int | float]
    examples: Sequence[Mapping[str, object]] = ()


def finding_of(bad: Sequence[Mapping[str, object]], figures: Mapping[str, int | float], *, is_severe: bool) -> Finding:
    """Return the finding for an audit's bad rows."""
    examples = [{name: _masked(name, value) for name, value in row.items()} for row in bad[:_EXAMPLES]]
    return Finding(passed=not bad, is_severe=is_severe, figures=figures, examples=examples)


def _masked(column: str, value: object) -> object:
    """Mask long numbers in `value`, the sender of a roll-up, which may be a phone number."""
    return mask_digits(value) if column == "value" and isinstance(value, str) else value


@dataclass(frozen=True)
class AuditContext:
    """What the audits of one run share: its days, in order, and what is read, as of the first time that an audit asks.

    Attributes:
        opened: what is closed after the last audit.
        attached: names of the databases that are attached.
    """

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    settings: Settings
    now: datetime
    days: Sequence[date]
    opened: ExitStack
    attached: set[str] = field(default_factory=set)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)

    def snapshot(self, table: Table) -> Snapshot:
        """Return a table as of the first time that an audit asks for it."""
        if table.name not in self.snapshots:
            self.snapshots[table.name] = self.lake.snapshot(table)
        return self.snapshots[table.name]

    def show(self, table: Table, days: Collection[date | None]) -> int:
        """Make some partitions of a table readable under its name; return their rows."""
        files = self.snapshot(table).of(days)
        show_files(self.connection, table, files)
        return rows_in(files)

    def attach_published(self) -> None:
        """Attach a copy of the published file as `published`, unless an audit has.

        Raises:
            SettingsError, LakeError, duckdb.Error: as for `attached_published`.
        """
        if PUBLISHED not in self.attached:
            self.opened.enter_context(attached_published(self.connection, self.lake, self.settings))
            self.attached.add(PUBLISHED)

    def fill(self, name: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Make rows readable as a table that queries name; `columns` are names and types."""
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})")
        insert_rows(self.connection, name, rows)

    def bad_rows(self, name: str, **parameters: Scalar) -> list[dict[str, Any]]:
        """Run a query of `sql/checks/`; return its rows by column. Parameters that it does not name are left out."""
        select = query(f"maintain/sql/checks/{name}")
        result = self.connection.execute(select, used_in(select, parameters))
        columns = [column[0] for column in result.description or []]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


@contextmanager
def opened_context(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> Iterator[AuditContext]:
    """Give the context for the audits of a run over some days; of days that were dropped nothing is left to audit."""
    first = kept_days(lake).messages
    with database(lake, settings) as connection, ExitStack() as opened:
        yield AuditContext(connection, lake, settings, now, sorted(day for day in days if day >= first), opened)
