"""`messages` and the rates against a plain-Python model, on a real lake and through the published file."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.maintain.due import open_days
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import MESSAGES, RATE_TABLES
from pipeline.publish.database import publish
from tests.oracle.states import Expected, day_end, expected_bucket, expected_state, local_hour
from tests.scenarios.stage import read_table
from tests.support.lakes import Said, Sent, day_of, store_answers, store_sent

NOW = datetime(2026, 10, 27, 12, 0, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe")
MEASURES = (
    "sent", "delivered", "failed", "sending", "not_found", "pending", "unknown", "invalid_id",
    "delivery_rate", "delivery_rate_final", "dlr_coverage",
    "latency_p50_seconds", "latency_p95_seconds", "latency_p99_seconds", "is_mature",
)  # fmt: skip
World = tuple[list[Sent], list[Said]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Some messages of a few days around a change of clocks, and answers for some of them in any order."""
    some = st.sampled_from
    seconds = st.integers(0, 5 * 86_400)
    sent = [
        Sent(
            msg_id=str(2_610_000_000_000_000_000 + number),
            sent_at=NOW - timedelta(seconds=draw(seconds)),
            app_id=draw(some(["app", "other"])),
            country=draw(some([None, "IN", "DE"])),
            sender_id=draw(some([None, "ACME", "'; DROP"])),
            labels=draw(some([None, {"campaign": "spring"}, {"campaign": "o'clock", "kind of": "otp"}])),
        )
        for number in range(draw(st.integers(1, 25)))
    ]
    answers = [
        Said(
            msg_id=message.msg_id,
            app_id=message.app_id,
            status=draw(some(["delivered", "failed", "sending", "not_found", "invalid_id"])),
            observed_at=message.sent_at + timedelta(seconds=draw(st.integers(1, 10**6)), microseconds=order),
            receive_time=draw(some([None, message.sent_at + timedelta(seconds=draw(st.integers(-2, 9000)))])),
            country=draw(some([None, "BR"])),
        )
        for order, message in enumerate(draw(st.lists(some(sent), max_size=60)))
    ]
    return sent, answers


@contextmanager
def small_lake(**values: object) -> Iterator[tuple[Lake, Settings]]:
    with tempfile.TemporaryDirectory() as folder:
        chosen = given_settings(Path(folder), **values)
        yield Lake.open(chosen.lake, mode=chosen.file_mode, recorded={}), chosen


def fill(lake: Lake, world: World, zone: ZoneInfo) -> list[date]:
    sent, answers = world
    days = {message.msg_id: day_of(message.sent_at, zone) for message in sent}
    store_sent(lake, sent, zone=zone)
    store_answers(lake, [(said, days[said.msg_id]) for said in answers])
    return sorted(set(days.values()))


def expected_states(world: World, unknown_after: timedelta) -> list[tuple[Sent, Expected]]:
    sent, answers = world
    said_of: dict[str, list[Said]] = defaultdict(list)
    for said in answers:
        said_of[said.msg_id].append(said)
    return [
        (message, expected_state(message, said_of[message.msg_id], now=NOW, unknown_after=unknown_after))
        for message in sent
    ]


def published(lake: Lake, chosen: Settings, days: list[date]) -> duckdb.DuckDBPyConnection:
    derive_messages(days, lake=lake, settings=chosen, now=NOW)
    derive_rates(days, lake=lake, settings=chosen, now=NOW)
    publish(lake=lake, settings=chosen, now=NOW)
    return duckdb.connect(chosen.duckdb, read_only=True)


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(world=worlds(), zone_name=st.sampled_from(ZONES))
def test_every_cell_of_messages_and_rates_agrees_with_a_recomputation_in_plain_python(
    world: World, zone_name: str
) -> None:
    assert_agrees(world, zone_name)


@pytest.mark.thorough
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(world=worlds(), zone_name=st.sampled_from(ZONES))
def test_every_cell_agrees_in_many_more_worlds(world: World, zone_name: str) -> None:
    assert_agrees(world, zone_name)


def assert_agrees(world: World, zone_name: str) -> None:
    labels = "campaign, kind of"
    with small_lake(timezone=zone_name, unknown_after_hours=48, sent_log_labels=labels) as (lake, chosen):
        days = fill(lake, world, chosen.timezone)
        expected = expected_states(world, chosen.unknown_after)
        with published(lake, chosen, days) as connection:
            assert states_in(connection) == {
                (s.app_id, s.msg_id): (e.status, e.is_final, e.receive_time, e.polls, e.latency) for s, e in expected
            }
            country_of = dict(connection.execute("SELECT msg_id, country FROM messages").fetchall())
            for table, key_of in bucket_keys(chosen.timezone, country_of).items():
                assert_buckets(connection, table, key_of, expected, chosen)


def states_in(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], tuple[object, ...]]:
    rows = connection.execute(
        "SELECT app_id, msg_id, delivery_status, is_final, receive_time, poll_count, latency_seconds FROM messages"
    ).fetchall()
    assert len(rows) == len({row[:2] for row in rows})
    return {row[:2]: row[2:] for row in rows}


KeyOf = Callable[[Sent], list[tuple[Any, ...]]]


def bucket_keys(zone: ZoneInfo, country_of: dict[str, str | None]) -> dict[str, KeyOf]:
    def dimensions(sent: Sent) -> list[tuple[Any, ...]]:
        country = country_of[sent.msg_id]
        labels = [(f"label:{name}", (sent.labels or {}).get(name)) for name in ("campaign", "kind of")]
        return [("all", None), ("app_id", sent.app_id), ("country", country), ("sender_id", sent.sender_id), *labels]

    def day(sent: Sent) -> tuple[Any, ...]:
        return (day_of(sent.sent_at, zone),)

    def hour(sent: Sent) -> tuple[Any, ...]:
        return (*day(sent), local_hour(sent.sent_at, zone))

    return {
        "delivery_rates_daily": lambda s: [(*day(s), s.app_id, country_of[s.msg_id], s.sender_id)],
        "delivery_rates_hourly": lambda s: [(*hour(s), s.app_id, country_of[s.msg_id], s.sender_id)],
        "delivery_rollups_daily": lambda s: [(*day(s), *cut) for cut in dimensions(s)],
        "delivery_rollups_hourly": lambda s: [(*hour(s), *cut) for cut in dimensions(s)],
    }


def assert_buckets(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    key_of: KeyOf,
    expected: list[tuple[Sent, Expected]],
    chosen: Settings,
) -> None:
    members: dict[tuple[Any, ...], list[tuple[Sent, Expected]]] = defaultdict(list)
    for sent, state in expected:
        for key in key_of(sent):
            members[key].append((sent, state))
    names = next(t for t in RATE_TABLES if t.name == table).column_names
    keys = [name for name in names if name not in MEASURES]
    rows = connection.execute(f"SELECT {', '.join((*keys, *MEASURES))} FROM {table}").fetchall()
    assert len(rows) == len(members), table
    for row in rows:
        key, got = row[: len(keys)], dict(zip(MEASURES, row[len(keys) :], strict=True))
        ends = key[1] + timedelta(hours=1) if "sent_hour" in keys else day_end(key[0], chosen.timezone)
        want = expected_bucket(members[key], ends=ends, now=NOW, unknown_after=chosen.unknown_after)
        assert got == pytest.approx(want), (table, key)
        assert got["sent"] == sum(got[name] for name in MEASURES[1:8]), (table, key)


@pytest.mark.parametrize(
    ("zone_name", "change"),
    [
        ("Europe/Berlin", "2026-10-25T01:00"),  # a day of 25 hours
        ("Australia/Lord_Howe", "2026-04-04T15:00"),  # of 24 and a half
        ("Australia/Lord_Howe", "2026-10-03T15:30"),  # of 23 and a half
        ("Asia/Kathmandu", "2026-05-03T00:00"),
        ("America/St_Johns", "2026-03-08T05:30"),
        ("Asia/Pyongyang", "2015-08-14T15:00"),  # half an hour before midnight, twice
    ],
)
def test_hours_are_those_of_the_zone_around_a_change_of_clocks(zone_name: str, change: str) -> None:
    moments = [datetime.fromisoformat(f"{change}Z") + timedelta(minutes=5 * number) for number in range(-400, 400)]
    sent = [Sent(str(2_610_000_000_000_000_000 + number), moment) for number, moment in enumerate(moments)]
    with small_lake(timezone=zone_name) as (lake, chosen):
        days = fill(lake, (sent, []), chosen.timezone)
        with published(lake, chosen, days) as connection:
            hours = connection.execute("SELECT sent_hour, sent FROM delivery_rates_hourly").fetchall()
        assert dict(hours) == Counter(local_hour(moment, chosen.timezone) for moment in moments)
        assert len(hours) == len({hour for hour, _ in hours})


def test_a_message_with_two_answers_among_many_without_is_one_row() -> None:
    sent = [Sent(str(number), NOW - timedelta(hours=3)) for number in range(10)]
    said = [Said("1", "sending", NOW - timedelta(hours=2)), Said("1", "delivered", NOW - timedelta(hours=1))]
    with small_lake() as (lake, chosen):
        days = fill(lake, (sent, said), chosen.timezone)
        with published(lake, chosen, days) as connection:
            rows = connection.execute("SELECT msg_id, delivery_status, poll_count FROM messages WHERE poll_count > 0")
            assert rows.fetchall() == [("1", "delivered", 2)]
            assert connection.execute("SELECT count(*) FROM messages").fetchall() == [(10,)]
        assert len(list(chosen.lake.glob("messages/**/*.parquet"))) == 1


def test_a_final_state_is_not_undone_by_a_later_answer() -> None:
    sent = Sent("1", NOW - timedelta(hours=3))
    story = [("sending", 1), ("delivered", 2), ("failed", 3), ("sending", 4), ("not_found", 5)]
    said = [Said("1", status, sent.sent_at + timedelta(minutes=at)) for status, at in story]
    with small_lake() as (lake, chosen):
        days = fill(lake, ([sent], said), chosen.timezone)
        with published(lake, chosen, days) as connection:
            assert connection.execute("SELECT delivery_status, poll_count FROM messages").fetchall() == [
                ("delivered", 5)
            ]


def test_unknown_gives_way_to_a_late_answer() -> None:
    sent = Sent("1", NOW - timedelta(days=5))
    day = sent.sent_at.date()
    with small_lake() as (lake, chosen):
        fill(lake, ([sent], [Said("1", "not_found", sent.sent_at + timedelta(hours=1))]), chosen.timezone)
        with published(lake, chosen, [day]) as connection:
            assert connection.execute("SELECT delivery_status FROM messages").fetchall() == [("unknown",)]
        store_answers(lake, [(Said("1", "delivered", NOW), day)])
        with published(lake, chosen, [day]) as connection:
            assert connection.execute("SELECT delivery_status FROM messages").fetchall() == [("delivered",)]


def test_silence_alone_makes_a_message_unknown_without_a_new_answer() -> None:
    sent = Sent("1", NOW - timedelta(hours=71))
    with small_lake() as (lake, chosen):
        days = fill(lake, ([sent], [Said("1", "sending", NOW - timedelta(hours=70))]), chosen.timezone)
        for later, status in ((0, "sending"), (2, "unknown")):
            now = NOW + timedelta(hours=later)
            derive_messages(days, lake=lake, settings=chosen, now=now)
            derive_rates(days, lake=lake, settings=chosen, now=now)
            publish(lake=lake, settings=chosen, now=now)
            with duckdb.connect(chosen.duckdb, read_only=True) as connection:
                row = connection.execute(f"SELECT {status}, is_mature FROM delivery_rates_daily").fetchone()
            assert row == (1, later > 0)


def test_a_partition_is_rewritten_only_if_a_row_of_it_changed() -> None:
    messages = [Sent(str(number), NOW - timedelta(days=number)) for number in (1, 2)]
    with small_lake() as (lake, chosen):
        days = fill(lake, (messages, []), chosen.timezone)
        assert derive_messages(days, lake=lake, settings=chosen, now=NOW).replaced == tuple(days)
        before = lake.snapshot(MESSAGES)
        assert derive_messages(days, lake=lake, settings=chosen, now=NOW).replaced == ()
        assert derive_messages(days, lake=lake, settings=chosen, now=NOW, anew=True).replaced == ()
        assert lake.snapshot(MESSAGES).version == before.version
        store_answers(lake, [(Said("2", "delivered", NOW), days[0])])
        assert derive_messages(days, lake=lake, settings=chosen, now=NOW).replaced == (days[0],)
        assert {f.path for f in before.of([days[1]])} == {f.path for f in lake.snapshot(MESSAGES).of([days[1]])}


def test_messages_of_days_that_were_not_asked_for_are_derived_where_they_are_missing() -> None:
    messages = [Sent(str(number), NOW - timedelta(days=number)) for number in (1, 2)]
    with small_lake() as (lake, chosen):
        days = fill(lake, (messages, []), chosen.timezone)
        assert derive_messages(days[1:], lake=lake, settings=chosen, now=NOW).days == tuple(days)
        assert derive_rates([], lake=lake, settings=chosen, now=NOW).days == tuple(days)


def test_of_a_label_the_200_most_frequent_values_of_a_day_are_buckets_and_the_rest_is_one() -> None:
    values = [f"v{place:03}" for place in range(203) for _ in range(2 if place != 100 else 1)] + ["v202"]
    sent = [Sent(str(place), NOW, labels={"campaign": value}) for place, value in enumerate([*values, "v001"])]
    with small_lake(sent_log_labels="campaign") as (lake, chosen):
        days = fill(lake, ([*sent, Sent("9999", NOW)], []), chosen.timezone)
        with published(lake, chosen, days) as connection:
            select = "SELECT value, sent FROM {} WHERE dimension = 'label:campaign'"
            daily, hourly = (dict(connection.execute(select.format(f"delivery_rollups_{grain}")).fetchall())
                             for grain in ("daily", "hourly"))  # fmt: skip
            stored = connection.execute("SELECT labels['campaign'] FROM messages WHERE msg_id = '0'").fetchall()
    assert stored == [("v000",)]
    assert daily == hourly
    assert len(daily) == 202
    assert {value: daily[value] for value in (None, "v000", "v001", "v202", "(other)")} == {
        None: 1, "v000": 2, "v001": 3, "v202": 3, "(other)": 5
    }  # fmt: skip
    assert not {"v100", "v200", "v201"} & daily.keys()


def test_days_that_are_derived_together_are_as_if_each_were_derived_alone() -> None:
    """Days share an id, and each has its own most frequent values."""
    days = [date(2026, 10, 20), date(2026, 10, 21), date(2026, 10, 22)]
    sent, said = dict[date, list[Sent]](), dict[date, list[tuple[Said, date]]]()
    for place, day in enumerate(days):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        values = [f"v{number % (203 + place)}" for number in range(300 * (place + 1))]
        sent[day] = [
            Sent(str(number), noon, country="IN", labels={"campaign": value}) for number, value in enumerate(values)
        ]
        statuses = ("sending", "delivered") if place else ("failed",)
        said[day] = [
            (Said("7", status, noon + timedelta(hours=hour), noon), day) for hour, status in enumerate(statuses, 1)
        ]

    def rows(*, together: bool) -> dict[str, list[dict[str, Any]]]:
        with small_lake(sent_log_labels="campaign") as (lake, chosen):
            for day in days:
                store_sent(lake, sent[day])
                store_answers(lake, said[day])
                if not together or day == days[-1]:
                    derive_messages([], lake=lake, settings=chosen, now=NOW)
                    derive_rates([], lake=lake, settings=chosen, now=NOW)
            return {table.name: sorted(read_table(lake, table), key=repr) for table in (MESSAGES, *RATE_TABLES)}

    assert rows(together=True) == rows(together=False)


def test_a_day_of_which_all_is_final_turns_mature_when_it_ends_and_not_before() -> None:
    sent = [Sent("1", datetime(2026, 10, 24, 22, 30, tzinfo=UTC))]  # half past midnight in Berlin, a day of 25 hours
    day, ends = date(2026, 10, 25), datetime(2026, 10, 25, 23, tzinfo=UTC)
    with small_lake(timezone="Europe/Berlin") as (lake, chosen):
        fill(lake, (sent, [Said("1", "delivered", sent[0].sent_at)]), chosen.timezone)
        derive_messages([], lake=lake, settings=chosen, now=ends - timedelta(hours=1))
        for now, of_day, of_hour in (
            (sent[0].sent_at + timedelta(minutes=29), False, False),
            (sent[0].sent_at + timedelta(minutes=30), False, True),
            (ends - timedelta(seconds=1), False, True),
            (ends + timedelta(days=9), True, True),  # though no run came by in between
        ):
            has_work = open_days(lake=lake, settings=chosen, now=now) == {day}
            assert has_work == (now != ends - timedelta(seconds=1))  # nothing ended since the instant before
            derive_rates([], lake=lake, settings=chosen, now=now)
            publish(lake=lake, settings=chosen, now=now)
            with duckdb.connect(chosen.duckdb, read_only=True) as connection:
                for table in RATE_TABLES:
                    want = of_hour if "hourly" in table.name else of_day
                    found = connection.execute(f"SELECT DISTINCT is_mature, delivery_rate FROM {table.name}").fetchall()
                    assert found == [(want, 1.0)], (table.name, now)


def test_a_bucket_that_nobody_asked_about_has_no_rate_and_is_never_mature() -> None:
    sent = [
        Sent("1", NOW - timedelta(days=120)),
        Sent("2", NOW - timedelta(days=20)),
        Sent("3", NOW - timedelta(days=20)),
    ]
    with small_lake() as (lake, chosen):
        days = fill(lake, (sent, [Said("2", "delivered", NOW)]), chosen.timezone)
        with published(lake, chosen, days) as connection:
            for table in RATE_TABLES:
                found = connection.execute(
                    f"SELECT delivery_rate, delivery_rate_final, dlr_coverage, is_mature FROM {table.name}"
                ).fetchall()
                assert set(found) == {(None, None, None, False), (0.5, 1.0, 0.5, False)}
            by_country = "SELECT days, delivery_rate, dlr_coverage FROM delivery_by_country"
            assert connection.execute(by_country).fetchall() == [(n, 0.5, 0.5) for n in (1, 7, 28)] + [
                (None, 1 / 3, 1 / 3)
            ]
