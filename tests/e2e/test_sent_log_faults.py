"""What a run says of logs and settings that are wrong, and that a later run puts right what they spoiled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.places import Place, opened_place

MESSAGES = 300


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened_place(tmp_path, clock=datetime.now(UTC) + timedelta(hours=20), window_seconds=10**8) as place:
        yield place


def write(place: Place, records: list[dict[str, str]]) -> datetime:
    """Write a log of yesterday."""
    day = datetime.now(UTC).date() - timedelta(days=1)
    (place.folder / "logs").mkdir(exist_ok=True)
    text = "".join(json.dumps(record) + "\n" for record in records)
    (place.folder / "logs" / f"sent-{day}.jsonl").write_text(text)
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


@pytest.mark.slow
def test_a_default_app_that_was_wrong_leaves_nothing_behind_once_it_is_right(place: Place) -> None:
    noon = write(place, [])
    write(place, [{"msg_id": f"26112708000{number}000095", "sent_at": noon.isoformat()} for number in (1, 2, 3)])
    place.run("run", SMS_APP_ID="wrong")
    done = place.run("run", SMS_APP_ID="right")
    assert "0 stored, 3 known already (3 corrected), 0 rejected" in done.stdout
    assert place.query("SELECT app_id, count(*) FROM messages GROUP BY ALL") == [("right", 3)]
    rollups = "SELECT value, sum(sent) FROM delivery_rollups_daily WHERE dimension = 'app_id' GROUP BY ALL"
    assert place.query(rollups) == [("right", 3)]


@pytest.mark.slow
def test_a_zone_that_was_forgotten_is_told_with_the_offset_and_corrected_once_it_is_set(place: Place) -> None:
    noon = write(place, [])
    local = (noon + timedelta(hours=9)).replace(tzinfo=None).isoformat()
    ids = [f"{noon:%y%m%d%H%M%S}1{number:06}" for number in range(MESSAGES)]
    write(place, [{"msg_id": msg_id, "sent_at": local, "app_id": "app"} for msg_id in ids])
    told = place.run("run").stdout
    assert "latency_plausible" in told
    assert "SMS_SENT_LOG_TIMEZONE is UTC (UTC+00:00 then), and UTC+09:00 would make it plausible" in told
    delivered = place.query("SELECT count(*) FROM messages WHERE delivery_status = 'delivered'")
    done = place.run("run", SMS_SENT_LOG_TIMEZONE="Asia/Tokyo").stdout
    assert f"({MESSAGES} corrected)" in done
    assert "latency_plausible" not in done
    assert place.query("SELECT count(*), min(sent_at) = max(sent_at), min(latency_seconds) > -60 FROM messages") == [
        (MESSAGES, True, True)
    ]
    assert place.query("SELECT count(*) FROM messages WHERE delivery_status = 'delivered'") >= delivered


def test_a_log_that_is_mostly_unusable_is_told_and_fails_the_run_after_publication(place: Place) -> None:
    noon = write(place, [])
    good = {"msg_id": "2611270800000000095", "sent_at": noon.isoformat(), "app_id": "app"}
    write(place, [{"reference": "7", "sent_at": noon.isoformat()}] * 50 + [good])
    done = place.run("run", status=1)
    name = f"sent-{noon.date()}.jsonl"
    assert f"no_id: 50 records in 1 file, first {name}:1" in done.stdout
    assert f"{name} is mostly unusable: no_id: 50 records" in done.stderr
    assert place.query("SELECT msg_id FROM messages") == [(good["msg_id"],)]
    assert f"rejected     no_id: 50 records in 1 file, first {name}:1" in place.run("status").stdout
    assert "50 records of sent logs" in (place.folder / "data" / "report.html").read_text()
