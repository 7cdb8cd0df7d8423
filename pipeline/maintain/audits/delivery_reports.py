"""Audits of `delivery_reports`: answers agree with the platform's tallies, and no message is overdue."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pipeline.derive.days import counted_days
from pipeline.follow.due import Polled, due_parameters
from pipeline.follow.workers import disagree_too_often
from pipeline.lake.queries import query, relation, rows_of
from pipeline.maintain.audits.context import AuditContext, Finding, finding_of
from pipeline.model.settings import API_MEMORY
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, DELIVERY_ROLLUPS_DAILY, MESSAGES, SENT_MESSAGES

OVERDUE: Final = timedelta(hours=2)
"""Time that a message may be due before it counts as overdue: eight ticks of the schedule."""
OVERDUE_SEVERE: Final = timedelta(hours=24)


def answers_reconcile(context: AuditContext) -> Finding:
    """For each call the platform's tallies (success, fail, sending, not found) agree with the stored answers.

    If it fails: rows with `is_known` arrived like that (warning; two or more, and over 5 % of the calls: error); report
    the calls to the platform. Other rows were lost or doubled here (error); restore the lake's last backup and run the
    days again.
    """
    calls = context.show(API_CALLS, context.days)  # read before the answers: a call is stored after its answers
    answers = context.show(DELIVERY_REPORTS, context.days)
    bad = context.bad_rows("answers_reconcile")
    everywhere = context.snapshot(DELIVERY_REPORTS).days()
    # A call is stored under the earliest day of its answers; answers follow a message that was corrected to any day.
    for days in ([day for day in everywhere if day >= min(context.days)] if context.days else [], everywhere):
        if not all(row["is_known"] for row in bad):
            context.show(DELIVERY_REPORTS, days)
            bad = context.bad_rows("answers_reconcile")
    with_answer = f"SELECT count(*) FROM {API_CALLS.name} WHERE outcome IN ('ok', 'mismatch')"
    ((answered,),) = rows_of(context.connection, with_answer)
    lost = sum(not row["is_known"] for row in bad)
    figures = {"calls": calls, "answers": answers, "calls_that_disagree": len(bad), "calls_lost_or_doubled": lost}
    return finding_of(bad, figures, is_severe=lost > 0 or disagree_too_often(len(bad) - lost, answered))


def nothing_overdue(context: AuditContext) -> Finding:
    """No message of any day has been due for more than 2 hours (warning; 24 hours: error).

    If it fails: check that the schedule is on and its runs succeed; `every_question_answered` says what the platform
    refuses. Then materialize the days.
    """
    days = _days_with_open_messages(context)
    context.show(MESSAGES, days)
    _show_stored(
        context, [day for (day,) in rows_of(context.connection, query("maintain/sql/checks/never_asked_days"))]
    )
    Polled.of(context.lake).show_rule(context.connection, days, now=context.now)
    within_age_limits = due_parameters(context.settings, context.now, force=True)
    bad = context.bad_rows("nothing_overdue", bound_seconds=OVERDUE.total_seconds(), **within_age_limits)
    hours = max((float(row["overdue_hours"]) for row in bad), default=0.0)
    figures = {
        "days_open": len(days),
        "overdue": sum(int(row["messages"]) for row in bad),
        "overdue_hours": hours,
        "bound_hours": OVERDUE / timedelta(hours=1),
    }
    return finding_of(bad, figures, is_severe=hours > OVERDUE_SEVERE / timedelta(hours=1))


def _days_with_open_messages(context: AuditContext) -> list[date]:
    """Return the days with a message that may still be asked for, from the counts of the daily roll-up."""
    oldest = (context.now - API_MEMORY).date() - timedelta(days=1)
    counted = counted_days(context.connection, context.lake)
    young = [day for day, of_day in sorted(counted.items()) if day >= oldest and not of_day.is_closed]
    context.show(DELIVERY_ROLLUPS_DAILY, young)
    give_up = (context.now - context.settings.give_up_after).date() - timedelta(days=1)
    pending = {
        day
        for (day,) in rows_of(
            context.connection,
            f"SELECT sent_date FROM {DELIVERY_ROLLUPS_DAILY.name} WHERE dimension = 'all' AND pending > 0",
        )
    }
    return [day for day in young if day >= give_up or day in pending]


def _show_stored(context: AuditContext, days: Collection[date]) -> None:
    """Show as `stored` when each message of some days was stored: when its file was added to the lake."""
    connection, files = context.connection, context.snapshot(SENT_MESSAGES).of(days)
    arrivals = [(str(file.path), datetime.fromtimestamp(file.added_ms / 1000, UTC)) for file in files]
    context.fill("arrivals", "path VARCHAR, stored_at TIMESTAMPTZ", arrivals)
    source = relation(SENT_MESSAGES, files, has_path=True)
    select = f"SELECT app_id, msg_id, stored_at FROM ({source}) JOIN arrivals USING (path)"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW stored AS {select}")
