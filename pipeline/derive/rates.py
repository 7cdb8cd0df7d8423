"""Use case: derive the four rate tables from `messages`.

What belongs here: which days are derived, and by which queries. What does not: replacing partitions
(`partitions.py`), what is counted (`sql/rate_measures.sql`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime
from functools import partial
from typing import Final

from pipeline.derive.days import counted_days, days_ended, days_that_differ, rows_by_day
from pipeline.derive.partitions import Derivation, DeriveTally
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake
from pipeline.lake.notes import days_changed, note_rates_derived, note_rates_formula, rates_formula
from pipeline.lake.queries import Scalar, database, literal, query, rows_of, show_files
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, DELIVERY_ROLLUPS_HOURLY, MESSAGES, RATE_TABLES, Table

RATES: Final = "delivery_rates"
"""Name of the step that derives the rate tables."""
ROWS_AT_ONCE: Final = 200_000
"""Messages of days whose rates are derived together: their latencies are in memory until their percentiles are."""
MOST_VALUES: Final = 200
"""Values of a label that are buckets of their own, by day."""
_DIMENSIONS: Final = {"all": "CAST(NULL AS VARCHAR)"} | {name: name for name in ("app_id", "country", "sender_id")}
"""Dimensions of the roll-ups, each with the expression of its value."""
_PUSHED_DIMENSIONS: Final = ("network", "failure_reason")
"""Dimensions of the days on which a message has a value, columns of `messages`."""


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
    even if no message changed. Where another version made the rates by other queries, those of all days are derived
    anew, once. Rates of days whose messages were dropped (`SMS_KEEP_DAYS`) stay as they are. `on_progress` is told the
    days, each done with its last table.

    Raises:
        LakeError: the lake can't be read or written.
    """
    parameters = _parameters(settings, now)
    replaced: set[date] = set()
    with days_changed(lake, [MESSAGES], reader=RATES) as changed, database(lake, settings) as connection:
        counted = Counter({day: of_day.sent for day, of_day in counted_days(connection, lake).items()})
        missing = days_that_differ(rows_by_day(MESSAGES, lake=lake), counted)
        ended = days_ended(lake, settings=settings, now=now)
        formula = _formula()
        is_new = rates_formula(lake) != formula
        outgrown = lake.snapshot(MESSAGES).days() if is_new else []
        first = kept_days(lake).messages
        wanted = sorted(day for day in {*days, *changed, *missing, *ended, *outgrown} if day >= first)
        for earlier, table in enumerate(RATE_TABLES):
            selects = tuple(selects_of(table, settings.sent_log_labels))
            told = partial(_tell_share, on_progress, earlier)
            derivation = Derivation(
                connection,
                lake,
                table,
                (MESSAGES,),
                (),
                selects,
                _outdated(table),
                parameters,
                anew or is_new,
                rows_at_once=ROWS_AT_ONCE,
                on_progress=told,
            )
            replaced |= derivation.replace(wanted)
        note_rates_derived(lake, on=settings.today(now))
        if is_new:
            note_rates_formula(lake, formula)
    return DeriveTally(tuple(wanted), tuple(sorted(replaced)))


def _parameters(settings: Settings, now: datetime) -> dict[str, Scalar]:
    return {
        "now": now,
        "unknown_after_seconds": settings.unknown_after.total_seconds(),
        "zone": settings.timezone.key,
        "today": settings.today(now).isoformat(),
    }


def _formula() -> str:
    """Return a fingerprint of the queries of all rate tables; comments and blanks don't count."""
    queries = "".join(select for table in RATE_TABLES for select in selects_of(table))
    return hashlib.sha256(" ".join(re.sub(r"--.*", "", queries).split()).encode()).hexdigest()


def days_matured(*, lake: Lake, settings: Settings, now: datetime) -> set[date]:
    """Return the days with a bucket that time alone has made mature since the rates were last derived.

    Raises:
        LakeError: the lake can't be read.
    """
    days, found = days_ended(lake, settings=settings, now=now), set[date]()
    if not days:
        return found
    with database(lake, settings) as connection:
        for table in (DELIVERY_ROLLUPS_HOURLY, DELIVERY_ROLLUPS_DAILY):
            show_files(connection, table, lake.snapshot(table).of(days))
            found |= {day for (day,) in rows_of(connection, _outdated(table), _parameters(settings, now))}
    return found


def _tell_share(on_progress: Progress, earlier: int, done: int, days: int) -> None:
    """Tell the days of all rate tables, after `earlier` whole tables and some days of the next one."""
    on_progress((earlier * days + done) // len(RATE_TABLES), days)


def _outdated(table: Table) -> str:
    """Return the query for the days with a bucket that time has made mature, or a clock that was ahead too early.

    Where a message is open, it becomes `unknown` first, and its partition of `messages` changes.
    """
    ended = _ended(table)
    condition = f"(NOT is_mature AND sending + not_found + pending = 0 AND {ended}) OR (is_mature AND NOT {ended})"
    return f"SELECT DISTINCT sent_date FROM {table.name} WHERE {condition}"


def _ended(table: Table) -> str:
    """Return the condition that a bucket's hour or day is over."""
    if "sent_hour" in table.column_names:
        return "epoch_us(sent_hour) + 3600000000 <= epoch_us($now::TIMESTAMPTZ)"
    return "sent_date < $today::DATE"


def selects_of(table: Table, labels: Sequence[str] = ()) -> list[str]:
    """Return the queries that make a rate table's partitions together: one per dimension of a roll-up.

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
    values = _DIMENSIONS | {f"label:{name}": _frequent(f"labels[{literal(name)}]") for name in labels}
    values |= {name: _frequent(name) for name in _PUSHED_DIMENSIONS}
    return [_of_dimension(select, dimension, value) for dimension, value in values.items()]


def _of_dimension(select: str, dimension: str, value: str) -> str:
    is_there = (
        f"sent_date IN (SELECT sent_date FROM messages WHERE {dimension} IS NOT NULL)"
        if dimension in _PUSHED_DIMENSIONS
        else "true"
    )
    filled = {"dimension": literal(dimension), "value": value, "is_there": is_there}
    for name, text in filled.items():
        select = select.replace(f"/* {name} */", text)
    return select


def _frequent(column: str) -> str:
    """Return the expression of a value of many: frequent values as they are, the rest as one."""
    return query("derive/sql/frequent_value").replace("/* column */", column).replace("/* most */", str(MOST_VALUES))
