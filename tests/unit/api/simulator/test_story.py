"""The demo's world: what is sent follows weekdays and hours, and two incidents change what becomes of it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.api.simulator.countries import LONGEST_SECONDS
from pipeline.api.simulator.incidents import Incident
from pipeline.api.simulator.rules import FAILED, fate_of, make_msg_id
from pipeline.api.simulator.story import FAILING_COUNTRY, LABEL, LOGIN, SHOP, incidents, write_story

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)  # a Wednesday
DAYS = [NOW.date() - timedelta(days=step) for step in reversed(range(42))]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_story(tmp_path_factory.mktemp("logs"), messages=6000, days=DAYS, now=NOW)


@pytest.fixture(scope="module")
def records(paths: list[Path]) -> list[dict[str, Any]]:
    lines = [line for path in paths for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.endswith("}")]


def ids_of(record: dict[str, Any]) -> list[str]:
    if "response" in record:
        return [row["msgId"] for row in record["response"]["array"]]
    return [record["msg_id"]] if "msg_id" in record else []


def test_weekends_and_the_day_under_way_are_quieter(records: list[dict[str, Any]]) -> None:
    sent = Counter(record["sent_at"][:10] for record in records for _ in ids_of(record))
    by_weekday = Counter({day.weekday(): sent[day.isoformat()] for day in DAYS[-8:-1]})
    assert sum(sent.values()) == 6000
    assert by_weekday[6] < by_weekday[5] < min(by_weekday[day] for day in range(5))
    assert 0 < sent[NOW.date().isoformat()] < 0.7 * by_weekday[1]


def test_each_app_has_its_senders_and_campaigns(records: list[dict[str, Any]]) -> None:
    apps = {
        app: {(r["sender_id"], r[LABEL]) for r in records if r["app_id"] == app and ids_of(r)} for app in (SHOP, LOGIN)
    }
    assert len(apps[SHOP]) == 5
    assert len(apps[LOGIN]) == 3
    assert not apps[SHOP] & apps[LOGIN]


def test_two_lines_are_broken(paths: list[Path], records: list[dict[str, Any]]) -> None:
    lines = [line for path in paths for line in path.read_text().splitlines()]
    assert len(lines) - len(records) == 1
    assert sum(not ids_of(record) for record in records) == 1


def test_the_same_arguments_give_the_same_bytes(paths: list[Path], tmp_path: Path) -> None:
    again = write_story(tmp_path, messages=6000, days=DAYS, now=NOW)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_the_route_fails_in_one_country_for_two_days_and_one_evening_is_slow(records: list[dict[str, Any]]) -> None:
    known = incidents(NOW.date())
    changed: Counter[tuple[str, str]] = Counter()
    for record in records:
        for msg_id in ids_of(record):
            usual, now = fate_of(msg_id), fate_of(msg_id, known)
            day = record["sent_at"][:10]
            changed[day, f"failed {now.country}"] += now.status == FAILED != usual.status
            changed[day, "late"] += now.final_at != usual.final_at
            assert now.final_at is None or (now.final_at - NOW).total_seconds() < LONGEST_SECONDS + 60
    found = {key for key, count in changed.items() if count}
    assert found == {
        ("2026-11-10", f"failed {FAILING_COUNTRY}"),
        ("2026-11-11", f"failed {FAILING_COUNTRY}"),
        ("2026-11-13", "late"),
    }


def test_an_incident_never_makes_a_message_better() -> None:
    incident = Incident(NOW, NOW + timedelta(hours=1), failed_share=0.01)
    ids = [make_msg_id(NOW, number) for number in range(3000)]
    assert [fate_of(one, [incident]) for one in ids] == [fate_of(one) for one in ids]


def test_an_incident_strikes_from_its_start_until_before_its_end() -> None:
    incident = Incident(NOW, NOW + timedelta(hours=1), country="BR")
    assert incident.strikes("BR", NOW)
    assert not incident.strikes("BR", NOW + timedelta(hours=1))
    assert not incident.strikes("IN", NOW)
