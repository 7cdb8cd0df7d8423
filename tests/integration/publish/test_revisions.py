"""Changes of rates that were published as mature stay visible: when, what, from, to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.queries import connect, create_table, rows_of, show_files
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, RATE_PUBLICATIONS, RATE_TABLES
from pipeline.publish import history
from pipeline.publish.cache import cache_path
from pipeline.publish.database import publish
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 10, 27, 12, tzinfo=UTC)
DAY = (NOW - timedelta(days=2)).date()
CHANGES = "SELECT revised_at, measure, from_value, to_value FROM revisions WHERE dimension = 'all' ORDER BY ALL"


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


def refresh(lake: Lake, chosen: Settings, now: datetime, *, days: int = 1) -> None:
    of = {DAY - timedelta(days=n) for n in range(days)}
    derive_messages(of, lake=lake, settings=chosen, now=now)
    derive_rates(of, lake=lake, settings=chosen, now=now)
    publish(lake=lake, settings=chosen, now=now)


def ask(chosen: Settings, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def two_messages_of_which_one_is_silent(lake: Lake) -> list[Sent]:
    sent = [Sent(str(n), NOW - timedelta(days=2), country="IN") for n in (1, 2)]
    store_sent(lake, sent)
    delivered = Said("1", "delivered", NOW, sent[0].sent_at + timedelta(seconds=5))
    store_answers(lake, [(delivered, DAY), (Said("2", "not_found", NOW), DAY)])
    return sent


def test_a_late_answer_shows_what_it_changed_on_a_day_published_as_mature(lake: Lake, chosen: Settings) -> None:
    sent = two_messages_of_which_one_is_silent(lake)
    refresh(lake, chosen, NOW + timedelta(days=2))
    assert ask(chosen, "SELECT dimension, sent FROM rate_publications ORDER BY 1, 2") == [
        ("all", 2), ("app_id", 2), ("country", 2), ("sender_id", 2),
    ]  # fmt: skip
    assert ask(chosen, "SELECT * FROM revisions") == []

    late = NOW + timedelta(days=3)
    store_answers(lake, [(Said("2", "delivered", late, sent[1].sent_at + timedelta(seconds=7)), DAY)])
    refresh(lake, chosen, late)
    assert ask(chosen, CHANGES) == [
        (late, "delivered", 1, 2),
        (late, "delivery_rate", 0.5, 1),
        (late, "dlr_coverage", 0.5, 1),
        (late, "latency_p50_seconds", 5, 6),
        (late, "latency_p95_seconds", 5, pytest.approx(6.9)),
        (late, "latency_p99_seconds", 5, pytest.approx(6.98)),
        (late, "unknown", 1, 0),
    ]
    where = "SELECT DISTINCT sent_date, dimension, value FROM revisions ORDER BY dimension"
    assert ask(chosen, where) == [
        (DAY, "all", None), (DAY, "app_id", "app"), (DAY, "country", "IN"), (DAY, "sender_id", None),
    ]  # fmt: skip


def test_a_late_log_shows_as_immature_and_as_mature_again(lake: Lake, chosen: Settings) -> None:
    two_messages_of_which_one_is_silent(lake)
    chosen = chosen.model_copy(update={"unknown_after_hours": 24})
    refresh(lake, chosen, NOW)
    store_sent(lake, [Sent("3", NOW - timedelta(days=2) + timedelta(hours=11), country="IN")])
    store_answers(lake, [(Said("3", "not_found", NOW - timedelta(hours=21)), DAY)])
    refresh(lake, chosen, NOW - timedelta(hours=20))  # by a clock that went back
    refresh(lake, chosen, NOW + timedelta(hours=1))
    assert ask(
        chosen,
        "SELECT publication, sent, is_mature FROM rate_publications WHERE dimension = 'all' ORDER BY publication",
    ) == [(1, 2, True), (2, 3, False), (3, 3, True)]
    assert ask(
        chosen,
        "SELECT revised_at, from_value, to_value FROM revisions WHERE dimension = 'all' AND measure = 'is_mature'",
    ) == [(NOW + timedelta(hours=1), 0, 1), (NOW - timedelta(hours=20), 1, 0)]


def test_a_bucket_that_has_gone_shows_as_counting_nothing(lake: Lake, chosen: Settings) -> None:
    sent = Sent("1", NOW - timedelta(days=2))
    store_sent(lake, [sent])
    store_answers(lake, [(Said("1", "delivered", NOW), DAY)])
    refresh(lake, chosen, NOW)
    store_answers(lake, [(Said("1", "delivered", NOW + timedelta(hours=1), country="BR"), DAY)])
    refresh(lake, chosen, NOW + timedelta(hours=1))
    refresh(lake, chosen, NOW + timedelta(hours=2))
    assert ask(
        chosen,
        "SELECT value, sent, delivery_rate, publication FROM rate_publications WHERE dimension = 'country' "
        "ORDER BY publication, sent",
    ) == [(None, 1, 1, 1), (None, 0, None, 2), ("BR", 1, 1, 2)]
    gone = "SELECT value, from_value, to_value FROM revisions WHERE dimension = 'country' AND measure = 'delivery_rate'"
    assert ask(chosen, gone) == [(None, 1, None)]


def test_what_is_immature_is_not_recorded(lake: Lake, chosen: Settings) -> None:
    two_messages_of_which_one_is_silent(lake)
    refresh(lake, chosen, NOW)
    store_answers(lake, [(Said("2", "failed", NOW), DAY)])
    assert ask(chosen, "SELECT * FROM rate_publications") == []
    refresh(lake, chosen, NOW)
    assert ask(chosen, "SELECT DISTINCT publication, sent, failed FROM rate_publications") == [(1, 2, 1)]


def test_a_publication_that_is_repeated_adds_nothing(lake: Lake, chosen: Settings) -> None:
    two_messages_of_which_one_is_silent(lake)
    refresh(lake, chosen, NOW + timedelta(days=2))
    version = lake.snapshot(RATE_PUBLICATIONS).version
    cache_path(lake).unlink()  # as after a kill before the cache was committed: every day is compared again
    publish(lake=lake, settings=chosen, now=NOW + timedelta(days=3))
    cache_path(lake).write_bytes(b"damaged")
    publish(lake=lake, settings=chosen, now=NOW + timedelta(days=3))
    assert lake.snapshot(RATE_PUBLICATIONS).version == version


def test_a_publication_that_fails_after_recording_is_recorded_once(lake: Lake, chosen: Settings) -> None:
    two_messages_of_which_one_is_silent(lake)
    chosen.duckdb.mkdir(parents=True)  # in the way of the file
    with pytest.raises(LakeError, match="SMS_DUCKDB"):
        refresh(lake, chosen, NOW + timedelta(days=2))
    chosen.duckdb.rmdir()
    refresh(lake, chosen, NOW + timedelta(days=2))
    assert ask(chosen, "SELECT count(*) FROM rate_publications") == [(4,)]


def test_many_publications_end_in_few_files_with_every_row(lake: Lake, tmp_path: Path) -> None:
    publications = history.SMALL_FILES + 2
    with connect(memory_limit="100MB", scratch=tmp_path) as connection:
        create_table(connection, DELIVERY_ROLLUPS_DAILY)
        counts = ", ".join(["0"] * 7 + ["NULL"] * 6)
        for n in range(publications):
            connection.execute(f"DELETE FROM {DELIVERY_ROLLUPS_DAILY.name}")
            connection.execute(
                f"INSERT INTO {DELIVERY_ROLLUPS_DAILY.name} VALUES (DATE '{DAY}', 'all', NULL, {n}, {counts}, true)"
            )
            rollups = f"work.{DELIVERY_ROLLUPS_DAILY.name}"
            history.record_publication(connection, lake, {DAY}, rollups=rollups, now=NOW)
        show_files(connection, RATE_PUBLICATIONS, lake.snapshot(RATE_PUBLICATIONS).files)
        rows = rows_of(connection, f"SELECT publication, sent FROM {RATE_PUBLICATIONS.name} ORDER BY publication")
    assert rows == [(n + 1, n) for n in range(publications)]
    assert len(lake.snapshot(RATE_PUBLICATIONS).files) < 5


@pytest.mark.slow
def test_rates_are_published_from_what_changed_as_if_from_everything(lake: Lake, chosen: Settings) -> None:
    sent = [Sent(str(n), NOW - timedelta(hours=5 * n), country="IN" if n % 2 else None) for n in range(30)]
    for step in range(3):
        store_sent(lake, sent[step * 10 : step * 10 + 10])
        answered = sent[:: step + 2]
        store_answers(lake, [(Said(s.msg_id, "delivered", NOW, s.sent_at), s.sent_at.date()) for s in answered])
        refresh(lake, chosen, NOW)
        at_once = tables(chosen)
        cache_path(lake).unlink()
        publish(lake=lake, settings=chosen, now=NOW)
        assert tables(chosen) == at_once
    for table in RATE_TABLES:
        assert at_once[table.name] == sorted(at_once[table.name], key=lambda row: row[0])
    assert len(at_once[DELIVERY_ROLLUPS_DAILY.name]) >= 7 * 4


def tables(chosen: Settings) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: ask(chosen, f"FROM {table.name}") for table in RATE_TABLES}
