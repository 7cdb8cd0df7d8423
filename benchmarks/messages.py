"""The sent log of a benchmark, and what must come of it: both made by DuckDB from the rule, not by what is measured."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from benchmarks.rule import APP_ID, ENDINGS, HEADS, is_failed, second_received

_SENT = """
    SELECT
      strftime(sent_at + INTERVAL 8 HOUR, '%y%m%d%H%M%S') || lpad(i::VARCHAR, 7, '0') AS msg_id,
      sent_at,
      $app_id AS app_id,
      $heads[i // 1000 % 10 + 1] || lpad((i % 1000000)::VARCHAR, 6, '0') AS number,
      $countries[i // 1000 % 10 + 1] AS country,
      'sender' || i // 1000 % 10 AS sender_id,
      i::VARCHAR AS order_id,
      i
    FROM (
      SELECT i, date_trunc('second', $day::TIMESTAMP + to_milliseconds(i * 86400000 // $messages)) AS sent_at
      FROM range($messages) AS made (i)
    )
"""
_LOGGED = "SELECT * EXCLUDE (i, country) REPLACE (strftime(sent_at, '%Y-%m-%dT%H:%M:%SZ') AS sent_at) FROM sent"
_EXPECTED = """
    SELECT
      sent.* EXCLUDE (i) REPLACE (sent_at::TIMESTAMPTZ AS sent_at),
      CASE WHEN $failed[i % 1000 + 1] THEN 'failed' ELSE 'delivered' END AS delivery_status,
      (date_trunc('minute', sent_at) + INTERVAL 1 MINUTE + to_seconds($seconds[i % 1000 + 1]))::TIMESTAMPTZ
        AS receive_time
    FROM sent
"""


def write_log(path: Path, *, messages: int, day: date) -> None:
    """Write the messages of a day (UTC) as JSON lines, one a message, evenly over the day."""
    _copy(_LOGGED, path, "JSON", messages=messages, day=day)


def write_expected(path: Path, *, messages: int, day: date) -> None:
    """Write what `messages` must say of them, as Parquet."""
    endings = range(ENDINGS)
    values = {"failed": [is_failed(e) for e in endings], "seconds": [second_received(e) for e in endings]}
    _copy(_EXPECTED, path, "PARQUET", messages=messages, day=day, **values)


def _copy(select: str, path: Path, kind: str, **values: object) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"COPY (WITH sent AS ({_SENT}) {select}) TO '{path}' (FORMAT {kind})"
        connection.execute(query, {**values, "app_id": APP_ID, "heads": list(HEADS), "countries": list(HEADS.values())})
