"""Messages between reading and storing."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from pipeline.staging import OPEN_FILES, Staging

COLUMNS: dict[str, pa.DataType] = {"msg_id": pa.string(), "sent_date": pa.date32()}
SCHEMA = pa.schema(COLUMNS)
DAYS = [date(2026, 11, 1) + timedelta(days=step) for step in range(3 * OPEN_FILES)]


def messages(*rows: tuple[str, date]) -> pa.Table:
    return pa.table({"msg_id": [row[0] for row in rows], "sent_date": [row[1] for row in rows]}, schema=SCHEMA)


def ids(staging: Staging, *days: date) -> list[str]:
    return [str(msg_id) for msg_id in staging.read(days).read_all()["msg_id"].to_pylist()]


def test_messages_of_however_many_days_are_read_by_day_in_their_order(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staged", SCHEMA)
    for turn in "ab":
        staging.add(messages(*((f"{turn}{index}", day) for index, day in enumerate(DAYS))))
    assert (staging.rows, staging.days) == (2 * len(DAYS), DAYS)
    assert all(ids(staging, day) == [f"a{index}", f"b{index}"] for index, day in enumerate(DAYS))
    assert len(ids(staging, *DAYS)) == 2 * len(DAYS)


def test_what_was_read_is_read_again_with_what_came_since(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staged", SCHEMA)
    staging.add(messages(("1", DAYS[0])))
    assert ids(staging, DAYS[0]) == ids(staging, DAYS[0]) == ["1"]
    staging.add(messages(("2", DAYS[0]), ("3", DAYS[1])))
    assert ids(staging, DAYS[0]) == ["1", "2"]


def test_nothing_is_left_of_messages_that_were_cleared(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staged", SCHEMA)
    staging.add(messages(("1", DAYS[0])))
    staging.clear()
    assert (staging.rows, staging.days, list((tmp_path / "staged").iterdir())) == (0, [], [])
    staging.add(messages(("2", DAYS[0])))
    assert ids(staging, DAYS[0]) == ["2"]


def test_no_message_has_a_typed_table(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "staged", SCHEMA)
    staging.add(SCHEMA.empty_table())
    assert staging.read(staging.days).read_all() == SCHEMA.empty_table()
