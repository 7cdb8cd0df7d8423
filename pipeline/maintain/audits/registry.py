"""The list of audits: name, the asset whose result it checks, and what a person does when it fails.

Belongs here: the list and its words. Does not: queries and bounds (the modules beside it).
To add an audit: a query in `sql/checks/`, a function in the module of its asset, an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.maintain.audits.analytics_db import published_file_agrees, schema_as_documented
from pipeline.maintain.audits.context import AuditContext
from pipeline.maintain.audits.delivery_rates import delivery_rate_held, states_sum_to_sent
from pipeline.maintain.audits.delivery_reports import answers_reconcile, nothing_overdue
from pipeline.maintain.audits.finding import Finding
from pipeline.maintain.audits.messages import each_message_once, rejected_share


@dataclass(frozen=True)
class Audit:
    """An audit of an asset's result.

    `description` says what holds when it passes, when it is an error, and what to do when it fails.
    """

    asset: str
    run: Callable[[AuditContext], Finding]
    description: str


AUDITS: Final[Mapping[str, Audit]] = {
    "rejected_share": Audit(
        "sent_messages",
        rejected_share,
        "At most 1 % of each day's log records are rejected (warning; more than 10 %: error). If it fails: `reason` in "
        "`rejected_records` says what is wrong with which line. Fix the log or what writes it; the next run reads the "
        "file again.",
    ),
    "answers_reconcile": Audit(
        "delivery_reports",
        answers_reconcile,
        "For each call the platform's tallies (success, fail, sending, not found) agree with the stored answers. If it "
        "fails: rows with `is_known` arrived like that (warning); report the call to the platform. Other rows were "
        "lost or doubled here (error); restore the lake's last backup and run the days again.",
    ),
    "nothing_overdue": Audit(
        "delivery_reports",
        nothing_overdue,
        "No message of any day has been due for more than 2 hours (warning; 24 hours: error). If it fails: check that "
        "the schedule is on and its runs succeed; `every_question_answered` says what the platform refuses. Then "
        "materialize the days.",
    ),
    "each_message_once": Audit(
        "messages",
        each_message_once,
        "Each sent message is one row of `messages` (else error). If it fails: "
        "`sms-delivery rebuild --from DAY --to DAY`; if `sent_messages` itself has a message twice, report a bug.",
    ),
    "states_sum_to_sent": Audit(
        "delivery_rates",
        states_sum_to_sent,
        "In every bucket the seven states sum to `sent`, and each rate table counts every message of a day (else "
        "error). If it fails: `sms-delivery rebuild --from DAY --to DAY`.",
    ),
    "delivery_rate_held": Audit(
        "delivery_rates",
        delivery_rate_held,
        "No app, country or sender delivers clearly worse (5 points, more than chance) on the last two days than in "
        "the 28 days before, and `worst_movers` shows no drop of a mature day in the last week (else warning). If it "
        "fails: ask the platform about the route and look at the sender's texts; `delivery_by_country` and "
        "`delivery_by_sender` show more.",
    ),
    "published_file_agrees": Audit(
        "analytics_db",
        published_file_agrees,
        "The published DuckDB file agrees with the lake, and the files that it names exist (else error). If it fails: "
        "`sms-delivery publish`; if it still fails, an older lake was restored or files were deleted by hand.",
    ),
    "schema_as_documented": Audit(
        "analytics_db",
        schema_as_documented,
        "Every column has the documented type, place and meaning (else error). If it fails, another version made the "
        "file: `sms-delivery publish`.",
    ),
}
