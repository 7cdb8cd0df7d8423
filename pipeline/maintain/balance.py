"""Use case: ask for the balance of each account, and store it with what its messages cost a day.

What belongs here: how often, what is stored, the spend. What does not: one request (`api/client.py`), whether the
balance lasts (`audits/account_balance.py`, the view `account_runway`).

It is an extra: a platform that refuses or does not answer is told in a line, and stops nothing. One that has no
getBalance is told once, and asked again after `ABSENT_DAYS`, unless the account told its balance before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import httpx
import pyarrow as pa

from pipeline.api.client import Clock, Gateway, GoodResponse, Ledger
from pipeline.api.endpoints import BalanceQuestion
from pipeline.lake.lake import Lake
from pipeline.lake.notes import balance_absent, balance_asked, note_balance_absent, note_balance_asked
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.model.accounts import Account, Accounts
from pipeline.model.errors import BatchFailed, CallError
from pipeline.model.settings import Settings
from pipeline.model.tables import ACCOUNT_BALANCE, MESSAGES

EVERY: Final = timedelta(hours=1)
"""Shortest time between two questions for one balance."""
ABSENT_DAYS: Final = 30
"""Days for which a platform that has no getBalance is not asked again."""
SPEND_DAYS: Final = 7
"""Whole days of sending whose prices count."""
TIMEOUT_SECONDS: Final = 10.0
"""A refresh does not wait longer for what it can do without."""
_ABSENT: Final = frozenset({404, 405, 410, 501})
"""HTTP statuses without an envelope that say that a platform has no such call."""
_PLACES: Final = Decimal(1).scaleb(-12)
_BEYOND: Final = Decimal(1).scaleb(12)
"""The first amount that DECIMAL(24, 12) does not hold: no price is."""


@dataclass(frozen=True)
class BalanceTally:
    """What asking for balances did.

    Attributes:
        stored: accounts whose balance was stored.
        problems: a line for each balance that was not got.
        absent: base URLs that are now known to have no getBalance.
    """

    stored: int
    problems: Sequence[str] = ()
    absent: Sequence[str] = ()


def accounts_due(lake: Lake, accounts: Accounts, now: datetime) -> dict[str, Account]:
    """Return the accounts to ask for their balance, by fingerprint.

    Left out are those that were asked within the last hour, and those whose platform is known to tell no balance.
    """
    asked, absent = balance_asked(lake), accounts_without_balance(lake, accounts, now)
    known = _by_fingerprint(accounts)
    return {
        name: account
        for name, account in known.items()
        if name not in absent and not _is_within(EVERY, asked.get(name), now)
    }


def accounts_without_balance(lake: Lake, accounts: Accounts, now: datetime) -> dict[str, tuple[str, datetime]]:
    """Return the accounts whose platform has no getBalance, by fingerprint: base URL, and when that was learnt."""
    known, lasts = _by_fingerprint(accounts), timedelta(days=ABSENT_DAYS)
    return {
        name: (known[name].base_url, learnt)
        for name, learnt in balance_absent(lake).items()
        if name in known and _is_within(lasts, learnt, now)
    }


def _by_fingerprint(accounts: Accounts) -> dict[str, Account]:
    return {account.fingerprint: account for account in accounts.by_app().values()}


def _is_within(time: timedelta, moment: datetime | None, now: datetime) -> bool:
    """Say whether a moment is so recent; one ahead of now is of a clock that was wrong."""
    return moment is not None and now - time < moment <= now


def store_balances(
    due: Mapping[str, Account],
    *,
    lake: Lake,
    accounts: Accounts,
    settings: Settings,
    now: datetime,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> BalanceTally:
    """Ask for the balance of some accounts once each, and store what came.

    Raises:
        LakeError: the lake can't be read or written.
    """
    note_balance_asked(lake, list(due), at=now)
    gateway = Gateway(
        timeout_seconds=min(settings.timeout_seconds, TIMEOUT_SECONDS),
        max_attempts=1,
        requests_per_second=settings.max_requests_per_second,
        clock=clock,
        transport=transport,
    )
    answers = asyncio.run(_ask_all(gateway, due))
    failed = {name: answer for name, answer in answers.items() if isinstance(answer, CallError)}
    absent = [name for name, error in failed.items() if _is_absent(error)]
    if absent:  # an account that told its balance before met a proxy
        told = _accounts_told(lake, settings)
        absent = [name for name in absent if name not in told]
    problems = [f"the balance of account {name} is not known: {e}" for name, e in failed.items() if name not in absent]
    newly_absent = sorted({due[name].base_url for name in set(absent) - balance_absent(lake).keys()})
    if absent:
        note_balance_absent(lake, absent, at=now)
    found = {name: answer for name, answer in answers.items() if isinstance(answer, GoodResponse)}
    if found:
        spends = _spends(lake, accounts, settings, settings.today(now))
        _append(lake, settings, [row for name in found for row in _rows(name, found[name], accounts, spends)])
    return BalanceTally(len(found), problems, newly_absent)


def _is_absent(error: CallError) -> bool:
    return error.http_status in _ABSENT and error.status is None


def _accounts_told(lake: Lake, settings: Settings) -> set[str]:
    """Return the accounts whose balance was ever stored, by fingerprint."""
    with database(lake, settings) as connection:
        show_files(connection, ACCOUNT_BALANCE, lake.snapshot(ACCOUNT_BALANCE).files)
        return {name for (name,) in rows_of(connection, query("maintain/sql/accounts_told"))}


async def _ask_all(gateway: Gateway, due: Mapping[str, Account]) -> dict[str, GoodResponse | CallError]:
    async with gateway:
        return {name: await _ask(gateway, account) for name, account in due.items()}


async def _ask(gateway: Gateway, account: Account) -> GoodResponse | CallError:
    try:
        response = await gateway.ask(BalanceQuestion(), account, Ledger())
    except CallError as error:
        return error
    if response.envelope.balance is None:
        return BatchFailed(f"the answer of {account.base_url} has no amount that can be read")
    return response


@dataclass(frozen=True)
class Spend:
    """What an account's messages cost a day, in one currency; None where it is not known."""

    per_day: Decimal | None = None
    currency: str | None = None


def _spends(lake: Lake, accounts: Accounts, settings: Settings, today: date) -> dict[str, Spend]:
    """Return the spend of each account, by fingerprint."""
    days = [today - timedelta(days=step) for step in range(SPEND_DAYS + 1)]
    with database(lake, settings) as connection:
        show_files(connection, MESSAGES, lake.snapshot(MESSAGES).of(days))
        rows = rows_of(connection, query("maintain/sql/spend"))
    by_account: dict[str, list[tuple[date, str | None, Decimal]]] = {}
    for app_id, day, currency, pay in rows:
        account = accounts.of(app_id)
        if account is not None:
            by_account.setdefault(account.fingerprint, []).append((day, currency, pay))
    return {name: spend_of(costs, today) for name, costs in by_account.items()}


def spend_of(costs: Collection[tuple[date, str | None, Decimal]], today: date) -> Spend:
    """Return the average cost of a day: of the whole days since the first that has a price, else of today.

    Args:
        costs: day of sending, currency, and what its messages cost.
        today: the day that goes on.
    """
    whole = [cost for cost in costs if cost[0] < today]
    counted = whole or list(costs)
    currencies = {currency for _, currency, _ in counted}
    if len(currencies) != 1:
        return Spend()
    days = (today - min(day for day, *_ in counted)).days if whole else 1
    per_day = sum((pay for *_, pay in counted), Decimal(0)) / days
    return Spend(per_day.quantize(_PLACES), currencies.pop()) if abs(per_day) < _BEYOND else Spend()


def _rows(name: str, response: GoodResponse, accounts: Accounts, spends: Mapping[str, Spend]) -> list[dict[str, Any]]:
    """Return the rows of an account: one for each app that it is named for, or for all others."""
    envelope, spend = response.envelope, spends.get(name, Spend())
    same = {
        "account": name,
        "balance": envelope.balance,
        "gift": envelope.gift,
        "credit": envelope.credit,
        "spend_per_day": spend.per_day,
        "currency": spend.currency,
        "observed_at": response.observed_at,
    }
    apps = [app for app, account in accounts.by_app().items() if account.fingerprint == name]
    return [same | {"app_id": app} for app in apps]


def _append(lake: Lake, settings: Settings, rows: Sequence[dict[str, Any]]) -> None:
    day = settings.today(rows[0]["observed_at"])
    table = pa.Table.from_pylist([row | {"sent_date": day} for row in rows], schema=arrow_schema(ACCOUNT_BALANCE))
    lake.append(ACCOUNT_BALANCE, [lake.write(ACCOUNT_BALANCE, table, day)])
