"""The ready-made views of the published file: name, what a row is, formula, columns.

What belongs here: the texts, which become comments in DuckDB and a part of `docs/tables.md`; they are in `views.toml`.
What does not: the queries (`pipeline/publish/sql/views/NAME.sql`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final


@dataclass(frozen=True)
class View:
    """A view: its name, what a row is and by which formula, and the meaning of each column."""

    name: str
    row: str
    columns: dict[str, str]


def _read_views() -> tuple[View, ...]:
    texts = tomllib.loads(files("pipeline.model").joinpath("views.toml").read_text("utf-8"))

    def view(name: str, entry: dict[str, Any]) -> View:
        meanings = texts["columns"] | entry.get("meanings", {})
        columns = {column: meanings[column] for column in entry["columns"]}
        return View(name, entry["row"].replace("{rates}", texts["rates"]), columns)

    return tuple(view(name, entry) for name, entry in texts["views"].items())


VIEWS: Final = _read_views()
