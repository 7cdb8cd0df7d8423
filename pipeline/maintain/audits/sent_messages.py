"""Audits of `sent_messages`: how many records of the sent logs were rejected."""

from __future__ import annotations

from typing import Final

from pipeline.maintain.audits.context import AuditContext
from pipeline.maintain.audits.finding import Finding, finding_of
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES

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
