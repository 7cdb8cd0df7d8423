"""Published files by hand: the tables and views of the model, filled with as many days and names as a page may meet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from pipeline.lake.queries import relation
from pipeline.lake.snapshots import DataFile, new_name
from pipeline.model.tables import DETAIL_TABLES, MESSAGES, RATE_TABLES, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from pipeline.publish.contents import view_select

PUBLISHED_AT: Final = datetime(2026, 10, 27, 12, tzinfo=UTC)
LAST_DAY: Final = PUBLISHED_AT.date()
OPEN_DAYS: Final = 3
HOSTILE: Final = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</style><style>*{display:none}",
    '"><svg onload=alert(1)>',
    "'quotes\" & <b>",
    "]]><!--<script>",
    "=cmd()|' /C calc'!A0",
    "{{ 7 * 7 }} ${x} $x",
    "\u202egnirts",
    "\u05e9\u05dc\u05d5\u05dd",
    "a\u2028b\u2029c\nd",
    "x" * 500,
    "x" * 499 + "y",
    "__proto__",
    "constructor",
    "not known",
    None,
)
"""Names that a log may bring, as text or by intent."""
_SENT: Final = "(250 + hash(d, c, s) % 500)::BIGINT"
_FAILED: Final = "(hash(s, d, c) % 100)::BIGINT"
_RATES: Final = f"""
INSERT INTO delivery_rates_daily BY NAME
SELECT
  d AS sent_date, 'app' AS app_id, c AS country, s AS sender_id,
  sent, sent - failed - waiting AS delivered, failed, waiting AS sending,
  0 AS not_found, 0 AS pending, 0 AS unknown, 0 AS invalid_id,
  (sent - failed - waiting) / sent AS delivery_rate,
  (sent - failed - waiting) / (sent - waiting) AS delivery_rate_final,
  (sent - waiting) / sent AS dlr_coverage,
  9.53 AS latency_p50_seconds, 125.27 AS latency_p95_seconds, 4000.6 AS latency_p99_seconds,
  waiting = 0 AS is_mature
FROM (
  SELECT d, c, s, {_SENT} AS sent, {_FAILED} AS failed, CASE WHEN d > $last - {OPEN_DAYS} THEN 7 ELSE 0 END AS waiting
  FROM
    (SELECT ($last - range::INTEGER)::DATE AS d FROM range($days)),
    (SELECT unnest($countries::VARCHAR[]) AS c),
    (SELECT unnest($senders::VARCHAR[]) AS s)
)
"""
_ROLLUPS: Final = """
INSERT INTO delivery_rollups_daily BY NAME
SELECT
  sent_date,
  CASE
    WHEN grouping(country) = 0 THEN 'country'
    WHEN grouping(sender_id) = 0 THEN 'sender_id'
    WHEN grouping(app_id) = 0 THEN 'app_id'
    ELSE 'all'
  END AS dimension,
  CASE
    WHEN grouping(country) = 0 THEN country WHEN grouping(sender_id) = 0 THEN sender_id
    WHEN grouping(app_id) = 0 THEN app_id
  END AS value,
  sum(sent) AS sent, sum(delivered) AS delivered, sum(failed) AS failed, sum(sending) AS sending,
  0 AS not_found, 0 AS pending, 0 AS unknown, 0 AS invalid_id,
  sum(delivered) / sum(sent) AS delivery_rate,
  sum(delivered) / sum(delivered + failed) AS delivery_rate_final,
  sum(delivered + failed) / sum(sent) AS dlr_coverage,
  any_value(latency_p50_seconds) AS latency_p50_seconds,
  any_value(latency_p95_seconds) AS latency_p95_seconds,
  any_value(latency_p99_seconds) AS latency_p99_seconds,
  bool_and(is_mature) AS is_mature
FROM delivery_rates_daily
GROUP BY GROUPING SETS ((sent_date), (sent_date, country), (sent_date, sender_id), (sent_date, app_id))
"""


def publication_by_hand(
    path: Path, *, days: int, countries: Sequence[str | None] = ("IN",), senders: Sequence[str | None] = ("ACME",)
) -> Path:
    """Make a published file with one bucket a day, country and sender, the last days still open, and a small backlog.

    Figures follow from the names and days alone, so that they differ and can be had again.
    """
    with duckdb.connect(path) as connection:
        for table in (*DETAIL_TABLES, *RATE_TABLES, SNAPSHOT_INFO):
            columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
            connection.execute(f"CREATE TABLE {table.name} ({columns})")
        for view in VIEWS:
            connection.execute(f"CREATE VIEW {view.name} AS {view_select(view.name)}")
        connection.execute(
            _RATES, {"last": LAST_DAY, "days": days, "countries": list(countries), "senders": list(senders)}
        )
        connection.execute(_ROLLUPS)
        if days:
            _add_backlog(connection, path.parent / "data" / "lake")
        connection.execute(
            "INSERT INTO snapshot_info VALUES ('messages', 0, 1, $at, $at, 'UTC', 'by hand', NULL)",
            {"at": PUBLISHED_AT},
        )
    return path


def _add_backlog(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    """Add open messages; `messages` becomes a view of files in a lake, as it is in what is published."""
    waiting = [("sending", 0.5), ("sending", 2), ("not_found", 3), ("pending", 30), ("unknown", 100), ("unknown", 400)]
    connection.executemany(
        "INSERT INTO messages BY NAME SELECT $id AS msg_id, $status AS delivery_status, $sent_at AS sent_at, "
        "$day AS sent_date, false AS is_final",
        [
            {"id": str(number), "status": status, "sent_at": sent_at, "day": day_of(sent_at)}
            for number, (status, hours) in enumerate(waiting)
            for sent_at in (PUBLISHED_AT - timedelta(hours=hours),)
        ],
    )

    files = list(_written(connection, lake / MESSAGES.name))
    connection.execute(f"DROP TABLE {MESSAGES.name}")
    connection.execute(f"CREATE VIEW {MESSAGES.name} AS {relation(MESSAGES, files)}")


def _written(connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[DataFile]:
    """Write the rows of `messages` to a file for each day."""
    columns = ", ".join(column.name for column in MESSAGES.stored_columns)
    for (day,) in connection.execute(f"SELECT DISTINCT sent_date FROM {MESSAGES.name}").fetchall():
        path = folder / f"sent_date={day}" / f"{new_name(MESSAGES)}.parquet"
        path.parent.mkdir(parents=True)
        select = f"SELECT {columns} FROM {MESSAGES.name} WHERE sent_date = DATE '{day}'"
        connection.execute(f"COPY ({select}) TO '{path}'")
        yield DataFile(path, day, rows=0, size=0)


def day_of(moment: datetime) -> date:
    """Return the day of an instant in UTC, the zone of these files."""
    return moment.astimezone(UTC).date()
