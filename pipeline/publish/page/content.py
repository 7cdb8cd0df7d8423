"""The rows that the page shows, read from the published DuckDB file, with labels for people.

Belongs here: queries of `sql/page/`, labels, sums of the rest. Does not: HTML (`document.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from pipeline.lake.queries import Scalar, query

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
NOT_KNOWN: Final = "not known"
_COUNTS: Final = ("sent", "delivered", "failed", "outstanding", "unknown", "invalid_id")
_DIMENSIONS: Final = {"app_id": "app", "country": "country", "sender_id": "sender"}
_ISOLATE, _END_ISOLATE = "\u2068", "\u2069"


@dataclass(frozen=True)
class PageContent:
    """The rows that the page shows, each list from the query of that name in `sql/page/`.

    Attributes:
        headline: the row of the query, and the messages outstanding.
    """

    as_of: Row
    headline: Row
    days: Sequence[Row]
    countries: Sequence[Row]
    senders: Sequence[Row]
    backlog: Sequence[Row]
    failures: Sequence[Row]
    changes: Sequence[Row]


def read_content(connection: duckdb.DuckDBPyConnection) -> PageContent:
    """Read everything from the published file.

    Raises:
        duckdb.Error: it can't be read.
    """

    def rows(name: str, **parameters: Scalar) -> list[Row]:
        result = connection.execute(query(f"publish/sql/page/{name}"), parameters)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    (as_of,), (headline,), backlog = rows("as_of"), rows("headline", days=SPAN_DAYS), rows("backlog")
    return PageContent(
        as_of=as_of,
        headline=headline | outstanding(backlog),
        days=rows("days", days_at_most=DAYS_AT_MOST),
        countries=labelled(rows("countries", days=SPAN_DAYS)),
        senders=labelled(rows("senders", days=SPAN_DAYS)),
        backlog=backlog,
        failures=_named_failures(rows("failures", days=SPAN_DAYS, at_most=NAMES_AT_MOST)),
        changes=_named_changes(rows("changes", days=CHANGES["days"], at_most=CHANGES["at_most"])),
    )


def outstanding(backlog: Iterable[Row]) -> Row:
    """Sum the messages that may still get a final answer: all of the backlog that is not `unknown`."""
    waiting = [row for row in backlog if row["status"] != "unknown"]
    return {
        "outstanding": sum(row["messages"] for row in waiting),
        "oldest_outstanding": min((row["oldest_sent_at"] for row in waiting), default=None),
    }


def labelled(rows: Iterable[Row]) -> list[Row]:
    """Give each row a label of its own; a null label becomes `not known`."""
    return distinct({**row, "label": row["label"] or NOT_KNOWN} for row in rows)


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Number repeated labels: a chart would draw rows of one label at one place."""
    seen: set[str] = set()
    numbered = []
    for row in rows:
        label, number = row["label"], 1
        while label in seen:
            number += 1
            label = f"{row['label']} ({number})"
        seen.add(label)
        numbered.append({**row, "label": label})
    return numbered


def with_others(rows: Sequence[Row], at_most: int) -> list[Row]:
    """Keep the first rows and sum the others to one row; its rates are of the summed counts."""
    if len(rows) <= at_most:
        return list(rows)
    kept, rest = list(rows[: at_most - 1]), rows[at_most - 1 :]
    counts = {name: sum(row[name] for row in rest) for name in _COUNTS}
    final = counts["delivered"] + counts["failed"]
    return distinct(
        [
            *kept,
            {
                "label": f"{len(rest)} others",
                **counts,
                "delivery_rate": counts["delivered"] / counts["sent"],
                "delivery_rate_final": counts["delivered"] / final if final else None,
                "is_mature": all(row["is_mature"] for row in rest),
            },
        ]
    )


def _named_failures(rows: Iterable[Row]) -> list[Row]:
    named = []
    for row in rows:
        country, sender = row.pop("country") or NOT_KNOWN, row.pop("sender_id") or NOT_KNOWN
        named.append({**row, "label": f"{country} · {_isolated(sender)}", "country": country, "sender": sender})
    return distinct(named)


def _named_changes(rows: Iterable[Row]) -> list[Row]:
    return distinct({**row, "label": _bucket(row)} for row in rows)


def _bucket(row: Mapping[str, Any]) -> str:
    if row["dimension"] == "all":
        return "all messages"
    return f"{_DIMENSIONS[row['dimension']]} {_isolated(row['value'] or NOT_KNOWN)}"


def _isolated(name: str) -> str:
    """Isolate a name, so that one written from right to left does not reorder its neighbours."""
    return f"{_ISOLATE}{name}{_END_ISOLATE}"
