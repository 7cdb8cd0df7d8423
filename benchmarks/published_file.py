"""How quickly analysts get rates, and how quickly they are published: 10 million messages over 30 days.

    python benchmarks/published_file.py [--messages N] [--days D] [--dir FOLDER]

`messages` are made by DuckDB, rates and publication by the project itself. Each query is asked on a new connection,
five times; the median counts. Beside it, for scale, the same rates are asked from `messages`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb

from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.queries import Scalar, database, write_partition
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import MESSAGES
from pipeline.publish.database import publish

TRIES = 5
QUERIES = {
    "rates by day, from the rate tables": "SELECT sent_date, delivery_rate FROM delivery_by_day",
    "rates by country, from the rate tables": "SELECT country, delivery_rate FROM delivery_by_country WHERE days = 28",
    "rates by day, from messages": """
        SELECT sent_date, avg((delivery_status = 'delivered')::INTEGER) FROM messages GROUP BY ALL""",
    "rates by country, from messages": """
        SELECT country, avg((delivery_status = 'delivered')::INTEGER) FROM messages GROUP BY ALL""",
    "one message, by id and day": """
        SELECT delivery_status FROM messages
        WHERE sent_date = (SELECT max(sent_date) FROM delivery_by_day) AND msg_id = '2611230000000000007'""",
}
MADE_UP = """
    SELECT
      'app' || i % 3 AS app_id,
      (2611230000000000000 + $first + i)::VARCHAR AS msg_id,
      '49151' || (i * 7919) % 100000000 AS number,
      ['DE', 'FR', 'IN', 'BR', 'US', 'GB', 'NG', 'ID', 'MX', 'PL'][(1 + hash(i) % 10)::BIGINT] AS country,
      'sender' || hash(i + 1) % 8 AS sender_id,
      NULL AS order_id,
      $midnight::TIMESTAMPTZ + to_milliseconds(i * 86400000 // $rows) AS sent_at,
      CASE WHEN hash(i + 2) % 20 = 0 THEN 'failed' ELSE 'delivered' END AS delivery_status,
      true AS is_final,
      sent_at + to_milliseconds((1000 + hash(i + 3) % 60000)::BIGINT) AS receive_time,
      (epoch_ms(receive_time) - epoch_ms(sent_at)) / 1e3 AS latency_seconds,
      1 AS poll_count,
      receive_time AS first_polled_at,
      receive_time AS last_polled_at
    FROM range($rows) AS made (i)"""


def main() -> None:
    """Make a lake, publish it, ask, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--dir", type=Path, help="folder to work in (default: a temporary one)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.dir) as folder:
        for what, seconds in measure(Path(folder), chosen.messages, chosen.days):
            print(f"{what:<40} {seconds:8.3f} s", flush=True)


def measure(folder: Path, messages: int, days: int) -> Iterator[tuple[str, float]]:
    """Give the figures, one after the other: what, median seconds."""
    settings = given_settings(folder, lake=folder / "lake", duckdb=folder / "analytics.duckdb")
    lake = Lake.open(settings.lake, mode=settings.file_mode, recorded={})
    now = datetime.now(UTC)
    dates = [now.date() - timedelta(days=step) for step in range(1, days + 1)]
    yield "making messages", timed(lambda: make_messages(lake, settings, dates, messages // days))
    yield "making all rates", timed(lambda: derive_rates(dates, lake=lake, settings=settings, now=now))
    yield "first publication", timed(lambda: publish(lake=lake, settings=settings, now=now))
    again = [timed(lambda: publish(lake=lake, settings=settings, now=now)) for _ in range(TRIES)]
    yield "publication again", statistics.median(again)
    for what, query in QUERIES.items():
        asked = partial(ask, settings.duckdb, query)
        yield what, statistics.median(timed(asked) for _ in range(TRIES))


def make_messages(lake: Lake, settings: Settings, dates: list[date], rows: int) -> None:
    """Store so many messages a day."""
    with database(lake, settings) as connection:
        files = []
        for number, day in enumerate(dates):
            values: dict[str, Scalar] = {"first": number * rows, "rows": rows, "midnight": f"{day} 00:00:00+00"}
            files.append(write_partition(connection, lake, MESSAGES, select=MADE_UP, day=day, parameters=values))
        lake.append(MESSAGES, [file for file in files if file])


def ask(path: Path, query: str) -> None:
    """Ask on a new connection and fetch all."""
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute(query).fetchall()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
