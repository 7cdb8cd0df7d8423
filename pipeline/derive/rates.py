"""Use case: derive the four rate tables from `messages`.

What belongs here: which days are derived, and by which queries. What does not: replacing partitions
(`partitions.py`), what is counted (`sql/rate_measures.sql`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime
from functools import partial
from typing import Final

from pipeline.derive.days import counted_days, days_ended, days_that_differ, rows_by_day
from pipeline.derive.partitions import Derivation, DeriveTally
from pipeline.lake.lake import Lake
from pipeline.lake.notes import days_changed, note_rates_derived
from pipeline.lake.queries import Scalar, database, literal, query
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings
from pipeline.model.tables import MESSAGES, RATE_TABLES, Table

RATES: Final = "delivery_rates"
"""Name of the step that derives the rate tables."""
MOST_VALUES: Final = 200
"""Values of a label that are buckets of their own, by day."""
_DIMENSIONS: Final = {"all": "CAST(NULL AS VARCHAR)"} | {name: name for name in ("app_id", "country", "sender_id")}
"""Dimensions of the roll-ups, each with the expression of its value."""


def derive_rates(
    days: Collection[date],
    *,
    lake: Lake,
    settings: Settings,
    now: datetime,
    anew: bool = False,
    on_progress: Progress = untold,
) -> DeriveTally:
    """Derive the rate tables of some partitions, and of every other one whose messages changed or that has ended since.

    Silence is judged at `now`, the run's start. Hours are those of `SMS_TIMEZONE`. With `anew` a partition is derived
    even if no message changed. `on_progress` is told the days, each done with its last table.

    Raises:
        LakeError: the lake can't be read or written.
    """
    parameters: dict[str, Scalar] = {
        "now": now,
        "unknown_after_seconds": settings.unknown_after.total_seconds(),
        "zone": settings.timezone.key,
        "today": settings.today(now).isoformat(),
    }
    replaced: set[date] = set()
    with days_changed(lake, [MESSAGES], reader=RATES) as changed, database(lake, settings) as connection:
        counted = Counter({day: of_day.sent for day, of_day in counted_days(connection, lake).items()})
        missing = days_that_differ(rows_by_day(MESSAGES, lake=lake), counted)
        ended = days_ended(lake, settings=settings, now=now)
        wanted = sorted({*days, *changed, *missing, *ended})
        for earlier, table in enumerate(RATE_TABLES):
            selects = tuple(selects_of(table, settings.sent_log_labels))
            told = partial(_tell_share, on_progress, earlier)
            derivation = Derivation(
                connection, lake, table, (MESSAGES,), selects, _outdated(table), parameters, anew, told
            )
            replaced |= derivation.replace(wanted)
        note_rates_derived(lake, on=settings.today(now))
    return DeriveTally(tuple(wanted), tuple(sorted(replaced)))


def _tell_share(on_progress: Progress, earlier: int, done: int, days: int) -> None:
    """Tell the days of all rate tables, after `earlier` whole tables and some days of the next one."""
    on_progress((earlier * days + done) // len(RATE_TABLES), days)


def _outdated(table: Table) -> str:
    """Return the query that finds a bucket which time alone has made mature.

    Where a message is open, it becomes `unknown` first, and its partition of `messages` changes.
    """
    closed = f"sending + not_found + pending = 0 AND {_ended(table)}"
    return f"SELECT 1 FROM {table.name} WHERE NOT is_mature AND {closed} LIMIT 1"


def _ended(table: Table) -> str:
    """Return the condition that a bucket's hour or day is over."""
    if "sent_hour" in table.column_names:
        return "epoch_us(sent_hour) + 3600000000 <= epoch_us($now::TIMESTAMPTZ)"
    return "sent_date < $today::DATE"


def selects_of(table: Table, labels: Sequence[str] = ()) -> list[str]:
    """Return the queries that make a rate table's partition together: one per dimension of a roll-up.

    Args:
        table: a rate table.
        labels: labels that are dimensions.
    """
    select = query(f"derive/sql/{table.name}")
    for part in ("messages_by_hour", "rate_measures"):
        select = select.replace(f"/* {part} */", query(f"derive/sql/{part}"))
    select = select.replace("/* has_ended */", _ended(table))
    if "/* dimension */" not in select:
        return [select]
    return [
        select.replace("/* dimension */", literal(dimension)).replace("/* value */", value)
        for dimension, value in (_DIMENSIONS | {f"label:{name}": _value_of(name) for name in labels}).items()
    ]


def _value_of(label: str) -> str:
    """Return the expression of a label's value: frequent values as they are, the rest as one."""
    return query("derive/sql/label_value").replace("/* name */", literal(label)).replace("/* most */", str(MOST_VALUES))
