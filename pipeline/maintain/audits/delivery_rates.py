"""Audits of the rate tables: their counts agree with `messages`, latencies are plausible, no delivery rate fell."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from math import ceil
from typing import TYPE_CHECKING, Final

from pipeline.lake.snapshots import is_derived
from pipeline.maintain.audits.context import WORDS, AuditContext, Finding, finding_of
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, MESSAGES, RATE_TABLES
from pipeline.publish.contents import view_select

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

RATE_DROP: Final = 0.05
"""Drop of the rate of final messages, in 0 to 1, that counts."""
RATE_DEVIATIONS: Final = 4.0
"""Standard errors that a drop must exceed: chance exceeds them in one of thirty runs over a thousand senders."""
RATE_FEWEST: Final = 100
"""Fewer final messages are not compared."""
RATE_DAYS: Final = 2
RATE_BASELINE_DAYS: Final = 28
MOVERS_DAYS: Final = 7
"""Latest days of the view worst_movers that are looked at; it has mature days only."""

LATENCY_FEWEST: Final = 100
"""Days with fewer delivered messages are not judged."""
LATENCY_SHORTEST: Final = timedelta(seconds=-60)
"""Clocks may differ by this much."""
LATENCY_LONGEST: Final = timedelta(hours=24)
_QUARTER: Final = timedelta(minutes=15)
_WESTERNMOST, _EASTERNMOST = timedelta(hours=-12), timedelta(hours=14)


def states_sum_to_sent(context: AuditContext) -> Finding:
    """In every bucket the seven states sum to `sent`, and each rate table counts every message of a day (else error).

    If it fails: `sms-delivery rebuild --from DAY --to DAY`.
    """
    tables = [context.snapshot(table) for table in RATE_TABLES]
    messages = context.snapshot(MESSAGES)
    days = [day for day in context.days if all(is_derived(table, messages.of([day]), day) for table in tables)]
    buckets = sum(context.show(table, days) for table in RATE_TABLES)
    counted = context.show(MESSAGES, days)
    bad = context.bad_rows("states_sum_to_sent")
    figures = {
        "messages": counted,
        "buckets": buckets,
        "days_under_way": len(context.days) - len(days),
        "bad_sums": len(bad),
    }
    return finding_of(bad, figures, is_severe=True)


def latency_plausible(context: AuditContext) -> Finding:
    """No day with at least 100 delivered messages has a median latency under -60 s or over 24 hours (else warning).

    If it fails, times of the sent log are read wrongly: the row says which day, and which offset
    `SMS_SENT_LOG_TIMEZONE` should have. Set it; the next run corrects the messages.
    """
    context.show(DELIVERY_ROLLUPS_DAILY, context.days)
    rows = context.bad_rows(
        "latency_plausible",
        fewest=LATENCY_FEWEST,
        shortest=LATENCY_SHORTEST.total_seconds(),
        longest=LATENCY_LONGEST.total_seconds(),
    )
    zone = context.settings.sent_log_timezone
    bad = [{WORDS: latency_words(**row, zone=zone), **row, "sent_date": str(row["sent_date"])} for row in rows]
    return finding_of(bad, {"days": len(context.days), "days_implausible": len(bad)}, is_severe=False)


def latency_words(sent_date: date, delivered: int, latency_p50_seconds: float, zone: ZoneInfo) -> str:
    """Say that a day's median latency can't be right, and which offset of `SMS_SENT_LOG_TIMEZONE` would make it so.

    The offset is the one, in quarters of an hour, that makes the median the shortest possible.
    """
    found = (
        f"{sent_date}: the median latency of {delivered:,} delivered messages is {latency_p50_seconds:,.0f} s, "
        "which can't be right"
    )
    offset = datetime.combine(sent_date, time(12), zone).utcoffset() or timedelta()
    shift = _QUARTER * ceil((LATENCY_SHORTEST.total_seconds() - latency_p50_seconds) / _QUARTER.total_seconds())
    if not _WESTERNMOST <= offset + shift <= _EASTERNMOST:
        return (
            f"{found}; no SMS_SENT_LOG_TIMEZONE would make it plausible: look how the sent log writes times "
            "(day and month swapped?)"
        )
    return (
        f"{found}; SMS_SENT_LOG_TIMEZONE is {zone.key} ({_written(offset)} then), and {_written(offset + shift)} "
        "would make it plausible: set the zone in which the sent log writes times without an offset"
    )


def _written(offset: timedelta) -> str:
    minutes = abs(offset) // timedelta(minutes=1)
    return f"UTC{'-' if offset < timedelta() else '+'}{minutes // 60:02}:{minutes % 60:02}"


def delivery_rate_held(context: AuditContext) -> Finding:
    """No app, country or sender delivers clearly worse (5 points, more than chance) on the last two days than in the 28
    days before, and `worst_movers` shows no drop of a mature day in the last week (else warning).

    If it fails: ask the platform about the route and look at the sender's texts; `delivery_by_country` and
    `delivery_by_sender` show more.
    """  # noqa: D205 - its first sentence is longer than a line
    # young days are compared by their final messages, mature days by the view worst_movers
    recent = context.snapshot(DELIVERY_ROLLUPS_DAILY).days()
    days = [day for day in recent if (recent[-1] - day).days < RATE_DAYS + RATE_BASELINE_DAYS + MOVERS_DAYS]
    context.show(DELIVERY_ROLLUPS_DAILY, days)
    context.connection.execute(f"CREATE OR REPLACE TEMP VIEW worst_movers AS {view_select('worst_movers')}")
    movers = context.bad_rows("worst_movers_dropped", days=MOVERS_DAYS)
    fallen = context.bad_rows(
        "delivery_rate_held",
        days=RATE_DAYS,
        baseline_days=RATE_BASELINE_DAYS,
        bound=RATE_DROP,
        deviations=RATE_DEVIATIONS,
        fewest=RATE_FEWEST,
    )
    bad = [*fallen, *movers]
    worst = max((float(row["drop_of"]) for row in bad), default=0.0)
    figures = {
        "days_compared": len(days),
        "buckets_that_dropped": len(fallen),
        "worst_movers_that_dropped": len(movers),
        "worst_drop": worst,
        "bound": RATE_DROP,
    }
    return finding_of(bad, figures, is_severe=False)
