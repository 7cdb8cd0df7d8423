"""`period_over_period` and the intervals of rates, against published examples."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
import pytest

from pipeline.lake.queries import create_table
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY
from pipeline.publish.contents import view_select

LAST = date(2026, 10, 26)


@pytest.fixture
def rollups() -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database with the daily roll-up, and the views of it."""
    with duckdb.connect(":memory:") as connection:
        create_table(connection, DELIVERY_ROLLUPS_DAILY)
        for view in ("period_over_period", "delivery_by_day"):
            connection.execute(f"CREATE VIEW {view} AS {view_select(view)}")
        yield connection


def add(
    rollups: duckdb.DuckDBPyConnection,
    ago: int,
    delivered: int,
    sent: int,
    *,
    value: str | None = None,
    is_mature: bool = True,
) -> None:
    """Add the bucket of a day: of all messages, or of a country."""
    rollups.execute(
        "INSERT INTO delivery_rollups_daily BY NAME SELECT $day AS sent_date, $dimension AS dimension, "
        "$value AS value, $sent AS sent, $delivered AS delivered, $sent - $delivered AS failed, 0 AS sending, "
        "0 AS not_found, 0 AS pending, 0 AS unknown, 0 AS invalid_id, $delivered / $sent AS delivery_rate, "
        "$is_mature AS is_mature",
        {
            "day": LAST - timedelta(days=ago),
            "dimension": "country" if value else "all",
            "value": value,
            "sent": sent,
            "delivered": delivered,
            "is_mature": is_mature,
        },
    )


@pytest.mark.parametrize(
    ("now", "before", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_the_interval_of_a_change_is_that_of_newcombes_paper(
    rollups: duckdb.DuckDBPyConnection, now: tuple[int, int], before: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe 1998, table II, method 10."""
    add(rollups, 0, *now)
    add(rollups, 7, *before)
    found = rollups.execute(
        "SELECT change_points_low, change_points_high, is_beyond_chance FROM period_over_period WHERE days = 7"
    ).fetchone()
    assert found == (pytest.approx(100 * low, abs=0.006), pytest.approx(100 * high, abs=0.006), low > 0)


@pytest.mark.parametrize(
    ("delivered", "sent", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_rate_is_that_of_newcombes_paper(
    rollups: duckdb.DuckDBPyConnection, delivered: int, sent: int, low: float, high: float
) -> None:
    """Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3: Wilson's score interval."""
    add(rollups, 0, delivered, sent)
    found = rollups.execute("SELECT delivery_rate_low, delivery_rate_high FROM delivery_by_day").fetchone()
    assert found == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_the_span_ends_with_the_latest_mature_day_and_open_days_count_nowhere(
    rollups: duckdb.DuckDBPyConnection,
) -> None:
    for ago in range(3, 17):
        add(rollups, ago, 90 if ago < 10 else 80, 100)
    add(rollups, 0, 1, 100, is_mature=False)
    add(rollups, 1, 99, 100, value="IN")  # a bucket that is mature before its day is says nothing of the day
    rollups.execute(
        "UPDATE delivery_rollups_daily SET is_mature = false WHERE sent_date = $day", {"day": LAST - timedelta(4)}
    )
    found = rollups.execute(
        "SELECT last_day, dimension, mature_days, sent, delivered, mature_days_before, sent_before, delivered_before, "
        "round(change_points, 9), is_beyond_chance, round(delivered_more, 9) FROM period_over_period WHERE days = 7"
    ).fetchall()
    assert found == [(LAST - timedelta(days=3), "all", 6, 600, 540, 7, 700, 560, 10.0, True, 60.0)]


def test_a_value_of_one_span_alone_has_no_change(rollups: duckdb.DuckDBPyConnection) -> None:
    add(rollups, 0, 90, 100)
    add(rollups, 7, 90, 100)
    add(rollups, 0, 9, 10, value="IN")
    add(rollups, 7, 9, 10, value="DE")
    found = rollups.execute(
        "SELECT value, sent, sent_before, delivery_rate, delivery_rate_before, change_points, is_beyond_chance "
        "FROM period_over_period WHERE days = 7 AND dimension = 'country'"
    ).fetchall()
    assert found == [("IN", 10, 0, 0.9, None, None, False), ("DE", 0, 10, None, 0.9, None, False)]


def test_without_a_mature_day_nothing_is_compared(rollups: duckdb.DuckDBPyConnection) -> None:
    add(rollups, 0, 90, 100, is_mature=False)
    add(rollups, 1, 9, 10, value="IN")
    assert rollups.execute("FROM period_over_period").fetchall() == []
