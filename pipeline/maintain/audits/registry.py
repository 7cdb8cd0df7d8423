"""The list of audits and the asset whose result each checks.

Belongs here: the list. Does not: queries, bounds and words (the modules beside it).
To add an audit: a query in `sql/checks/`, a function in the module of its asset, an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.maintain.audits.account_balance import balance_lasts
from pipeline.maintain.audits.analytics_db import published_file_agrees, schema_as_documented
from pipeline.maintain.audits.context import AuditContext, Finding
from pipeline.maintain.audits.delivery_rates import delivery_rate_held, latency_plausible, states_sum_to_sent
from pipeline.maintain.audits.delivery_reports import answers_reconcile, nothing_overdue
from pipeline.maintain.audits.messages import each_message_once, rejected_share
from pipeline.maintain.audits.platform_record import logs_complete


@dataclass(frozen=True)
class Audit:
    """An audit of an asset's result."""

    asset: str
    run: Callable[[AuditContext], Finding]

    @property
    def description(self) -> str:
        """What holds when it passes, when it is an error, and what to do when it fails: the function's docstring."""
        return " ".join((self.run.__doc__ or "").split())


_AUDITS: Final = (
    Audit("sent_messages", rejected_share),
    Audit("delivery_reports", answers_reconcile),
    Audit("delivery_reports", nothing_overdue),
    Audit("messages", each_message_once),
    Audit("delivery_rates", states_sum_to_sent),
    Audit("delivery_rates", delivery_rate_held),
    Audit("delivery_rates", latency_plausible),
    Audit("platform_record", logs_complete),
    Audit("account_balance", balance_lasts),
    Audit("analytics_db", published_file_agrees),
    Audit("analytics_db", schema_as_documented),
)
AUDITS: Final[Mapping[str, Audit]] = {audit.run.__name__: audit for audit in _AUDITS}
