"""Views of messages by span of days: which days are in, and that money is exact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest

from pipeline.lake.queries import create_table
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, MESSAGES
from pipeline.publish.contents import view_select

NOON = datetime(2026, 10, 26, 12, tzinfo=UTC)


@pytest.fixture
def published() -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database with messages and days, and the views of them."""
    with duckdb.connect(":memory:") as connection:
        for table in (DELIVERY_ROLLUPS_DAILY, MESSAGES):
            create_table(connection, table)
        for view in ("speed_by_country", "spend_by_country", "spend_by_day", "failing_numbers"):
            connection.execute(f"CREATE VIEW {view} AS {view_select(view)}")
        yield connection


def add(
    published: duckdb.DuckDBPyConnection,
    ago: int,
    status: str,
    *,
    number: str | None = None,
    pay: str | None = None,
    currency: str | None = "USD",
) -> None:
    """Add a message to Germany that arrived after 5 seconds, and its day."""
    at = NOON - timedelta(days=ago)
    published.execute(
        "INSERT INTO messages BY NAME SELECT $at AS sent_at, $day AS sent_date, $status AS delivery_status, "
        "true AS is_final, 5.0 AS latency_seconds, 'DE' AS country, $number AS number, $pay::DECIMAL(24, 12) AS pay, "
        "$currency AS currency",
        {"at": at, "day": at.date(), "status": status, "number": number, "pay": pay, "currency": currency},
    )
    published.execute(
        "INSERT INTO delivery_rollups_daily BY NAME SELECT $day AS sent_date, 'all' AS dimension "
        "WHERE $day NOT IN (SELECT sent_date FROM delivery_rollups_daily)",
        {"day": at.date()},
    )


@pytest.mark.parametrize("view", ["speed_by_country", "spend_by_country"])
def test_a_span_of_days_has_exactly_so_many_days(published: duckdb.DuckDBPyConnection, view: str) -> None:
    for ago in (0, 1, 6, 7, 27, 28):
        add(published, ago, "delivered", pay="1")
    found = published.execute(f"SELECT days, messages FROM {view} WHERE country = 'DE'").fetchall()
    assert set(found) == {(1, 1), (7, 3), (28, 5), (None, 6)}


def test_seconds_at_the_bound_are_within_it(published: duckdb.DuckDBPyConnection) -> None:
    add(published, 0, "delivered")
    assert published.execute("SELECT DISTINCT within_5s_share FROM speed_by_country").fetchall() == [(1.0,)]


def test_money_adds_up_to_the_last_of_12_decimals_and_by_currency(published: duckdb.DuckDBPyConnection) -> None:
    for pay, currency, status in [
        ("0.100000000001", "USD", "delivered"),
        ("0.200000000002", "USD", "failed"),
        ("99999999999.999999999999", "USD", "delivered"),
        ("0.3", "EUR", "failed"),
        ("-0.1", None, "sending"),
    ]:
        add(published, 0, status, pay=pay, currency=currency)
    add(published, 0, "delivered")
    found = published.execute("SELECT currency, messages, pay, pay_on_failed, pay_per_delivered FROM spend_by_day")
    assert {row[0]: row[1:] for row in found.fetchall()} == {
        "USD": (3, Decimal("100000000000.300000000002"), Decimal("0.200000000002"), pytest.approx(50000000000.15)),
        "EUR": (1, Decimal("0.3"), Decimal("0.3"), None),
        None: (1, Decimal("-0.1"), Decimal(0), None),
    }


def test_a_number_fails_by_three_failures_and_none_delivered_within_28_days(
    published: duckdb.DuckDBPyConnection,
) -> None:
    for ago in (0, 1, 27):
        add(published, ago, "failed", number="fails")
        add(published, ago, "failed", number="fails now")
        add(published, ago, "failed", number="works")
        add(published, ago, "failed")
    add(published, 28, "delivered", number="fails now")
    add(published, 27, "delivered", number="works")
    for ago in (0, 1, 28):
        add(published, ago, "failed", number="too few")
    found = published.execute("SELECT number, sent, failed FROM failing_numbers").fetchall()
    assert found == [("fails", 3, 3), ("fails now", 3, 3)]
