"""Views of pushed reports: which contradict an answer, and what arrives in an hour."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb

from pipeline.lake.queries import create_table
from pipeline.model.tables import MESSAGES, PUSHED_REPORTS
from pipeline.publish.contents import view_select

DAY = date(2026, 10, 26)
NOON = datetime(2026, 10, 26, 12, tzinfo=UTC)


def test_pushed_reports_are_counted_by_hour_and_those_that_an_answer_contradicts_are_listed() -> None:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in (MESSAGES, PUSHED_REPORTS):
            create_table(connection, table)
        for view in ("contradictions", "pushes_by_hour"):
            connection.execute(f"CREATE VIEW {view} AS {view_select(view)}")
        for msg_id, status in (("1", "failed"), ("2", "delivered"), ("3", "sending")):
            connection.execute(
                "INSERT INTO messages BY NAME SELECT 'app' AS app_id, $id AS msg_id, $day AS sent_date, "
                "$status AS delivery_status",
                {"id": msg_id, "day": DAY, "status": status},
            )
        pushed = [("1", DAY, 0), ("1", DAY, 1), ("2", DAY, 2), ("3", DAY, 59), ("4", None, 60)]
        for msg_id, day, minute in pushed:
            connection.execute(
                "INSERT INTO pushed_reports BY NAME SELECT 'app' AS app_id, $id AS msg_id, $day AS sent_date, "
                "'delivered' AS status, $at AS received_at",
                {"id": msg_id, "day": day, "at": NOON.replace(hour=12 + minute // 60, minute=minute % 60)},
            )
        listed = connection.execute(
            "SELECT msg_id, pushed_status, delivery_status, received_at FROM contradictions"
        ).fetchall()
        hours = connection.execute("FROM pushes_by_hour").fetchall()
    assert listed == [("1", "delivered", "failed", NOON)]
    assert hours == [(NOON, "app", 4, 3, 1, 0, 1), (NOON.replace(hour=13), "app", 1, 1, 0, 1, 0)]
