"""`export FILE`: what the command says and how it ends."""

from __future__ import annotations

import duckdb
import openpyxl
import pytest

from tests.support.places import Place, write_logs


@pytest.mark.slow
def test_a_range_of_days_is_written_to_a_file_once(place: Place) -> None:
    assert "SMS_LAKE: " in place.run("export", "days.duckdb", status=2).stderr
    today = write_logs(place, 30).date().isoformat()
    place.run("run")
    done = place.run("export", "days.duckdb", "--from", today, "--to", today)
    ((messages,),) = place.query(f"SELECT count(*) FROM messages WHERE sent_date = '{today}'")
    assert f"days.duckdb: {messages} messages" in done.stdout
    with duckdb.connect(place.folder / "days.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT sum(sent) FROM delivery_by_day").fetchall() == [(messages,)]
    assert "FILE: " in place.run("export", "days.duckdb", status=2).stderr
    assert "--from, --to: " in place.run("export", "other.duckdb", "--to", "2024-01-01", status=2).stderr


@pytest.mark.slow
def test_one_table_is_written_by_the_ending_of_its_file(place: Place) -> None:
    write_logs(place, 30)
    place.run("run")
    done = place.run("export", "days.xlsx", "--view", "delivery_by_day")
    assert "rows of delivery_by_day; times are those of UTC" in done.stdout
    (head, *rows) = openpyxl.load_workbook(place.folder / "days.xlsx").worksheets[0].values
    assert head[0] == "sent_date"
    assert len(rows) == len(place.query("FROM delivery_by_day"))
    for arguments, option in [
        (("a.txt",), "FILE: must end with"),
        (("a.duckdb", "--where", "true"), "--where: a .duckdb file holds all"),
        (("a.csv", "--where", "tru e"), "--where: "),
        (("a.csv", "--view", "x", "--table", "y"), "--table, --view: name one"),
    ]:
        failed = place.run("export", *arguments, status=2).stderr
        assert option in failed
        assert failed.count("\n") == 1
