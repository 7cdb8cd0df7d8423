"""The balance of accounts: how often it is asked for, what is stored, how long it lasts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from assets.metadata import balance_summary
from pipeline.api.client import Clock
from pipeline.api.simulator.faults import Faults
from pipeline.api.simulator.server import Running
from pipeline.derive.messages import derive_messages
from pipeline.lake.lake import Lake
from pipeline.maintain.audits.account_balance import balance_lasts
from pipeline.maintain.audits.context import opened_context
from pipeline.maintain.balance import BalanceTally, accounts_due, spend_of, store_balances
from pipeline.maintain.doctor import examine
from pipeline.model.accounts import Account, Accounts, load_accounts
from pipeline.model.settings import Settings
from pipeline.model.tables import ACCOUNT_BALANCE
from pipeline.publish.database import publish
from pipeline.publish.page.writing import write_page
from tests.support.lakes import Said, Sent, store_answers, store_sent

pytestmark = pytest.mark.slow

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When `clock` begins."""
TODAY = NOON.date()
KEY, SECRET = "bDqJFiq9", "s3cret-of-nobody"
Simulate = Callable[..., Running]
Ask = Callable[..., BalanceTally | None]


def stored(lake: Lake) -> list[dict[str, Any]]:
    rows = []
    for file in lake.snapshot(ACCOUNT_BALANCE).files:
        rows += [row | {"sent_date": file.sent_date} for row in pq.ParquetFile(file.path).read().to_pylist()]
    return rows


@pytest.fixture
def ask(lake: Lake, clock: Clock, settings: Callable[..., Settings]) -> Ask:
    """Ask as a refresh does; None if no account is due."""

    def run(server: Running, *, accounts: Accounts | None = None, now: datetime = NOON, **more: Any) -> Any:
        chosen = settings(api_base_url=server.base_url, max_requests_per_second=0)
        named = accounts or load_accounts(chosen)
        due = accounts_due(lake, named, now)
        common: dict[str, Any] = {"lake": lake, "accounts": named, "settings": chosen, "now": now, "clock": clock}
        return store_balances(due, **common, **more) if due else None

    return run


def test_a_balance_is_stored_exactly_and_never_with_its_key(lake: Lake, simulator: Simulate, ask: Ask) -> None:
    """The fingerprint tells accounts apart."""
    server = simulator(balance={"balance": "1250.750000000001", "gift": "10", "credit": "-3.5"})

    ask(server)

    (row,) = stored(lake)
    assert (row["balance"], row["gift"], row["credit"]) == (Decimal("1250.750000000001"), 10, Decimal("-3.5"))
    assert (row["app_id"], row["sent_date"], row["spend_per_day"]) == (None, TODAY, None)
    assert len(row["account"]) == 8
    assert not {KEY, SECRET} & {str(value) for value in row.values()}


def test_it_is_asked_for_once_an_hour_whatever_came_of_it(lake: Lake, simulator: Simulate, ask: Ask) -> None:
    """A platform that refuses it is not asked with each refresh; a clock that was ahead delays nothing."""
    refused = simulator(faults=Faults(rates=(("-32", 1.0),)))

    tally = ask(refused)

    assert tally is not None
    assert "no permission" in tally.problems[0]
    assert SECRET not in tally.problems[0]
    assert ask(refused, now=NOON + timedelta(minutes=59)) is None
    assert ask(refused, now=NOON + timedelta(minutes=61)) is not None
    assert ask(refused, now=NOON - timedelta(days=1)) is not None
    assert stored(lake) == []


@pytest.mark.parametrize("status", ["http-404", "http-405", "http-501"])
def test_a_platform_without_the_call_is_told_once_and_asked_again_after_a_month(
    lake: Lake, simulator: Simulate, ask: Ask, settings: Callable[..., Settings], status: str
) -> None:
    """It is no fault of a setting, and a doctor who asks why no balance is there is answered."""
    server = simulator(faults=Faults(rates=((status, 1.0),)))

    tally = ask(server)

    assert tally is not None
    assert (tally.problems, list(tally.absent)) == ([], [server.base_url])
    (line,) = balance_summary(tally).split("; ")[1:2]
    assert line.startswith(f"{server.base_url} has no getBalance")
    assert "SMS_API_BASE_URL" not in balance_summary(tally)
    for later in (timedelta(hours=2), timedelta(days=29)):
        assert ask(server, now=NOON + later) is None
    chosen = settings(lake=lake.folder, api_base_url=server.base_url)
    (found,) = [each for each in examine(chosen, now=NOON + timedelta(days=1)) if each.subject == "balance"]
    assert found.ok
    assert "it is asked again after 2026-04-01" in found.text
    tally = ask(server, now=NOON + timedelta(days=31))
    assert tally is not None
    assert (tally.problems, tally.absent) == ([], [])
    tally = ask(simulator(), now=NOON + timedelta(days=31, hours=2))  # another base URL is another account
    assert tally is not None
    assert tally.stored == 1


def test_an_account_that_told_its_balance_is_asked_hourly_whatever_a_proxy_answers(
    lake: Lake, simulator: Simulate, ask: Ask
) -> None:
    faults: list[tuple[str, float]] = []
    server = simulator(faults=Faults(rates=faults))  # type: ignore[arg-type]
    assert ask(server) is not None
    faults.append(("http-404", 1.0))

    tally = ask(server, now=NOON + timedelta(hours=2))

    assert tally is not None
    assert (len(stored(lake)), len(tally.problems), list(tally.absent)) == (1, 1, [])
    assert ask(server, now=NOON + timedelta(hours=4)) is not None


@pytest.mark.parametrize(
    "fault", ["-1", "-18", "http-500", "timeout", "html", "reset", "redirect", "truncated", "huge"]
)
def test_a_failure_is_a_line_and_no_error(simulator: Simulate, ask: Ask, fault: str) -> None:
    """A refresh goes on, and does not wait: there is one request."""
    server = simulator(faults=Faults(rates=((fault, 1.0),), hold_seconds=0.1))

    tally = ask(server)

    assert tally is not None
    assert len(server.others) == 1
    assert tally.stored + len(tally.problems) == 1


@pytest.mark.parametrize("amount", ["NaN", "1e999", "", "1,250.75", "1" * 40, None, [], {"a": 1}])
def test_an_amount_that_can_not_be_read_is_told(lake: Lake, simulator: Simulate, ask: Ask, amount: object) -> None:
    """Nothing is stored of it, and nothing breaks."""
    body = json.dumps({"status": "0", "balance": amount}).encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(body)))

    tally = ask(simulator(), transport=transport)

    assert tally is not None
    assert "no amount" in tally.problems[0]
    assert stored(lake) == []


def test_accounts_with_one_key_are_asked_once_and_stored_for_each_of_their_apps(
    lake: Lake, simulator: Simulate, ask: Ask
) -> None:
    """The app of all others is null."""
    server = simulator()
    account = Account(server.base_url, SecretStr("bDqJFiq9"), SecretStr(SECRET))
    wrong = Account(server.base_url, SecretStr("another-key"), SecretStr(SECRET))

    tally = ask(server, accounts=Accounts(account, {"a": account, "b": wrong}))

    assert tally is not None
    assert (tally.stored, len(tally.problems), len(server.others)) == (1, 1, 2)
    assert {row["app_id"] for row in stored(lake)} == {None, "a"}


def test_the_spend_is_that_of_whole_days_since_the_first_with_a_price() -> None:
    """A day that goes on reads low; a week without prices before is no cheap week."""

    def cost(days_ago: int, pay: str, currency: str = "USD") -> tuple[date, str | None, Decimal]:
        return TODAY - timedelta(days=days_ago), currency, Decimal(pay)

    assert spend_of([cost(0, "1"), cost(1, "10"), cost(2, "20")], TODAY).per_day == 15
    assert spend_of([cost(7, "70"), cost(1, "70")], TODAY).per_day == 20
    assert spend_of([cost(0, "5")], TODAY).per_day == 5
    assert spend_of([cost(1, "5"), cost(1, "5", "EUR")], TODAY).per_day is None
    assert spend_of([cost(1, "9" * 20)], TODAY).per_day is None
    assert spend_of([], TODAY).per_day is None


@pytest.mark.parametrize(
    ("balance", "passed", "is_severe"),
    [("31", True, False), ("29", False, False), ("4", False, True), ("-1", False, True)],
)
def test_the_check_warns_under_three_days_and_is_red_under_twelve_hours(
    lake: Lake,
    simulator: Simulate,
    ask: Ask,
    settings: Callable[..., Settings],
    *,
    balance: str,
    passed: bool,
    is_severe: bool,
) -> None:
    """At 10 USD a day; the line says how long it lasts."""
    for days_ago in (1, 2):
        sent_at = NOON - timedelta(days=days_ago)
        store_sent(lake, [Sent(f"{days_ago}", sent_at)])
        price = '{"pricedetail":{"pay":"10.00","price":"10.00","currency":"USD","chargeCnt":1}}'
        store_answers(lake, [(Said(f"{days_ago}", "delivered", sent_at, extra=price), sent_at.date())])
    chosen = settings(lake=lake.folder)
    derive_messages([], lake=lake, settings=chosen, now=NOON)

    ask(simulator(balance={"balance": balance, "gift": "0", "credit": "0"}))

    with opened_context([TODAY], lake=lake, settings=chosen, now=NOON + timedelta(minutes=5)) as context:
        found = balance_lasts(context)
    assert (found.passed, found.is_severe) == (passed, is_severe)
    if not passed:
        assert "lasts for" in str(found.examples[0]["words"])
        assert "10.00 USD a day" in str(found.examples[0]["words"])


def test_the_page_has_one_line_of_the_balance_and_none_where_nobody_knows_it(
    lake: Lake, simulator: Simulate, ask: Ask, settings: Callable[..., Settings]
) -> None:
    """With what is left, and for how long; the key is nowhere."""
    chosen = settings(lake=lake.folder)

    def page() -> str:
        publish(lake=lake, settings=chosen, now=NOON + timedelta(minutes=5))
        return write_page(settings=chosen).read_text("utf-8")

    assert "Balance:" not in page()
    ask(simulator(balance={"balance": "1234.5", "gift": "0", "credit": "<b>"}))

    shown = page()

    assert "<li>Balance: 1,234.50" in shown
    assert KEY not in shown
