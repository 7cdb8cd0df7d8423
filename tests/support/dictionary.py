"""The tables and views as Markdown: the generated part of `docs/tables.md`.

What belongs here: the form. What does not: the texts (`tables`, `views`).
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.model.tables import DETAIL_TABLES, RATE_TABLES, SNAPSHOT_INFO, Table
from pipeline.model.views import VIEWS


def dictionary() -> str:
    """Return one section per table and view: what a row is, and its columns."""
    tables = (_table(table) for table in (*DETAIL_TABLES, *RATE_TABLES, SNAPSHOT_INFO))
    views = (_section(view.name, view.row, ("column", "meaning"), view.columns.items()) for view in VIEWS)
    return "\n".join((*tables, *views))


def _table(table: Table) -> str:
    rows = ((column.name, column.type, column.meaning) for column in table.columns)
    return _section(table.name, table.row, ("column", "type", "meaning"), rows)


def _section(name: str, row: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join((f"`{first}`", *rest)) + " |" for first, *rest in rows]
    return f"### `{name}`\n{row}\n\n" + "\n".join(lines) + "\n"
