"""Sample logs: exact totals, the right days, and the same world as the API's."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.api.simulator.rules import fate_of, sent_at_of
from pipeline.api.simulator.sample_logs import SENDERS, ids_by_app, sent_messages, write_sent_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAYS = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]
NOW = datetime(2026, 3, 3, 9, 30, tzinfo=UTC)
HELSINKI = ZoneInfo("Europe/Helsinki")


def records(paths: list[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def messages_of(lines: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield (msg_id, number, sent_at) of every message."""
    for record in lines:
        if "response" in record:
            yield from ((row["msgId"], row["number"], record["sent_at"]) for row in record["response"]["array"])
        else:
            yield record["msg_id"], record["number"], record["sent_at"]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("logs") / "new"
    return write_sent_logs(folder, messages=5000, days=DAYS, now=NOW, app_id="app")


def test_there_is_a_file_a_day(paths: list[Path]) -> None:
    assert [path.name for path in paths] == [
        "sent-2026-03-01.jsonl",
        "sent-2026-03-02.jsonl",
        "sent-2026-03-03.jsonl",
    ]


def test_the_total_is_exact_and_spread_evenly(paths: list[Path]) -> None:
    assert [len(list(messages_of(records([path])))) for path in paths] == [1667, 1667, 1666]


def test_ids_are_unique_and_numbers_and_seconds_are_those_of_the_api(paths: list[Path]) -> None:
    found = list(messages_of(records(paths)))

    assert len({msg_id for msg_id, _, _ in found}) == 5000
    for msg_id, number, sent_at in found:
        assert number == fate_of(msg_id).number
        assert datetime.fromisoformat(sent_at) == sent_at_of(msg_id)


def test_each_message_is_of_its_files_day_and_none_later_than_now(paths: list[Path]) -> None:
    for path in paths:
        times = [datetime.fromisoformat(sent_at) for _, _, sent_at in messages_of(records([path]))]
        assert {moment.date().isoformat() for moment in times} == {path.stem.removeprefix("sent-")}
        assert times == sorted(times)
        assert max(times) <= NOW


def test_a_fifth_of_the_messages_are_whole_answers_of_send_sms(paths: list[Path]) -> None:
    lines = records(paths)
    answers = [record["response"] for record in lines if "response" in record]
    sizes = [len(answer["array"]) for answer in answers]

    assert sum(sizes) / 5000 == pytest.approx(0.2, abs=0.04)
    assert set(sizes) <= {2, 3, 4, 5}
    for answer in answers:
        ids = [row["msgId"] for row in answer["array"]]
        assert ids == [str(int(ids[0]) + n) for n in range(len(ids))]
        assert answer["success"] == str(len(ids))


def test_every_record_names_app_and_sender(paths: list[Path]) -> None:
    lines = records(paths)

    assert {record["app_id"] for record in lines} == {"app"}
    assert {record["sender_id"] for record in lines} == set(SENDERS)


def test_days_are_busier_than_nights(paths: list[Path]) -> None:
    full_days = messages_of(records(paths[:2]))
    hours = Counter(datetime.fromisoformat(sent_at).hour for _, _, sent_at in full_days)

    assert sum(hours[hour] for hour in range(9, 17)) > 8 * sum(hours[hour] for hour in range(6))


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(paths: list[Path], tmp_path: Path) -> None:
    again = write_sent_logs(tmp_path / "a", messages=5000, days=DAYS, now=NOW, app_id="app")
    other = write_sent_logs(tmp_path / "b", messages=5000, days=DAYS, now=NOW, app_id="app", seed=2)

    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]
    assert not set(messages_of(records(other))) & set(messages_of(records(paths)))


def test_the_plain_list_is_what_the_files_hold(paths: list[Path]) -> None:
    in_files = [(msg_id, datetime.fromisoformat(sent_at)) for msg_id, _, sent_at in messages_of(records(paths))]

    assert sent_messages(messages=5000, days=DAYS, now=NOW) == in_files


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 1)])
def test_days_are_those_of_the_zone_also_when_clocks_change(day: date, tmp_path: Path) -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    written = write_sent_logs(tmp_path, messages=3000, days=[day], now=now, app_id="app", zone=HELSINKI)
    times = [sent_at for _, _, sent_at in messages_of(records(written))]

    assert {datetime.fromisoformat(text).astimezone(HELSINKI).date() for text in times} == {day}
    assert {text[-6:] for text in times} <= {"+02:00", "+03:00"}


def test_days_to_come_get_nothing_and_their_share_goes_to_the_others(tmp_path: Path) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    written = write_sent_logs(tmp_path, messages=100, days=DAYS, now=now, app_id="app")

    assert [len(list(messages_of(records([path])))) for path in written] == [50, 50]
    assert {sent_at for _, _, sent_at in messages_of(records(written[1:]))} == {"2026-03-02T00:00:00+00:00"}


def test_messages_without_a_day_are_refused() -> None:
    with pytest.raises(ValueError, match="no day"):
        sent_messages(messages=1, days=DAYS, now=NOW - timedelta(days=30))


def test_no_messages_make_empty_files(tmp_path: Path) -> None:
    written = write_sent_logs(tmp_path, messages=0, days=DAYS, now=NOW, app_id="app")

    assert [path.read_text() for path in written] == ["", "", ""]


def test_ids_are_read_back_from_the_logs_by_app_and_in_order(tmp_path: Path) -> None:
    """What `--sent-log` puts on record is what was sent."""
    days, now = [date(2026, 11, 27)], datetime(2026, 11, 29, tzinfo=UTC)
    paths = write_sent_logs(tmp_path, messages=200, days=days, now=now, app_id="app1")

    assert ids_by_app(paths) == {
        "app1": sorted(msg_id for msg_id, _ in sent_messages(messages=200, days=days, now=now))
    }
    (tmp_path / "other.jsonl").write_text('{"id":1}\n')
    with pytest.raises(ValueError, match="not a log of the simulator"):
        ids_by_app([tmp_path / "other.jsonl"])
