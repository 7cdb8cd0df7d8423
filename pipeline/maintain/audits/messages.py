"""Audits of `sent_messages` and `messages`: few records are rejected, and each sent message is there once."""

from __future__ import annotations

from typing import Final

from pipeline.lake.snapshots import is_derived, rows_in
from pipeline.maintain.audits.context import AuditContext
from pipeline.maintain.audits.finding import Finding, finding_of
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, REJECTED_RECORDS, SENT_MESSAGES

REJECTED_SHARE: Final = 0.01
"""Largest share of a day's records that may be rejected."""
REJECTED_SHARE_SEVERE: Final = 0.10
REJECTED_FEWEST: Final = 5
"""Fewer rejects are no pattern yet."""


def rejected_share(context: AuditContext) -> Finding:
    """Few records of the sent logs are rejected."""
    days = [*context.days, None]
    stored, rejected = context.show(SENT_MESSAGES, context.days), context.show(REJECTED_RECORDS, days)
    bad = context.bad_rows("rejected_share", bound=REJECTED_SHARE, fewest=REJECTED_FEWEST)
    worst = max((float(row["share"]) for row in bad), default=0.0)
    figures = {
        "stored": stored,
        "rejected": rejected,
        "days_over_bound": len(bad),
        "worst_share": worst,
        "bound": REJECTED_SHARE,
    }
    return finding_of(bad, figures, is_severe=worst > REJECTED_SHARE_SEVERE)


def each_message_once(context: AuditContext) -> Finding:
    """Every sent message is one row of `messages`."""
    target, sent, reports = (context.snapshot(table) for table in (MESSAGES, SENT_MESSAGES, DELIVERY_REPORTS))
    days = [day for day in context.days if is_derived(target, (*sent.of([day]), *reports.of([day])), day)]
    bad = []
    for day in days:  # one at a time, to bound memory
        context.show(SENT_MESSAGES, [day])
        context.show(MESSAGES, [day])
        bad += context.bad_rows("each_message_once")
    figures = {
        "messages": rows_in(target.of(days)),
        "days_under_way": len(context.days) - len(days),
        "bad_messages": len(bad),
    }
    return finding_of(bad, figures, is_severe=True)
