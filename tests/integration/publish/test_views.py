"""Every cell of every rate table and view, in random worlds, against a recomputation in plain Python.

The worlds are played in memory with the queries that the pipeline runs, in several publications each; some of them
once more on a real lake, through the published file.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.networks import show_networks
from pipeline.derive.rates import derive_rates, selects_of
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.queries import create_table, query
from pipeline.model.settings import CLOCK_TOLERANCE, given_settings
from pipeline.model.tables import (
    API_CALLS,
    DELIVERY_REPORTS,
    DELIVERY_ROLLUPS_DAILY,
    LAKE_TABLES,
    MESSAGES,
    RATE_PUBLICATIONS,
    RATE_TABLES,
    REJECTED_RECORDS,
    SENT_MESSAGES,
    SNAPSHOT_INFO,
    Table,
)
from pipeline.model.views import VIEWS
from pipeline.publish.contents import view_select
from pipeline.publish.database import publish
from tests.oracle.views import Book, Row
from tests.support.lakes import (
    Called,
    Said,
    Sent,
    answer_rows,
    call_rows,
    day_of,
    sent_rows,
    store_answers,
    store_calls,
    store_rejects,
    store_sent,
)

WORLDS: Final = 200
QUICK: Final = 10
"""How many of them the quick tests play."""
BATCH: Final = 10
LABEL: Final = "campaign"
UNKNOWN_AFTER: Final = timedelta(hours=48)
PLACES: Final = (
    ("UTC", "2026-10-25T01:00"),
    ("Europe/Berlin", "2026-10-25T01:00"),  # a day of 25 hours
    ("Europe/Berlin", "2026-03-29T01:00"),  # of 23
    ("America/New_York", "2026-11-01T06:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00"),  # of 24 and a half
    ("Australia/Lord_Howe", "2026-10-03T15:30"),  # of 23 and a half
    ("Asia/Kathmandu", "2026-05-03T00:00"),
    ("America/St_Johns", "2026-03-08T05:30"),
    ("America/Havana", "2026-11-01T05:00"),  # clocks change at midnight
    ("Pacific/Apia", "2011-12-30T10:00"),  # a day that never was
    ("America/Caracas", "2016-05-01T07:00"),  # half an hour, for good
    ("Asia/Pyongyang", "2015-08-14T15:00"),  # half an hour before midnight, twice
)
"""Zones, and when their clocks change, in UTC."""
OF_THE_PLATFORM: Final = (
    "unlogged_messages", "unrecorded_messages", "record_differences", "record_by_day", "account_runway",
    "contradictions", "pushes_by_hour",
)  # fmt: skip
"""Views of record, balance and pushed reports, which tests of their own play: these worlds have none of them."""
READY_MADE: Final = tuple(view.name for view in VIEWS if view.name not in OF_THE_PLATFORM)
SHOWN: Final = (*(table.name for table in RATE_TABLES), *READY_MADE)
EXTRAS: Final = (
    None,
    '{"pricedetail":{"price":"0.0125","pay":"0.025","currency":"USD","chargeCnt":2}}',
    '{"pricedetail":{"price":0.5,"pay":1,"currency":" EUR ","chargeCnt":"3"},"more":[1]}',
    '{"pricedetail":{"price":"0.1234567890125","pay":"1e-3","currency":5,"chargeCnt":1.5}}',
    '{"pricedetail":{"price":"999999999999","pay":"1000000000000","currency":"","chargeCnt":null}}',
    '{"pricedetail":{"price":"free","pay":{"a":1},"currency":["USD"],"chargeCnt":true}}',
    '{"pricedetail":{"price":"-0.5","pay":true}}',
    '{"pricedetail":"none"}',
    '{"pricedetail":[{"price":"1"}]}',
    '{"pricedetail":null}',
    '{"other":"pricedetail"}',
    '{"pricedetail":{"price":"0.01',
    "pricedetail",
)
REASONS: Final = (
    ("sent_log", "no_id: no field for it"),
    ("sent_log", "bad_time: yesterday: at noon"),
    ("api", "no_id"),
    ("sent_log", "no_id: empty"),
)
OUTCOMES: Final = ("ok", "ok", "mismatch", "split", "gave_up", "refused")


@dataclass(frozen=True)
class Stage:
    """What is new at one publication, and when that is made."""

    now: datetime
    sent: list[Sent]
    answers: list[tuple[Said, date]]
    calls: list[tuple[Called, date]]
    rejects: list[Row]


@dataclass(frozen=True)
class World:
    """A zone and a few publications."""

    zone: ZoneInfo
    stages: list[Stage]


def world_of(seed: int) -> World:
    """Make up a world: mostly small, each eighth with days of hundreds of messages, each tenth without any at first."""
    chance = random.Random(seed)  # noqa: S311 - a world, not a secret
    name, change = PLACES[seed % len(PLACES)]
    zone = ZoneInfo(name)
    changed_at = datetime.fromisoformat(f"{change}:00+00:00")
    now = changed_at + timedelta(hours=2, milliseconds=250)
    sent: list[Sent] = []
    stages = []
    for step in range(chance.choice([1, 1, 2, 3])):
        now += timedelta(hours=chance.choice([0, 1, 30, 100]), seconds=step)
        new = [] if seed % 10 == 0 and not step else _messages(chance, now, changed_at, first=len(sent))
        if seed % 8 == 1 and not step:
            new += _crowds(chance, now, first=len(new))
        sent += new
        calls = [(_call(chance, now), now.date()) for _ in range(chance.randint(0, 6))]
        stages.append(Stage(now, new, _answers(chance, sent, zone), calls, _rejects(seed, step, now)))
    return World(zone, stages)


def _messages(chance: random.Random, now: datetime, changed_at: datetime, *, first: int) -> list[Sent]:
    oldest = chance.randint(0, 4 * 86_400)
    return [
        Sent(
            str(2_610_000_000_000_000_000 + first + number),
            chance.choice(
                [
                    changed_at + timedelta(seconds=chance.randint(-5400, 5400)),
                    now - timedelta(seconds=chance.choice([0, 3600, 86_400, chance.randint(0, 3600), oldest])),
                ]
            ),
            app_id=chance.choice(["app", "app", "other"]),
            country=chance.choice([None, "IN", "DE"]),
            sender_id=chance.choice([None, "ACME", "'; DROP"]),
            number=(None, "919811111111", "919822222222")[(first + number) % 3],
            labels=(None, {LABEL: "autumn"}, {LABEL: "sp'ring"}, {"other": "x"})[(first + number) % 4],
        )
        for number in range(chance.randint(1, 15))
    ]


def _rejects(seed: int, step: int, now: datetime) -> list[Row]:
    """Some rejected records, none of them there before."""
    return [
        {
            "source": source,
            "file": f"log {seed % 3} {step}",
            "line": line,
            "item": 0,
            "reason": reason,
            "raw": None,
            "sent_date": now.date() - timedelta(days=line),
            "rejected_at": now - timedelta(seconds=line),
        }
        for line, (source, reason) in enumerate(REASONS[: (seed + step) % 5])
    ]


def _crowds(chance: random.Random, now: datetime, *, first: int) -> list[Sent]:
    """Some days of 249 to 260 messages a week apart, long ago."""
    sent: list[Sent] = []
    for week in range(5):
        for country in chance.sample(["IN", "DE", None], chance.choice([0, 1, 1, 1])):
            at, size = now - timedelta(days=4 + 7 * week), chance.choice([249, 250, 250, 260])
            sent += [
                Sent(str(first + len(sent) + n), at, country=country, number=f"4915{week}{n // 3}") for n in range(size)
            ]
    return sent


def _answers(chance: random.Random, sent: list[Sent], zone: ZoneInfo) -> list[tuple[Said, date]]:
    answered = chance.choices(sent, k=chance.randint(0, 20)) if sent else []
    found = [(_answer(chance, each, order), day_of(each.sent_at, zone)) for order, each in enumerate(answered)]
    crowd = [each for each in sent if len(each.msg_id) < 19]
    asked = {each.sent_at: chance.choice([0, 0.5, 1, 1, 1, 1]) for each in crowd}
    for order, each in enumerate(crowd, len(found)):
        if chance.random() < asked[each.sent_at]:
            share = (0.2, 0.5, 0.9, 1.0)[each.sent_at.toordinal() // 7 % 4]  # the same in later answers
            status = "delivered" if chance.random() < share else chance.choice(["failed", "not_found"])
            said = replace(_answer(chance, each, order), status=status)
            found.append((said, day_of(each.sent_at, zone)))
    if chance.random() < 0.2:
        stray = Sent("no message", datetime(2026, 1, 1, tzinfo=UTC))
        found.append((_answer(chance, stray, len(found)), date(2026, 1, 1)))
    return found


def _answer(chance: random.Random, sent: Sent, order: int) -> Said:
    states = ["delivered", "delivered", "delivered", "failed", "sending", "not_found", "invalid_id"]
    return Said(
        sent.msg_id,
        chance.choice(states),
        sent.sent_at + timedelta(seconds=chance.randint(1, 10**6), microseconds=chance.randint(0, 500) * 1000 + order),
        chance.choice([None, sent.sent_at + timedelta(seconds=chance.randint(-2, 9000))]),
        app_id=sent.app_id,
        country=chance.choice([None, None, "BR"]),
        extra=chance.choice(EXTRAS),
    )


def _call(chance: random.Random, now: datetime) -> Called:
    ago = timedelta(microseconds=chance.choice([0, 1, 250_001, chance.randint(0, 10**10)]))
    return Called(
        now - ago,
        chance.choice(OUTCOMES),
        chance.choice(["app", "other"]),
        ids=chance.randint(1, 200),
        attempts=chance.randint(1, 5),
        elapsed_ms=chance.randint(0, 9999),
    )


def queries_of(table: Table) -> list[str]:
    """Return the queries that together fill a table."""
    return [query(f"publish/sql/{table.name}")] if table is RATE_PUBLICATIONS else selects_of(table, [LABEL])


@contextmanager
def in_memory() -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database with the tables and views of the published file, and the pipeline's queries prepared."""
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in (*LAKE_TABLES, SNAPSHOT_INFO):
            create_table(connection, table)
        for view in VIEWS:
            connection.execute(f"CREATE VIEW {view.name} AS {view_select(view.name)}")
        show_networks(connection)
        for name in SHOWN:
            connection.execute(f"PREPARE show_{name} AS SELECT * FROM {name}")
        for table in (MESSAGES, RATE_PUBLICATIONS):
            (select,) = queries_of(table)
            connection.execute(f"PREPARE {table.name}_0 AS INSERT INTO {table.name} BY NAME {select}")
        for table in RATE_TABLES:
            for number, select in enumerate(queries_of(table)):
                rows = f"SELECT * EXCLUDE (latency_percentiles) FROM ({select})"
                connection.execute(f"PREPARE {table.name}_{number} AS INSERT INTO {table.name} BY NAME {rows}")
        yield connection


def play_in_memory(connection: duckdb.DuckDBPyConnection, world: World) -> None:
    """Run the pipeline's queries for each publication; what only the last one shows is made at the last."""
    empty(connection, world.zone)
    for number, stage in enumerate(world.stages, 1):
        insert(connection, SENT_MESSAGES, sent_rows(stage.sent, world.zone))
        insert(connection, DELIVERY_REPORTS, answer_rows(stage.answers, first=number * 1000))
        insert(connection, API_CALLS, call_rows(stage.calls))
        insert(connection, REJECTED_RECORDS, stage.rejects)
        parameters = {
            "now": f"TIMESTAMPTZ '{stage.now.isoformat()}'",
            "unknown_after_seconds": str(UNKNOWN_AFTER.total_seconds()),
            "zone": f"'{world.zone.key}'",
            "today": f"'{stage.now.astimezone(world.zone).date()}'",
            "publication": str(number),
            "latest": f"TIMESTAMPTZ '{(stage.now + CLOCK_TOLERANCE).isoformat()}'",
        }
        connection.execute(f"DELETE FROM {MESSAGES.name}")
        run(connection, MESSAGES, parameters)
        is_last = number == len(world.stages)
        derive_in_memory(connection, RATE_TABLES if is_last else (DELIVERY_ROLLUPS_DAILY,), parameters)
        run(connection, RATE_PUBLICATIONS, parameters)
        connection.execute("UPDATE snapshot_info SET published_at = ?", [stage.now])


def empty(connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> None:
    for table in (*LAKE_TABLES, SNAPSHOT_INFO):
        connection.execute(f"DELETE FROM {table.name}")
    connection.execute("INSERT INTO snapshot_info (time_zone) VALUES (?)", [zone.key])


def derive_in_memory(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Table], parameters: dict[str, str]
) -> None:
    for table in tables:
        connection.execute(f"DELETE FROM {table.name}")
        run(connection, table, parameters)


def run(connection: duckdb.DuckDBPyConnection, table: Table, parameters: dict[str, str]) -> None:
    """Run the prepared queries that fill a table."""
    for number, select in enumerate(queries_of(table)):
        used = ", ".join(f"{name} := {value}" for name, value in parameters.items() if f"${name}" in select)
        connection.execute(f"EXECUTE {table.name}_{number}({used})")


def insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: list[Row]) -> None:
    connection.register("new_rows", pa.Table.from_pylist(rows, schema=arrow_schema(table)))
    connection.execute(f"INSERT INTO {table.name} FROM new_rows")
    connection.unregister("new_rows")


def told(world: World) -> Book:
    """Write down in plain Python what each publication should show."""
    book = Book(world.zone, UNKNOWN_AFTER, [LABEL])
    for stage in world.stages:
        book.sent += stage.sent
        book.answers += stage.answers
        book.calls += [call for call, _ in stage.calls]
        book.rejects += stage.rejects
        book.publish(stage.now)
    return book


def assert_agrees(
    connection: duckdb.DuckDBPyConnection, book: Book, now: datetime, *, show: str = "SELECT * FROM "
) -> None:
    everything = book.tables(now) | book.views(now)
    assert everything.keys() == set(SHOWN)
    for name, expected in everything.items():
        result = connection.execute(f"{show}{name}")
        heads = [column[0] for column in result.description or []]
        found = [dict(zip(heads, row, strict=True)) for row in result.fetchall()]
        for row in found:
            row.pop("call_id", None)  # a name that the model does not make up
        assert_same(name, found, expected)


def assert_same(name: str, found: Sequence[Row], expected: Sequence[Row]) -> None:
    """Compare rows in any order, numbers to 12 digits: sums of floats depend on their order."""
    assert len(found) == len(expected), name
    for got, want in zip(ordered(found), ordered(expected), strict=True):
        assert got.keys() == want.keys(), name
        for column, value in want.items():
            is_float = isinstance(value, float)
            assert got[column] == (pytest.approx(value, rel=1e-12, abs=1e-9) if is_float else value), (
                name,
                column,
                want,
            )


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Put rows in the order of what names them: all but measured floats."""
    return sorted(rows, key=lambda row: [str(v) for v in row.values() if not isinstance(v, float)])


@pytest.mark.parametrize(
    "first",
    [pytest.param(first, marks=() if first < QUICK else pytest.mark.slow) for first in range(0, WORLDS, BATCH)],
)
def test_every_cell_of_every_rate_table_and_view_agrees_with_plain_python(first: int) -> None:
    with in_memory() as connection:
        for seed in range(first, first + BATCH):
            world = world_of(seed)
            play_in_memory(connection, world)
            assert_agrees(connection, told(world), world.stages[-1].now, show="EXECUTE show_")


@pytest.mark.parametrize("seed", [2, pytest.param(5, marks=pytest.mark.slow), pytest.param(9, marks=pytest.mark.slow)])
def test_the_published_file_agrees_with_plain_python(seed: int, tmp_path: Path) -> None:
    assert_published_agrees(seed, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_many_published_files_agree_with_plain_python(seed: int, tmp_path: Path) -> None:
    assert_published_agrees(seed, tmp_path)


def assert_published_agrees(seed: int, folder: Path) -> None:
    world = world_of(seed)
    chosen = given_settings(
        folder, timezone=world.zone.key, unknown_after_hours=48, start_date="2010-01-01", sent_log_labels=LABEL
    )
    lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded={})
    for stage in world.stages:
        store_sent(lake, stage.sent, zone=world.zone)
        store_answers(lake, stage.answers)
        store_calls(lake, stage.calls)
        store_rejects(lake, stage.rejects)
        derive_messages([], lake=lake, settings=chosen, now=stage.now)
        derive_rates([], lake=lake, settings=chosen, now=stage.now)
        days = lake.snapshot(MESSAGES).days()  # verdicts and maturity change by time alone
        derive_messages(days, lake=lake, settings=chosen, now=stage.now)
        derive_rates(days, lake=lake, settings=chosen, now=stage.now)
        publish(lake=lake, settings=chosen, now=stage.now)
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert_agrees(connection, told(world), world.stages[-1].now)


def test_an_empty_lake_has_no_row_in_any_view() -> None:
    zone = ZoneInfo("Europe/Berlin")
    with in_memory() as connection:
        empty(connection, zone)
        assert_agrees(connection, Book(zone, UNKNOWN_AFTER), datetime(2026, 10, 27, tzinfo=UTC))


def test_the_worlds_hold_what_the_views_are_about() -> None:
    """Else they would agree for want of rows: every view has some, drops among the movers, and falls of revisions."""
    seen: dict[str, int] = dict.fromkeys(READY_MADE, 0)
    drops = steady = 0
    changes: list[object] = []
    for seed in (2, 9, 17, 57):
        world = world_of(seed)
        views = told(world).views(world.stages[-1].now)
        for name, rows in views.items():
            seen[name] += len(rows)
        drops += sum(row["is_drop"] is True for row in views["worst_movers"])
        steady += sum(row["is_drop"] is False for row in views["worst_movers"])
        changes += [row["is_beyond_chance"] for row in views["period_over_period"] if row["change_points"]]
    assert all(seen.values()), seen
    assert drops > 0 < steady
    assert set(changes) == {True, False}
