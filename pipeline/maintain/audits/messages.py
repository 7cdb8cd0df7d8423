"""Audits of `messages`: each sent message is there once."""

from __future__ import annotations

from pipeline.lake.snapshots import is_derived, rows_in
from pipeline.maintain.audits.context import AuditContext
from pipeline.maintain.audits.finding import Finding, finding_of
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES


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
