"""Audits of `account_balance`: the money lasts."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pipeline.lake.queries import query
from pipeline.maintain.audits.context import WORDS, AuditContext, Finding, finding_of
from pipeline.model.tables import ACCOUNT_BALANCE

RUNWAY: Final = timedelta(days=3)
"""Time that a balance should last at least."""
RUNWAY_SEVERE: Final = timedelta(hours=12)
_LATEST: Final = timedelta(days=1)
"""A balance that was asked for longer ago is not judged."""
_ONE_DAY: Final = timedelta(days=1)


def balance_lasts(context: AuditContext) -> Finding:
    """The balance of each account lasts for 3 days at what its messages cost (else warning; under 12 hours: error).

    If it fails: top the account up; `account_runway` shows balance and spend. Without prices in the answers nothing is
    judged.
    """
    since = context.now - _LATEST
    days = [context.settings.today(since), context.settings.today(context.now)]
    context.show(ACCOUNT_BALANCE, days)
    view = query("publish/sql/views/account_runway")
    context.connection.execute(f"CREATE OR REPLACE TEMP VIEW account_runway AS {view}")
    bad = context.bad_rows("balance_lasts", bound_days=RUNWAY / _ONE_DAY, since=since)
    least = min((float(row["days_left"]) for row in bad), default=None)
    figures = {"accounts_low": len(bad), "bound_days": RUNWAY / _ONE_DAY} | (
        {} if least is None else {"days_left": least}
    )
    told = [_told(row) for row in bad]
    return finding_of(told, figures, is_severe=least is not None and least < RUNWAY_SEVERE / _ONE_DAY)


def _told(row: dict[str, object]) -> dict[str, object]:
    left = float(str(row["days_left"]))
    lasts = f"{left:.1f} days" if left >= 1 else f"{left * 24:.1f} hours"
    apps = f" (apps {row['apps']})" if row["apps"] else ""
    text = (
        f"the balance of account {row['account']}{apps} lasts for {lasts}: {row['available']:.2f} left, "
        f"{row['spend_per_day']:.2f} {row['currency'] or ''} a day".rstrip()
    )
    return {WORDS: text, "account": row["account"], "days_left": left}
