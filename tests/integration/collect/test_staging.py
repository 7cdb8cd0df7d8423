"""Messages between reading and storing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.collect.reading import MESSAGES_SCHEMA
from pipeline.collect.staging import OPEN_FILES, Staging
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import ROWS_AT_ONCE
from pipeline.model.tables import SENT_MESSAGES

DAYS = [date(2026, 11, 1) + timedelta(days=step) for step in range(3 * OPEN_FILES)]
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def messages(*rows: tuple[str, date]) -> pa.Table:
    records = [
        {"app_id": "a", "msg_id": msg_id, "sent_at": NOON, "sent_date": day, "file": "log", "line": line, "item": 0}
        for line, (msg_id, day) in enumerate(rows)
    ]
    return pa.Table.from_pylist(records, schema=MESSAGES_SCHEMA)


def ids(staging: Staging, day: date) -> list[str]:
    paths = [file.path for file in staging.files() if file.sent_date == day]
    return [str(msg_id) for path in paths for msg_id in pq.read_table(path, partitioning=None)["msg_id"].to_pylist()]


def test_messages_of_however_many_days_are_read_by_day_in_their_order(tmp_path: Path) -> None:
    with Staging(tmp_path / "staged") as staging:
        for turn in "ab":
            staging.add(messages(*((f"{turn}{index}", day) for index, day in enumerate(DAYS))))
        files = staging.files()
        assert (staging.rows, sum(file.rows for file in files)) == (2 * len(DAYS), 2 * len(DAYS))
        assert [file.sent_date for file in files] == DAYS
        assert all(ids(staging, day) == [f"a{index}", f"b{index}"] for index, day in enumerate(DAYS))


def test_more_days_than_may_be_open_get_several_files_in_order(tmp_path: Path) -> None:
    few = [day for day in DAYS for _ in range(ROWS_AT_ONCE // len(DAYS) + 1)]
    with Staging(tmp_path / "staged") as staging:
        for turn in "ab":
            staging.add(messages(*((f"{turn}{index}", day) for index, day in enumerate(few))))
        files = staging.files()
        assert len(files) == 2 * len(DAYS)
        assert [msg_id[0] for msg_id in ids(staging, DAYS[0])] == sorted("ab" * (len(few) // len(DAYS)))


def test_what_was_written_is_read_again_with_what_came_since(tmp_path: Path) -> None:
    with Staging(tmp_path / "staged") as staging:
        staging.add(messages(("1", DAYS[0])))
        assert ids(staging, DAYS[0]) == ids(staging, DAYS[0]) == ["1"]
        staging.add(messages(("2", DAYS[0]), ("3", DAYS[1])))
        assert ids(staging, DAYS[0]) == ["1", "2"]


def test_nothing_is_left_of_messages_that_were_cleared(tmp_path: Path) -> None:
    with Staging(tmp_path / "staged") as staging:
        staging.add(messages(("1", DAYS[0])))
        staging.clear()
        assert (staging.rows, staging.files(), list((tmp_path / "staged").rglob("*.parquet"))) == (0, [], [])
        staging.add(messages(("2", DAYS[0])))
        assert ids(staging, DAYS[0]) == ["2"]


def test_what_cannot_be_written_is_an_error_where_the_files_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "staged").write_text("in the way")
    with Staging(tmp_path / "staged") as staging:
        staging.add(messages(("1", DAYS[0])))
        with pytest.raises(OSError, match="staged"):
            staging.files()


def test_what_could_not_be_written_is_an_error_though_more_was_added_since(tmp_path: Path) -> None:
    handful = messages(*((str(index), DAYS[0]) for index in range(ROWS_AT_ONCE)))
    (tmp_path / "staged").write_text("in the way")
    with Staging(tmp_path / "staged") as staging:
        staging.add(handful)
        with pytest.raises(OSError, match="staged"):
            staging.add(handful)


@pytest.mark.parametrize("has_links", [True, False])
def test_a_staged_file_becomes_one_of_the_table_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    link = Path.hardlink_to

    def refuse(self: Path, target: Path) -> None:
        if self.suffix == ".parquet":  # entries of the log are links on every file system that Delta works on
            raise PermissionError(1, "Operation not permitted")
        link(self, target)

    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    lake = Lake.open(tmp_path / "lake", mode=0o640, recorded={})
    with lake.scratch() as scratch, Staging(scratch) as staging:
        staging.add(messages(("1", DAYS[0])))
        (staged,) = staging.files()
        file = lake.write_from(SENT_MESSAGES, staged.path, staged.sent_date, rows=staged.rows)
        lake.commit(lake.snapshot(SENT_MESSAGES), add=[file])
        assert staged.path.exists()
    assert file.path.stat().st_mode & 0o777 == 0o640
    read = pq.read_table(file.path, partitioning=None)
    assert read.column_names == [column.name for column in SENT_MESSAGES.stored_columns]
    assert (read["msg_id"].to_pylist(), lake.snapshot(SENT_MESSAGES).rows) == (["1"], 1)
