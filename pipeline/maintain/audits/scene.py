"""What audits look at, and what they find."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import duckdb

from pipeline.api.responses import mask_digits
from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.queries import Scalar, connect, query, show_files
from pipeline.model.settings import Settings
from pipeline.model.tables import Table

_EXAMPLES: Final = 5


@dataclass(frozen=True)
class Finding:
    """What an audit found.

    Attributes:
        passed: nothing bad was found.
        is_severe: it means that figures are wrong or work stands still; else somebody should look.
        figures: numbers, by name.
        examples: the first bad rows, without personal data.
    """

    passed: bool
    is_severe: bool
    figures: Mapping[str, int | float]
    examples: Sequence[Mapping[str, object]] = ()


@dataclass(frozen=True)
class Scene:
    """What audits look at: a private database with the lake's tables, and the days of the run."""

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
        """Make some partitions of a table readable; return their rows."""
        files = self.snapshot(table).of(days)
        show_files(self.connection, table, files)
        return sum(file.rows for file in files)

    def bad(self, name: str, **parameters: Scalar) -> list[dict[str, Any]]:
        """Run a query of `sql/checks/`; return its rows by column."""
        select = query(f"maintain/sql/checks/{name}")
        result = self.connection.execute(select, {k: v for k, v in parameters.items() if f"${k}" in select})
        heads = [column[0] for column in result.description or []]
        return [dict(zip(heads, row, strict=True)) for row in result.fetchall()]


@contextmanager
def opened_scene(days: Collection[date], *, lake: Lake, settings: Settings, now: datetime) -> Iterator[Scene]:
    """Give what audits look at.

    Args:
        days: days of the run.
        lake: the lake.
        settings: places and bounds of asking.
        now: the instant at which messages are overdue.
    """
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        yield Scene(connection, lake, settings, now, sorted(days))


def judged(bad: Sequence[Mapping[str, object]], figures: Mapping[str, int | float], *, is_severe: bool) -> Finding:
    """Return the finding of an audit's bad rows; the first of them are examples, with long numbers hidden."""
    examples = [
        {
            name: mask_digits(value) if name == "value" and isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in bad[:_EXAMPLES]
    ]
    return Finding(passed=not bad, is_severe=is_severe, figures=figures, examples=examples)
