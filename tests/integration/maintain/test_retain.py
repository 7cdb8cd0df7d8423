"""Old messages and numbers go, rates stay, and nothing that is still there or happens meanwhile brings them back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from pipeline.collect.sent_messages import collect
from pipeline.derive.days import figures_of
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.slices import append_rows
from pipeline.lake.kept_days import kept_days, note_kept_days
from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.notes import note_rates_formula
from pipeline.lake.parquet import arrow_schema
from pipeline.maintain.audits.context import opened_context
from pipeline.maintain.audits.registry import AUDITS
from pipeline.maintain.clean import clean
from pipeline.maintain.due import what_is_due
from pipeline.maintain.forget import forget, remove_old_files
from pipeline.maintain.repair import repair
from pipeline.maintain.retain import DROPPED, IDLE, retain
from pipeline.maintain.status import status_text
from pipeline.model.errors import LakeError
from pipeline.model.kept_days import KeptDays
from pipeline.model.settings import Settings
from pipeline.model.tables import (
    API_CALLS,
    DELIVERY_RATES_DAILY,
    DELIVERY_REPORTS,
    DELIVERY_ROLLUPS_DAILY,
    LAKE_TABLES,
    MESSAGES,
    RATE_TABLES,
    REJECTED_RECORDS,
    SENT_MESSAGES,
    Table,
)
from pipeline.publish.database import publish
from pipeline.publish.reading import names_replaced_files
from tests.scenarios.stage import Killed, Life, MortalLake, read_table
from tests.support.buckets import opened_bucket, running_store
from tests.support.lakes import Called, Said, Sent, store_answers, store_calls, store_sent

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
OLD, LAST_OLD, FIRST_KEPT, NEW = (date(2026, 3, day) for day in (1, 20, 21, 31))
DAYS = (OLD, LAST_OLD, FIRST_KEPT, NEW)
NUMBER, SENDER = "4915112345678", "491709876543"
PRICE = {"pricedetail": {"pay": "0.012345678", "currency": "USD"}, "to": NUMBER}


@dataclass(frozen=True)
class World:
    """A lake of four days with a message delivered and one failed on each, and the logs that they are from."""

    lake: Lake
    settings: Settings
    logs: Path

    def log(self, day: date) -> Path:
        return self.logs / f"sent-{day}.jsonl"

    def run(self, lake: Lake | None = None, *, now: datetime = NOW) -> None:
        """Read the logs and derive, as a run over all days does."""
        lake = lake or self.lake
        collect(DAYS, lake=lake, settings=self.settings, now=now)
        derive_messages(DAYS, lake=lake, settings=self.settings, now=now)
        derive_rates(DAYS, lake=lake, settings=self.settings, now=now)

    def retain(self, lake: Lake | None = None, *, now: datetime = NOW, **values: Any) -> Any:
        chosen = self.settings.model_copy(update={"keep_days": 10} | values)
        return retain(lake=lake or self.lake, settings=chosen, now=now)

    def rates(self) -> dict[str, list[dict[str, Any]]]:
        return {table.name: rows_of(self.lake, table) for table in RATE_TABLES}

    def days(self, table: Table) -> list[date]:
        return self.lake.snapshot(table).days()

    def versions(self) -> list[int]:
        return [self.lake.snapshot(table).version for table in LAKE_TABLES]


@pytest.fixture
def world(lake: Lake, settings: Callable[..., Settings], tmp_path: Path) -> World:
    logs = tmp_path / "logs"
    logs.mkdir()
    world = World(lake, settings(lake=lake.folder, sent_logs=f"{logs}/sent-{{date}}.jsonl", app_id="app"), logs)
    answers, calls = [], []
    for place, day in enumerate(DAYS):
        lines = [record(f"{place}1", day), record(f"{place}2", day), {"number": NUMBER, "sent_at": f"{day}T08:00:00Z"}]
        world.log(day).write_text("".join(json.dumps(line) + "\n" for line in lines))
        at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
        answers += [
            (Said(f"{place}1", "delivered", at, at, number=NUMBER, extra=json.dumps(PRICE)), day),
            (Said(f"{place}2", "failed", at, number=NUMBER), day),
        ]
        calls.append((Called(at, error=f"to {NUMBER}"), day))
    store_answers(lake, answers)
    store_calls(lake, calls)
    world.run()
    return world


def record(msg_id: str, day: date) -> dict[str, str]:
    return {
        "msg_id": msg_id, "sent_at": f"{day}T08:00:00Z", "number": NUMBER, "sender_id": SENDER, "order_id": NUMBER
    }  # fmt: skip


def rows_of(lake: Lake, table: Table) -> list[dict[str, Any]]:
    return sorted(read_table(lake, table), key=repr)


def test_old_messages_go_and_rates_stay(world: World) -> None:
    rates = world.rates()
    tally = world.retain()
    assert tally.rows == {
        "sent_messages": 4, "messages": 4, "delivery_reports": 4, "api_calls": 2, "rejected_records": 2
    }  # fmt: skip
    for table in (SENT_MESSAGES, MESSAGES, DELIVERY_REPORTS, API_CALLS, REJECTED_RECORDS):
        assert world.days(table) == [FIRST_KEPT, NEW]
    assert world.rates() == rates
    assert {row["sent_date"] for row in rates["delivery_rates_daily"]} == set(DAYS)
    before = world.versions()
    assert not world.retain().is_change
    assert world.versions() == before


def test_logs_that_are_there_or_touched_bring_nothing_back(world: World) -> None:
    world.retain()
    rates = world.rates()
    world.run()
    for day in (OLD, LAST_OLD):
        with world.log(day).open("a") as log:
            log.write(json.dumps(record("99", day)) + "\nno record\n")
    due = what_is_due(lake=world.lake, settings=world.settings, now=NOW)
    assert (due.open, due.logs) == (frozenset(), 1)  # that of the last old day may hold messages of the next one
    tally = collect(DAYS, lake=world.lake, settings=world.settings, now=NOW)
    assert (tally.files_read, tally.records, tally.dropped, tally.rejected, tally.failures) == (1, 5, 5, 0, [])
    world.run()
    assert (world.days(SENT_MESSAGES), world.days(REJECTED_RECORDS)) == ([FIRST_KEPT, NEW], [FIRST_KEPT, NEW])
    assert world.rates() == rates


def test_a_log_of_all_days_keeps_its_new_messages_alone(world: World) -> None:
    world.retain()
    everything = world.logs / "all.jsonl"
    everything.write_text("".join(json.dumps(record(f"7{place}", day)) + "\n" for place, day in enumerate(DAYS)))
    chosen = world.settings.model_copy(update={"sent_logs": (str(everything),)})
    tally = collect([NEW], lake=world.lake, settings=chosen, now=NOW)
    assert (tally.records, tally.stored, tally.dropped, tally.rejected) == (4, 2, 2, 0)


def test_rates_of_dropped_days_outlive_rebuild_and_a_new_formula(world: World) -> None:
    world.retain()
    rates = world.rates()
    derive_messages(DAYS, lake=world.lake, settings=world.settings, now=NOW, anew=True)
    derive_rates(DAYS, lake=world.lake, settings=world.settings, now=NOW, anew=True)
    assert world.rates() == rates
    note_rates_formula(world.lake, "of another version")
    derive_rates([], lake=world.lake, settings=world.settings, now=NOW)
    assert world.rates() == rates


def test_a_kill_at_any_step_is_made_good_by_the_next_time(world: World) -> None:
    rates, steps = world.rates(), 0
    while True:
        mortal = MortalLake(world.lake.folder, world.lake.mode, life=Life(dies_at=steps))
        try:
            world.retain(mortal, keep_numbers_days=5)
        except Killed:
            steps += 1
        else:
            break
        world.run()
        assert world.rates() == rates, f"after a kill at step {steps}"
        assert {row["sent_date"] for row in rows_of(world.lake, MESSAGES)} <= set(DAYS)
    assert steps > 4
    assert [world.days(table) for table in DROPPED if world.days(table)] == [[FIRST_KEPT, NEW]] * 5
    assert not world.retain(keep_numbers_days=5).is_change


def test_a_publication_is_outdated_until_it_lacks_what_was_dropped(world: World) -> None:
    publish(lake=world.lake, settings=world.settings, now=NOW)
    assert not names_replaced_files(world.lake, world.settings)
    world.retain()
    assert names_replaced_files(world.lake, world.settings)
    publish(lake=world.lake, settings=world.settings, now=NOW)
    assert not names_replaced_files(world.lake, world.settings)


def test_days_that_are_not_derived_yet_are_kept(world: World) -> None:
    with world.log(LAST_OLD).open("a") as log:
        log.write(json.dumps(record("99", LAST_OLD)) + "\n")
    collect(DAYS, lake=world.lake, settings=world.settings, now=NOW)
    world.retain()
    assert world.days(SENT_MESSAGES) == [LAST_OLD, FIRST_KEPT, NEW]
    derive_messages([], lake=world.lake, settings=world.settings, now=NOW)
    assert not world.retain().is_change
    world.run()
    world.retain()
    assert world.days(SENT_MESSAGES) == [FIRST_KEPT, NEW]
    assert daily_counts(world)[:2] == [(OLD, 2, 1), (LAST_OLD, 3, 1)]


@dataclass(frozen=True)
class Interrupted(Lake):
    """A lake in which something happens before a table is read for the n-th time."""

    happens: Callable[[], object] = lambda: None
    reads: list[str] = field(default_factory=list)
    at: int = 0

    def snapshot(self, table: Table) -> Snapshot:
        self.reads.append(table.name)
        if len(self.reads) == self.at:
            self.happens()
        return super().snapshot(table)


@pytest.mark.slow
def test_dropping_at_any_moment_of_a_run_leaves_the_rates_as_they_are(world: World) -> None:
    """All days are derived anew, so that a row which is missed would change them."""
    rates, days = world.rates(), [OLD]
    saved = {table: world.lake.snapshot(table).of([OLD, LAST_OLD]) for table in DROPPED}
    for at in range(1, 40):
        lake = Interrupted(world.lake.folder, world.lake.mode, happens=world.retain, at=at)
        derive_messages(days, lake=lake, settings=world.settings, now=NOW, anew=True)
        derive_rates(days, lake=lake, settings=world.settings, now=NOW, anew=True)
        assert world.rates() == rates, f"dropped before read {at}: {lake.reads[at - 1 : at]}"
        if len(lake.reads) < at:
            break
        (world.lake.folder / "kept_days.json").unlink()  # once more
        for table, files in saved.items():
            world.lake.append(table, files)
    else:
        pytest.fail("the run reads more often than was tried")


def test_two_that_drop_at_once_agree(world: World) -> None:
    rates = world.rates()
    for at in range(1, 30):
        lake = Interrupted(world.lake.folder, world.lake.mode, happens=world.retain, at=at)
        world.retain(lake)
        assert world.days(SENT_MESSAGES) == [FIRST_KEPT, NEW]
    assert world.rates() == rates


def test_the_days_never_go_back(world: World) -> None:
    world.retain(keep_days=20)
    assert world.days(MESSAGES) == [LAST_OLD, FIRST_KEPT, NEW]
    world.retain()
    assert world.days(MESSAGES) == [FIRST_KEPT, NEW]
    for keep in (25, None):  # raised, removed
        world.retain(keep_days=keep)
        world.log(LAST_OLD).touch()
        world.run()
        assert world.days(MESSAGES) == [FIRST_KEPT, NEW]
    assert kept_days(world.lake) == KeptDays(FIRST_KEPT, FIRST_KEPT)
    note_kept_days(world.lake, KeptDays(OLD, OLD))
    assert kept_days(world.lake) == KeptDays(FIRST_KEPT, FIRST_KEPT)


def test_nothing_is_dropped_unless_a_setting_says_so(world: World) -> None:
    before = world.versions()
    assert not world.retain(keep_days=None).is_change
    assert (world.versions(), kept_days(world.lake)) == (before, KeptDays())


def test_a_clock_that_is_ahead_does_not_empty_the_lake(world: World) -> None:
    world.retain(now=NOW + timedelta(days=3_000), keep_days=IDLE.days + 5)
    assert world.days(MESSAGES) == [NEW]
    assert "ages are counted up to 2026-05-01" in status_text(
        lake=world.lake, settings=world.settings, now=NOW + timedelta(days=3_000)
    )


def test_an_empty_lake_notes_no_day(lake: Lake, settings: Callable[..., Settings]) -> None:
    """A clock that is ahead when it starts would leave all later logs out."""
    retain(lake=lake, settings=settings(keep_days=10), now=NOW)
    assert kept_days(lake) == KeptDays()


def test_a_note_that_is_damaged_is_told(world: World) -> None:
    (world.lake.folder / "kept_days.json").write_text("{")
    with pytest.raises(LakeError, match=r"kept_days\.json can't be read; restore it from a backup"):
        world.retain()


def test_rejects_without_a_day_go_by_the_time_when_they_came(world: World) -> None:
    undated = world.logs / "undated.jsonl"
    undated.write_text('{"number": "4915112345678"}\n')
    chosen = world.settings.model_copy(update={"sent_logs": (str(undated),)})
    for days, count in ((20, 1), (0, 2)):
        collect([NEW], lake=world.lake, settings=chosen, now=NOW - timedelta(days=days))
        with undated.open("a") as log:
            log.write('{"number": "4915187654321"}\n')
        assert len([row for row in read_table(world.lake, REJECTED_RECORDS) if row["sent_date"] is None]) == count
    world.retain()
    kept = [row for row in read_table(world.lake, REJECTED_RECORDS) if row["sent_date"] is None]
    assert [row["rejected_at"] for row in kept] == [NOW]


def test_audits_status_and_publication_agree_about_dropped_days(world: World) -> None:
    before = red_audits(world)
    world.retain()
    assert red_audits(world) == before
    assert f"kept         messages from {FIRST_KEPT} (SMS_KEEP_DAYS is not set: none are dropped from now on)" in (
        status_text(lake=world.lake, settings=world.settings, now=NOW)
    )
    with duckdb.connect(world.settings.duckdb, read_only=True) as connection:
        assert connection.execute("SELECT DISTINCT messages_from FROM snapshot_info").fetchall() == [(FIRST_KEPT,)]
        assert connection.execute("SELECT count(*) FROM delivery_by_day").fetchall() == [(4,)]
        assert connection.execute("SELECT count(DISTINCT sent_date) FROM messages").fetchall() == [(2,)]


def red_audits(world: World) -> list[str]:
    publish(lake=world.lake, settings=world.settings, now=NOW)
    with opened_context(DAYS, lake=world.lake, settings=world.settings, now=NOW) as context:
        return [name for name, audit in AUDITS.items() if not audit.run(context).passed]


def test_old_files_hold_the_rows_until_they_are_cleaned(world: World) -> None:
    publish(lake=world.lake, settings=world.settings, now=NOW)
    files = [file.path for file in world.lake.snapshot(MESSAGES).of([OLD])]
    world.retain()
    publish(lake=world.lake, settings=world.settings, now=NOW)
    clean(lake=world.lake, settings=world.settings, now=datetime.now(UTC))
    assert all(path.exists() for path in files)
    at_once = world.settings.model_copy(update={"snapshot_hours": 0})
    clean(lake=world.lake, settings=at_once, now=datetime.now(UTC))
    assert not any(path.exists() for path in files)


def holding(world: World, days: Iterator[date] | tuple[date, ...]) -> list[str]:
    """Name the tables and columns in which rows of some days hold the number."""
    found = set()
    for table in (SENT_MESSAGES, MESSAGES, DELIVERY_REPORTS, REJECTED_RECORDS, API_CALLS):
        for row in read_table(world.lake, table):
            if row["sent_date"] in days:
                found |= {f"{table.name}.{name}" for name, value in row.items() if NUMBER in str(value)}
    return sorted(found)


def test_numbers_go_sooner_and_nothing_else_changes(world: World) -> None:
    rates, everywhere = world.rates(), holding(world, (NEW,))
    assert len(everywhere) == 8
    tally = world.retain(keep_days=None, keep_numbers_days=10)
    assert sum(tally.numbers.values()) == 2 * (2 + 2 + 2 + 1 + 1)
    assert holding(world, (OLD, LAST_OLD)) == []
    assert holding(world, (FIRST_KEPT,)) == holding(world, (NEW,)) == everywhere
    pays = {row["pay"] for row in rows_of(world.lake, MESSAGES)}
    world.run()
    assert world.rates() == rates
    assert {row["pay"] for row in rows_of(world.lake, MESSAGES)} == pays == {Decimal("0.012345678"), None}
    assert {row["country"] for row in rows_of(world.lake, MESSAGES)} == {"DE"}
    before = world.versions()
    assert not world.retain(keep_days=None, keep_numbers_days=10).is_change
    assert world.versions() == before


def test_a_touched_log_brings_no_number_back(world: World) -> None:
    world.retain(keep_days=None, keep_numbers_days=10)
    with world.log(OLD).open("a") as log:
        log.write(json.dumps(record("99", OLD)) + "\n")
    tally = collect(DAYS, lake=world.lake, settings=world.settings, now=NOW)
    assert (tally.stored, tally.corrected) == (1, 0)
    assert [name for name in holding(world, (OLD,)) if name.startswith("sent")] == []
    store_answers(world.lake, [(Said("99", "delivered", NOW, number=NUMBER), OLD)])  # a late one may
    world.retain(keep_days=None, keep_numbers_days=10)
    assert holding(world, (OLD,)) == []


def test_of_a_reject_that_is_no_object_the_text_stays(world: World) -> None:
    reject = {"source": "api", "file": "call-1", "reason": "no object", "sent_date": OLD}
    rows = [reject | {"item": item, "raw": raw} for item, raw in enumerate(("[7]", '{"number":"","to":1}'))]
    append_rows(world.lake, REJECTED_RECORDS, pa.Table.from_pylist(rows, schema=arrow_schema(REJECTED_RECORDS)))
    world.retain(keep_days=None, keep_numbers_days=10)
    kept = [row["raw"] for row in rows_of(world.lake, REJECTED_RECORDS) if row["file"] == "call-1"]
    assert sorted(kept) == ["[7]", '{"to":1}']


@pytest.mark.parametrize("mode", ["hash", "mask"])
def test_hidden_numbers_go_too(lake: Lake, settings: Callable[..., Settings], tmp_path: Path, mode: str) -> None:
    chosen = settings(
        lake=lake.folder, sent_logs=f"{tmp_path}/*.jsonl", app_id="app", numbers=mode, numbers_key="k9" * 16
    )
    (tmp_path / "sent.jsonl").write_text(json.dumps(record("1", OLD)) + "\n")
    collect([OLD], lake=lake, settings=chosen, now=NOW)
    (row,) = read_table(lake, SENT_MESSAGES)
    assert row["number"] == row["order_id"] is not None
    retain(lake=lake, settings=chosen.model_copy(update={"keep_numbers_days": 10}), now=NOW)
    (row,) = read_table(lake, SENT_MESSAGES)
    assert (row["number"], row["order_id"]) == (None, None)


def test_a_sender_is_forgotten_in_rates_that_can_no_more_be_derived(world: World) -> None:
    """Two buckets of a day may become one: its counts are their sum."""
    with world.log(OLD).open("a") as log:
        log.write(json.dumps(record("55", OLD) | {"sender_id": ""}) + "\n")
    world.run()
    counts = daily_counts(world)
    world.retain()
    forget(SENDER, lake=world.lake, settings=world.settings)
    derive_rates([], lake=world.lake, settings=world.settings, now=NOW)
    assert remove_old_files(SENDER, lake=world.lake, settings=world.settings) == 0
    assert daily_counts(world) == counts
    for table in RATE_TABLES:
        keys = [tuple(row[name] for name in table.key) for row in read_table(world.lake, table)]
        assert len(keys) == len(set(keys))
        assert SENDER not in repr(keys)
    (merged,) = [row for row in read_table(world.lake, DELIVERY_RATES_DAILY) if row["sent_date"] == OLD]
    assert (merged["sent"], merged["delivered"], merged["sender_id"]) == (3, 1, None)
    assert merged["delivery_rate"] == pytest.approx(1 / 3)


def daily_counts(world: World) -> list[tuple[date, int, int]]:
    rows = (row for row in read_table(world.lake, DELIVERY_ROLLUPS_DAILY) if row["dimension"] == "all")
    return sorted((row["sent_date"], row["sent"], row["delivered"]) for row in rows)


@contextmanager
def without_beginning(lake: Lake, table: Table) -> Iterator[None]:
    """Damage a table's Delta log so that none of it can be read."""
    for entry in (lake.folder_of(table) / "_delta_log").glob("*.json"):
        entry.write_text("{")
    yield


@pytest.mark.parametrize("damaged", [DELIVERY_ROLLUPS_DAILY, MESSAGES, SENT_MESSAGES])
def test_repair_keeps_the_rates_of_dropped_days(world: World, damaged: Table) -> None:
    world.retain()
    rates = world.rates()
    with without_beginning(world.lake, damaged):
        assert repair(lake=world.lake, settings=world.settings)
    lake = Lake.open(world.lake.folder, mode=0o640, recorded={})
    world.run(lake)
    assert lake.snapshot(SENT_MESSAGES).days() == [FIRST_KEPT, NEW]
    assert {table.name: rows_of(lake, table) for table in RATE_TABLES} == rates


@pytest.mark.slow
@pytest.mark.usefixtures("lake")  # it puts back the umask
def test_of_a_lake_in_a_bucket_every_machine_knows_what_was_dropped(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_store() as server, opened_bucket(server) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        place = {"lake": f"s3://{bucket.name}/lake", "app_id": "app"}
        one, other = (settings(**place, cache=tmp_path / machine) for machine in ("one", "other"))
        here = Lake.of(one)
        for msg_id, day in enumerate((OLD, NEW)):
            at = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
            store_sent(here, [Sent(str(msg_id), at, number=NUMBER)])
            store_answers(here, [(Said(str(msg_id), "delivered", at, at), day)])
        derive(here, one)
        there = Lake.of(other)
        assert (kept_days(there), there.snapshot(MESSAGES).days()) == (KeptDays(), [OLD, NEW])
        rates = figures_of([OLD, NEW], lake=here, settings=one)
        retain(lake=here, settings=one.model_copy(update={"keep_days": 10}), now=NOW)
        assert kept_days(there, newest=True).messages == FIRST_KEPT  # though a look at the text counts for a while
        there.look_again()
        derive(there, other)
        assert there.snapshot(MESSAGES).days() == [NEW]
        assert figures_of([OLD, NEW], lake=there, settings=other) == rates
        assert len(rates) == 2


def derive(lake: Lake, settings: Settings) -> None:
    derive_messages([OLD, NEW], lake=lake, settings=settings, now=NOW, anew=True)
    derive_rates([OLD, NEW], lake=lake, settings=settings, now=NOW, anew=True)
