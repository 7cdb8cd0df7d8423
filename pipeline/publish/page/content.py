"""The rows that the page shows, read from the published DuckDB file, with labels for people.

Belongs here: queries of `sql/page/`, labels, sums of the rest. Does not: HTML (`document.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from pipeline.lake.queries import Scalar, query
from pipeline.model.settings import API_MEMORY

Row = dict[str, Any]

DAYS_AT_MOST: Final = 400
"""Limit of days on the page."""
SPAN_DAYS: Final = 28
"""Days that headline, countries, senders and failures cover."""
NAMES_AT_MOST: Final = 250
"""Limit of rows by name: enough for all countries, and for the largest senders."""
BARS_AT_MOST: Final = 15
CHANGES: Final = {"days": 7, "messages_at_least": 250, "at_most": 12}
"""Which changes are shown; the view worst_movers compares buckets of at least 250 messages."""
_COUNTS: Final = ("sent", "delivered", "failed", "outstanding", "unknown", "invalid_id")


@dataclass(frozen=True)
class PageContent:
    """The rows that the page shows, each from the query of that name in `sql/page/`."""

    as_of: Row
    headline: Row
    days: Sequence[Row]
    countries: Sequence[Row]
    senders: Sequence[Row]
    backlog: Sequence[Row]
    failures: Sequence[Row]
    changes: Sequence[Row]
    rejected: Sequence[Row]


def read_content(connection: duckdb.DuckDBPyConnection) -> PageContent:
    """Read everything from the published file.

    Raises:
        duckdb.Error: it can't be read.
    """

    def rows(name: str, **parameters: Scalar) -> list[Row]:
        result = connection.execute(query(f"publish/sql/page/{name}"), parameters)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    (as_of,), (headline,) = rows("as_of"), rows("headline", days=SPAN_DAYS, memory_days=API_MEMORY.days)
    return PageContent(
        as_of=as_of,
        headline=headline,
        days=rows("days", days_at_most=DAYS_AT_MOST),
        countries=distinct(rows("countries", days=SPAN_DAYS)),
        senders=distinct(rows("senders", days=SPAN_DAYS)),
        backlog=rows("backlog"),
        failures=distinct(rows("failures", days=SPAN_DAYS, at_most=NAMES_AT_MOST)),
        changes=distinct(rows("changes", days=CHANGES["days"], at_most=CHANGES["at_most"])),
        rejected=rows("rejected"),
    )


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Number repeated labels: a chart would draw rows of one label at one place."""
    numbered: dict[str, Row] = {}
    for row in rows:
        label, number = row["label"], 1
        while label in numbered:
            number += 1
            label = f"{row['label']} ({number})"
        numbered[label] = {**row, "label": label}
    return list(numbered.values())


def with_others(rows: Sequence[Row], at_most: int) -> list[Row]:
    """Keep the first rows and sum the others to one row; its rates are of the summed counts."""
    if len(rows) <= at_most:
        return list(rows)
    kept, rest = list(rows[: at_most - 1]), rows[at_most - 1 :]
    counts = {name: sum(row[name] for row in rest) for name in _COUNTS}
    final = counts["delivered"] + counts["failed"]
    was_asked = any(row["delivery_rate"] is not None for row in rest)
    others = {
        "label": f"{len(rest)} others",
        **counts,
        "delivery_rate": counts["delivered"] / counts["sent"] if was_asked else None,
        "delivery_rate_final": counts["delivered"] / final if final else None,
        "is_mature": all(row["is_mature"] for row in rest),
    }
    return distinct([*kept, others])
