"""Audits of `sent_messages` and `messages`: few records are rejected, and each sent message is there once."""

from __future__ import annotations

from typing import Final

from pipeline.lake.snapshots import is_derived, rows_in
from pipeline.maintain.audits.context import AuditContext, Finding, finding_of
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, REJECTED_RECORDS, SENT_MESSAGES

REJECTED_SHARE: Final = 0.01
"""Largest share of a day's records that may be rejected."""
REJECTED_SHARE_SEVERE: Final = 0.10
REJECTED_FEWEST: Final = 5
"""Fewer rejects are no pattern yet."""


def rejected_share(context: AuditContext) -> Finding:
    """At most 1 % of each day's log records are rejected (warning; more than 10 %: error).

    If it fails: `reason` in `rejected_records` says what is wrong with which line. Fix the log or what writes it; the
    next run reads the file again.
    """
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
    """Each sent message is one row of `messages` (else error).

    If it fails: `sms-delivery rebuild --from DAY --to DAY`; if `sent_messages` itself has a message twice, report a
    bug.
    """
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
