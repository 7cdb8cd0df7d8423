"""What an audit works with: a private database that shows the lake's tables, and the days of the run.

Belongs here: reading tables and running queries of `sql/checks/`. Does not: what is bad (the audits).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb

from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.queries import Scalar, database, query, show_files, used_in
from pipeline.lake.snapshots import rows_in
from pipeline.model.settings import Settings
from pipeline.model.tables import Table


@dataclass(frozen=True)
class AuditContext:
    """What the audits of one run share: its days, in order, and tables as of the first time that an audit asks."""

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    settings: Settings
    now: datetime
    days: Sequence[date]
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

    def bad_rows(self, name: str, **parameters: Scalar) -> list[dict[str, Any]]:
        """Run a query of `sql/checks/`; return its rows by column. Parameters that it does not name are left out."""
        select = query(f"maintain/sql/checks/{name}")
        result = self.connection.execute(select, used_in(select, parameters))
        columns = [column[0] for column in result.description or []]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


@contextmanager
def opened_context(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> Iterator[AuditContext]:
    """Give the context for the audits of a run over some days."""
    with database(lake, settings) as connection:
        yield AuditContext(connection, lake, settings, now, sorted(days))
