"""Is a result right? Message by message, and rate by rate, against what the rule says."""

from __future__ import annotations

from pathlib import Path

import duckdb

COLUMNS = "msg_id, app_id, number, country, sender_id, order_id, sent_at, delivery_status, receive_time"
MEASURES = """
    count(*) AS sent,
    count(*) FILTER (WHERE delivery_status = 'delivered') AS delivered,
    count(*) FILTER (WHERE delivery_status = 'failed') AS failed,
    round(delivered / sent, 9) AS delivery_rate,
    round(quantile_cont(latency, 0.50) FILTER (WHERE delivery_status = 'delivered'), 6) AS p50,
    round(quantile_cont(latency, 0.95) FILTER (WHERE delivery_status = 'delivered'), 6) AS p95,
    round(quantile_cont(latency, 0.99) FILTER (WHERE delivery_status = 'delivered'), 6) AS p99"""
EXPECTED_RATES = f"""
    SELECT sent_at::DATE AS sent_date, app_id, country, sender_id, {MEASURES}
    FROM (SELECT *, epoch(receive_time) - epoch(sent_at) AS latency FROM expected)
    GROUP BY ALL"""
RATES = """
    SELECT
      sent_date, app_id, country, sender_id, sent, delivered, failed, round(delivery_rate, 9),
      round(latency_p50_seconds, 6), round(latency_p95_seconds, 6), round(latency_p99_seconds, 6)
    FROM result.delivery_rates_daily"""


def faults_of(result: Path, expected: Path) -> list[str]:
    """Say what is wrong in the published file of a contender: nothing, if all is as expected."""
    if not result.exists():
        return ["no result"]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW expected AS FROM '{expected}'")
        connection.execute(f"ATTACH '{result}' AS result (READ_ONLY)")
        messages = (f"SELECT {COLUMNS} FROM expected", f"SELECT {COLUMNS} FROM result.messages")
        pairs = {"messages": messages, "rates": (EXPECTED_RATES, RATES)}
        try:
            found = {what: _differences(connection, *pair) for what, pair in pairs.items()}
        except duckdb.Error as error:
            return [str(error).splitlines()[0]]
    return [f"{count:,} {what} are missing or wrong" for what, count in found.items() if count]


def _differences(connection: duckdb.DuckDBPyConnection, expected: str, found: str) -> int:
    """Count the rows that one of two queries has and the other has not; quickly, if there are none."""
    if _fingerprint(connection, expected) == _fingerprint(connection, found):
        return 0
    (count,) = connection.execute(f"""
        SELECT (SELECT count(*) FROM (({expected}) EXCEPT ALL ({found})))
             + (SELECT count(*) FROM (({found}) EXCEPT ALL ({expected})))""").fetchall()[0]
    return int(count)


def _fingerprint(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[object, ...]:
    """Return what only the same rows, in whatever order, have in common."""
    (found,) = connection.execute(f"""
        SELECT count(*), sum(hash(one)), bit_xor(hash(one)) FROM ({query}) AS one""").fetchall()
    return tuple(found)
