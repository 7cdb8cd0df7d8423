"""`forget NUMBER`: nothing in any table or old file names the person afterwards, and every message is still counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.model.phone_numbers import Mode, NumberPolicy, treat_number
from tests.support.places import Place, write_logs

KEY = "0123456789abcdef" * 2


def numbers_logged(place: Place) -> list[str]:
    records = [json.loads(line) for path in place.folder.glob("logs/*") for line in path.read_text().splitlines()]
    return [record["number"] for record in records if "number" in record]


def rows_with(place: Place, text: str) -> int:
    """Look through every row of every Parquet file, and through the published files, as bytes."""
    found = 0
    for path in (place.folder / "data").rglob("*"):
        if path.suffix == ".parquet":
            found += sum(text in str(row) for row in pq.ParquetFile(path).read().to_pylist())
        elif path.is_file():
            found += text.encode() in path.read_bytes()
    return found


@pytest.mark.slow
def test_files_that_repair_moved_aside_are_told_until_they_are_deleted(place: Place) -> None:
    """Before, `forget` said that no row of any file holds the number."""
    write_logs(place, 20)
    place.run("run")
    number = numbers_logged(place)[0]
    folder = place.lake / "_damaged"
    folder.mkdir(mode=0o750)
    (folder / "sent_messages-part.parquet.1").write_text(number)
    assert f"1 files in {folder}, where `repair` moved them" in place.run("forget", number, status=1).stderr
    shutil.rmtree(folder)
    assert "0 rows of any file still hold it" in place.run("forget", number).stdout


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["keep", "hash", "mask"])
def test_a_forgotten_number_is_in_no_file_any_more_and_stays_forgotten(place: Place, mode: Mode) -> None:
    write_logs(place, 400)
    settings: dict[str, Any] = {
        "SMS_NUMBERS": mode, "SMS_NUMBERS_KEY": KEY, "SMS_SNAPSHOT_HOURS": "24", "SMS_UNKNOWN_AFTER_HOURS": "1",
    }  # fmt: skip
    number = numbers_logged(place)[0]
    log = min((place.folder / "logs").iterdir())  # of a day that is over, so that its rates are recorded
    sent_at = json.loads(log.read_text().splitlines()[0])["sent_at"]
    with log.open("a") as lines:
        lines.write(json.dumps({"msg_id": "none", "sent_at": "2026-01-01T00:00:00Z", "to": number}) + "\n")
        lines.write(json.dumps({"msg_id": "77", "sent_at": sent_at, "app_id": "app1", "from": f"+{number}"}) + "\n")
    place.run("run", **settings)
    sender = f"+{number}" if mode == "keep" else treat_number(number, NumberPolicy(mode, KEY.encode()))
    bucket = f"dimension = 'sender_id' AND value = '{sender}'"
    assert place.query(f"SELECT DISTINCT sent FROM rate_publications WHERE {bucket}") == [(1,)]
    assert place.query(f"SELECT sent FROM delivery_rollups_daily WHERE {bucket}") == [(1,)]
    counted = place.query("SELECT * FROM delivery_by_day")
    stored = {row[0] for row in place.query("SELECT number FROM messages")}
    held = place.query("SELECT DISTINCT number FROM messages WHERE msg_id = (SELECT min(msg_id) FROM messages)")
    assert held != [(None,)]
    if mode == "keep":
        assert rows_with(place, number) > 0

    done = place.run("forget", "-", given=f"+{number[:3]} {number[3:]}\n", **settings)
    assert number not in done.stdout + done.stderr
    assert "0 rows of any file still hold it" in done.stdout
    assert rows_with(place, number) == 0
    versions = place.published.with_name(f".{place.published.name}")
    assert list(versions.iterdir()) == [place.published.resolve().parent]
    assert place.query("SELECT * FROM delivery_by_day") == counted
    assert place.query("SELECT count(*) FROM messages WHERE number IS NULL")[0][0] >= 1  # type: ignore[operator]
    assert len({row[0] for row in place.query("SELECT number FROM messages")}) == len(stored) - 1

    place.run("run", "--force", **settings)
    place.run("rebuild", **settings)
    assert rows_with(place, number) == 0


def test_forget_refuses_text_that_is_no_phone_number(place: Place) -> None:
    write_logs(place, 10)
    place.run("run")
    assert "NUMBER: " in place.run("forget", "123", status=2).stderr


def test_forget_without_a_lake_names_the_setting_and_creates_nothing(place: Place, tmp_path: Path) -> None:
    assert "SMS_LAKE: " in place.run("forget", "919876543210", status=2).stderr
    assert not (tmp_path / "data").exists()
