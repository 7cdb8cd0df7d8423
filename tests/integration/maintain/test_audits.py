"""Each audit passes on a sound lake, fails on one that was damaged on purpose, and is not misled by a run under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.maintain.audits.context import Finding, opened_context
from pipeline.maintain.audits.delivery_reports import OVERDUE
from pipeline.maintain.audits.registry import AUDITS
from pipeline.maintain.forget import forget
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, DELIVERY_ROLLUPS_DAILY, MESSAGES, REJECTED_RECORDS, Table
from pipeline.publish.database import publish
from tests.scenarios.stage import read_file
from tests.support.kept import Kept
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAYS = [date(2026, 3, 9), date(2026, 3, 10)]
NUMBER = "91856321412"


@pytest.fixture
def tmp_path(kept: Kept) -> Path:
    return kept.emptied()


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


def msg_id(place: int) -> str:
    return f"26030900000000{place:05d}"


def tell(lake: Lake, places: range, statuses: str, *, day: date, at: datetime = NOW, **tallies: Any) -> None:
    """Store a call and its answers: d, f, s, n stand for delivered, failed, sending, not_found."""
    words = {"d": "delivered", "f": "failed", "s": "sending", "n": "not_found"}
    said = [words[letter] for letter in statuses]
    call_id = f"call-{day}-{places.start}"
    answers = [Said(msg_id(place), status, at) for place, status in zip(places, said, strict=True)]
    rows = pa.Table.from_pylist(
        [
            {"app_id": a.app_id, "msg_id": a.msg_id, "status": a.status, "observed_at": a.observed_at,
             "call_id": call_id, "sent_date": day}
            for a in answers
        ],
        schema=arrow_schema(DELIVERY_REPORTS),
    )  # fmt: skip
    lake.append(DELIVERY_REPORTS, [lake.write(DELIVERY_REPORTS, rows, day)])
    names = {"success": "delivered", "fail": "failed", "sending": "sending", "not_found": "not_found"}
    row = {name: said.count(status) for name, status in names.items()} | {"outcome": "ok", "ids": len(said)} | tallies
    add(lake, API_CALLS, {"call_id": call_id, "app_id": "app", "sent_date": day, "requested_at": at} | row, day)


def add(lake: Lake, table: Table, row: dict[str, object], day: date | None) -> None:
    lake.append(table, [lake.write(table, pa.Table.from_pylist([row], schema=arrow_schema(table)), day)])


def settle(lake: Lake, settings: Settings, now: datetime = NOW) -> None:
    """Derive and publish, as a run does."""
    derive_messages(DAYS, lake=lake, settings=settings, now=now)
    derive_rates(DAYS, lake=lake, settings=settings, now=now)
    publish(lake=lake, settings=settings, now=now)


@pytest.fixture
def sound(lake: Lake, chosen: Settings, kept: Kept) -> Lake:
    def make() -> None:
        for start, day in ((0, DAYS[0]), (100, DAYS[1])):
            sent_at = datetime(day.year, day.month, day.day, 11, 50, tzinfo=UTC)
            store_sent(lake, [Sent(msg_id(start + place), sent_at, number=NUMBER, country="IN") for place in range(10)])
            tell(lake, range(start, start + 10), "ddddddffsn", day=day)
        settle(lake, chosen)

    kept.put(make)
    return lake


def look(lake: Lake, settings: Settings, name: str, *, now: datetime = NOW) -> Finding:
    with opened_context(DAYS, lake=lake, settings=settings, now=now) as context:
        return AUDITS[name].run(context)


def red(lake: Lake, settings: Settings) -> dict[str, Finding]:
    """Return the findings of audits that fail."""
    with opened_context(DAYS, lake=lake, settings=settings, now=NOW) as context:
        return {name: finding for name, audit in AUDITS.items() if not (finding := audit.run(context)).passed}


def test_an_empty_lake_passes(lake: Lake, chosen: Settings) -> None:
    publish(lake=lake, settings=chosen, now=NOW)
    assert red(lake, chosen) == {}


def test_a_sound_lake_passes_with_plain_numbers(sound: Lake, chosen: Settings) -> None:
    assert red(sound, chosen) == {}
    for name in AUDITS:
        assert all(type(value) in {int, float} for value in look(sound, chosen, name).figures.values())


def test_no_audit_fails_for_a_run_that_is_under_way(sound: Lake, chosen: Settings) -> None:
    store_sent(sound, [Sent(msg_id(place), NOW - timedelta(hours=30)) for place in range(50, 60)])
    assert red(sound, chosen) == {}, "stored, not asked"
    tell(sound, range(50, 60), "dddddddddd", day=DAYS[0])
    assert red(sound, chosen) == {}, "asked, not derived"
    derive_messages(DAYS, lake=sound, settings=chosen, now=NOW)
    assert red(sound, chosen) == {}, "derived, not counted"
    derive_rates(DAYS, lake=sound, settings=chosen, now=NOW)
    assert red(sound, chosen) == {}, "counted, not published"


@pytest.mark.slow
def test_no_audit_fails_after_a_number_was_forgotten_or_after_a_rebuild(sound: Lake, chosen: Settings) -> None:
    forget(NUMBER, lake=sound, settings=chosen)
    assert red(sound, chosen) == {}
    derive_messages(DAYS, lake=sound, settings=chosen, now=NOW, anew=True)
    derive_rates(DAYS, lake=sound, settings=chosen, now=NOW, anew=True)
    assert red(sound, chosen) == {}


def doubled(lake: Lake, table: Table, day: date) -> None:
    """Add a partition's rows once more."""
    present = lake.snapshot(table)
    (file, *_) = present.of([day])
    again = lake.new_file(table, day)
    again.write_bytes(file.path.read_bytes())
    lake.append(table, [replace(file, path=again)])


def dropped(lake: Lake, table: Table, day: date) -> None:
    present = lake.snapshot(table)
    lake.commit(present, remove=present.of([day]))


@pytest.mark.parametrize("spoil", [doubled, dropped])
def test_a_message_twice_or_missing_is_found(
    sound: Lake, chosen: Settings, spoil: Callable[[Lake, Table, date], None]
) -> None:
    spoil(sound, MESSAGES, DAYS[0])
    finding = look(sound, chosen, "each_message_once")
    assert not finding.passed
    assert finding.is_severe
    assert finding.figures["bad_messages"] == 10
    assert finding.examples[0]["msg_id"] == msg_id(0)
    assert NUMBER not in str(finding)


@pytest.mark.parametrize("spoil", [doubled, dropped])
def test_rates_that_count_other_messages_than_there_are_are_found(
    sound: Lake, chosen: Settings, spoil: Callable[[Lake, Table, date], None]
) -> None:
    spoil(sound, DELIVERY_ROLLUPS_DAILY, DAYS[1])
    finding = look(sound, chosen, "states_sum_to_sent")
    assert not finding.passed
    assert finding.is_severe


def test_states_that_do_not_sum_are_found(sound: Lake, chosen: Settings) -> None:
    present = sound.snapshot(DELIVERY_ROLLUPS_DAILY)
    (file,) = present.of([DAYS[0]])
    with duckdb.connect() as connection:
        path = sound.new_file(DELIVERY_ROLLUPS_DAILY, DAYS[0])
        connection.execute(
            f"COPY (SELECT * REPLACE (delivered + 1 AS delivered) FROM read_parquet('{file.path}', "
            f"hive_partitioning = false)) TO '{path}' (FORMAT parquet)"
        )
    sound.commit(present, add=[sound.finished(path, DAYS[0], rows=file.rows)], remove=[file])
    finding = look(sound, chosen, "states_sum_to_sent")
    assert not finding.passed
    assert finding.examples[0]["table_name"] == "delivery_rollups_daily"


def test_answers_that_were_lost_are_an_error_and_tallies_that_came_wrong_are_a_warning(
    sound: Lake, chosen: Settings
) -> None:
    tell(sound, range(200, 203), "ddf", day=DAYS[0], outcome="mismatch", success=3)
    finding = look(sound, chosen, "answers_reconcile")
    assert (finding.passed, finding.is_severe) == (False, False)
    tell(sound, range(300, 303), "ddf", day=DAYS[0], success=3)
    finding = look(sound, chosen, "answers_reconcile")
    assert (finding.passed, finding.is_severe, finding.figures["calls_lost_or_doubled"]) == (False, True, 1)


def test_tallies_that_often_came_wrong_are_an_error(sound: Lake, chosen: Settings) -> None:
    for start in (200, 210):
        tell(sound, range(start, start + 3), "ddf", day=DAYS[0], outcome="mismatch", success=3)
    finding = look(sound, chosen, "answers_reconcile")
    assert (finding.passed, finding.is_severe, finding.figures["calls_lost_or_doubled"]) == (False, True, 0)


def test_answers_that_followed_a_message_to_another_day_are_not_lost(sound: Lake, chosen: Settings) -> None:
    tell(sound, range(200, 203), "ddf", day=DAYS[0])
    present = sound.snapshot(DELIVERY_REPORTS)
    (moved,) = (file for file in present.of([DAYS[0]]) if file.rows == 3)
    rows = pa.Table.from_pylist(read_file(moved), schema=arrow_schema(DELIVERY_REPORTS))
    month_before = DAYS[0] - timedelta(days=30)
    sound.commit(present, add=[sound.write(DELIVERY_REPORTS, rows, month_before)], remove=[moved])
    assert look(sound, chosen, "answers_reconcile").passed


@pytest.mark.parametrize(("messages", "seconds", "passed"), [(100, -61, False), (99, -61, True), (100, -59, True)])
def test_a_median_latency_that_can_not_be_right_is_a_warning_that_names_the_offset(
    lake: Lake, chosen: Settings, messages: int, seconds: int, *, passed: bool
) -> None:
    sent_at = datetime.combine(DAYS[0], time(8), UTC)
    sent = [Sent(msg_id(place), sent_at) for place in range(messages)]
    store_sent(lake, sent)
    received = sent_at + timedelta(seconds=seconds)
    store_answers(lake, [(Said(each.msg_id, "delivered", NOW, received), DAYS[0]) for each in sent])
    derive_messages(DAYS, lake=lake, settings=chosen, now=NOW)
    derive_rates(DAYS, lake=lake, settings=chosen, now=NOW)
    finding = look(lake, chosen, "latency_plausible")
    assert (finding.passed, finding.is_severe) == (passed, False)
    words = [str(row["words"]) for row in finding.examples]
    assert all("SMS_SENT_LOG_TIMEZONE is UTC" in each and "UTC+00:15 would" in each for each in words)
    assert len(words) == (not passed)


def test_answers_stored_twice_are_found(sound: Lake, chosen: Settings) -> None:
    doubled(sound, DELIVERY_REPORTS, DAYS[1])
    assert look(sound, chosen, "answers_reconcile").figures["calls_lost_or_doubled"] == 1


def test_tallies_that_the_platform_left_out_are_not_compared(sound: Lake, chosen: Settings) -> None:
    tell(sound, range(200, 203), "ddf", day=DAYS[0], success=None, fail=None, sending=None, not_found=None)
    assert look(sound, chosen, "answers_reconcile").passed


def reject(lake: Lake, count: int, reason: str = "no_id: there is no msg_id") -> None:
    for line in range(count):
        row = {"source": "sent_log", "file": "log", "line": line, "item": 0, "reason": reason, "sent_date": DAYS[0]}
        add(lake, REJECTED_RECORDS, row, DAYS[0])


@pytest.mark.parametrize(("rejects", "passed"), [(4, True), (5, False)])
def test_more_than_a_few_rejected_records_are_found(
    sound: Lake, chosen: Settings, rejects: int, *, passed: bool
) -> None:
    reject(sound, rejects)
    finding = look(sound, chosen, "rejected_share")
    assert finding.passed is passed
    if not passed:
        assert finding.figures["worst_share"] == pytest.approx(5 / 15)
        assert finding.is_severe
        assert finding.examples[0]["most_often"] == "no_id"


def test_messages_that_sendsms_refused_are_not_the_logs_fault(sound: Lake, chosen: Settings) -> None:
    reject(sound, 8, "not_sent: sendSms answered with a status other than 0")
    assert look(sound, chosen, "rejected_share").passed


def test_messages_due_for_too_long_are_found_on_any_day_however_few_the_run_is_for(
    sound: Lake, chosen: Settings
) -> None:
    soon = look(sound, chosen, "nothing_overdue", now=NOW + OVERDUE)
    assert soon.passed
    late = NOW + timedelta(days=1)
    with opened_context([], lake=sound, settings=chosen, now=late) as context:
        finding = AUDITS["nothing_overdue"].run(context)
    assert (finding.passed, finding.is_severe, finding.figures["overdue"]) == (False, False, 4)
    much_later = look(sound, chosen, "nothing_overdue", now=NOW + timedelta(days=3))
    assert much_later.is_severe


def test_messages_given_up_are_not_overdue(sound: Lake, chosen: Settings) -> None:
    assert look(sound, chosen, "nothing_overdue", now=NOW + timedelta(days=30)).passed


def test_messages_never_asked_for_are_overdue_from_when_they_were_stored(lake: Lake, chosen: Settings) -> None:
    now = datetime.now(UTC)
    store_sent(lake, [Sent(msg_id(1), now - timedelta(days=2))])
    derive_messages([], lake=lake, settings=chosen, now=now)
    derive_rates([], lake=lake, settings=chosen, now=now)
    assert look(lake, chosen, "nothing_overdue", now=now + timedelta(hours=1)).passed
    finding = look(lake, chosen, "nothing_overdue", now=now + timedelta(hours=3))
    assert finding.figures["overdue"] == 1
    assert 2.9 < finding.figures["overdue_hours"] < 3.1


def store_day(lake: Lake, back: int, messages: int, failed: int, *, country: str = "IN") -> None:
    """Store messages of noon so many days ago, and final answers for them; the sender looks like a number."""
    sent_at = datetime.combine(NOW.date() - timedelta(days=back), time(12), UTC)
    ids = [f"{country == 'IN':d}{back:02d}{place:06d}" for place in range(messages)]
    store_sent(lake, [Sent(i, sent_at, country=country, sender_id="12345678901") for i in ids])
    said = [Said(i, "failed" if n < failed else "delivered", sent_at + timedelta(minutes=9)) for n, i in enumerate(ids)]
    store_answers(lake, [(each, sent_at.date()) for each in said])


def derive_all(lake: Lake, chosen: Settings) -> None:
    derive_messages([], lake=lake, settings=chosen, now=NOW)
    derive_rates([], lake=lake, settings=chosen, now=NOW)


def test_a_route_that_delivers_clearly_worse_is_found_and_chance_is_not(lake: Lake, chosen: Settings) -> None:
    for country, now_failed in (("IN", 12), ("BR", 60)):
        store_day(lake, 9, 200, 10, country=country)
        store_day(lake, 1, 200, now_failed, country=country)
    derive_all(lake, chosen)
    finding = look(lake, chosen, "delivery_rate_held")
    assert not finding.passed
    assert not finding.is_severe
    assert {(row["dimension"], row["value"]) for row in finding.examples} >= {("country", "BR"), ("all", None)}
    assert ("country", "IN") not in {(row["dimension"], row["value"]) for row in finding.examples}
    assert finding.figures["worst_drop"] == pytest.approx(0.25)
    assert "12345678901" not in str(finding)


@pytest.mark.parametrize(("failed", "movers"), [(50, 0), (100, 3)])
def test_a_drop_of_a_mature_day_that_worst_movers_shows_is_found(
    lake: Lake, chosen: Settings, failed: int, movers: int
) -> None:
    """By app, country, sender and all: the sender is the only one, and so is the app."""
    store_day(lake, 12, 250, 0)
    store_day(lake, 5, 250, failed)
    store_day(lake, 1, 10, 0)
    derive_all(lake, chosen)
    finding = look(lake, chosen, "delivery_rate_held")
    assert finding.figures["buckets_that_dropped"] == 0
    assert finding.figures["worst_movers_that_dropped"] == movers + (movers > 0)
    assert finding.passed == (not movers)


def test_an_older_lake_that_was_restored_is_found(sound: Lake, chosen: Settings) -> None:
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        rows = connection.execute("FROM snapshot_info").fetchall()
    ahead = chosen.duckdb.with_name("ahead.duckdb")
    with duckdb.connect(ahead) as connection:
        connection.execute(f"ATTACH '{chosen.duckdb}' AS old (READ_ONLY)")
        connection.execute(
            "CREATE TABLE snapshot_info AS SELECT * REPLACE (lake_version + 9 AS lake_version) FROM old.snapshot_info"
        )
        connection.execute("CREATE TABLE messages AS FROM old.messages")
    finding = look(sound, chosen.model_copy(update={"duckdb": ahead}), "published_file_agrees")
    assert finding.is_severe
    assert finding.figures["differences"] == len(rows)


def test_a_file_that_has_gone_from_under_the_published_views_is_found(sound: Lake, chosen: Settings) -> None:
    for file in sound.snapshot(MESSAGES).of([DAYS[0]]):
        file.path.unlink()
    finding = look(sound, chosen, "published_file_agrees")
    assert not finding.passed


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE delivery_rates_daily DROP COLUMN dlr_coverage",
        "ALTER TABLE delivery_rates_daily ADD COLUMN more INTEGER",
        "ALTER TABLE delivery_rates_daily ALTER sent TYPE VARCHAR",
        "COMMENT ON COLUMN delivery_rates_daily.sent IS 'something else'",
        "DROP VIEW backlog",
    ],
)
def test_a_column_that_is_not_as_documented_is_found(
    sound: Lake, chosen: Settings, change: str, tmp_path: Path
) -> None:
    changed = tmp_path / "changed.duckdb"
    changed.write_bytes(chosen.duckdb.read_bytes())
    with duckdb.connect(changed) as connection:
        connection.execute(change)
    finding = look(sound, chosen.model_copy(update={"duckdb": changed}), "schema_as_documented")
    assert not finding.passed
    assert finding.is_severe
