"""Audits of the rate tables: their counts agree with `messages`, and no delivery rate fell."""

from __future__ import annotations

from typing import Final

from pipeline.lake.queries import query
from pipeline.lake.snapshots import is_derived
from pipeline.maintain.audits.context import AuditContext, Finding, finding_of
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, MESSAGES, RATE_TABLES

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
    context.connection.execute(f"CREATE OR REPLACE TEMP VIEW worst_movers AS {query('publish/sql/views/worst_movers')}")
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
