"""What keeps a run's cost from growing with the lake, and that it never hides a change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Self

import httpx
import pytest

from pipeline.derive.days import CountedDay, counted_days
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.due import Polled, asking_rule
from pipeline.follow.workers import follow
from pipeline.lake.lake import Lake, StaleSnapshotError
from pipeline.lake.queries import connect, query, rows_of
from pipeline.maintain.audits.context import opened_context
from pipeline.maintain.audits.finding import Finding
from pipeline.maintain.audits.registry import AUDITS
from pipeline.maintain.due import open_days
from pipeline.model.accounts import load_accounts
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, DELIVERY_ROLLUPS_DAILY, MESSAGES, SENT_MESSAGES
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY, NEXT_DAY = date(2026, 3, 8), date(2026, 3, 9)


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


@pytest.fixture
def derived(lake: Lake, chosen: Settings) -> Lake:
    """A lake of two days, all of the first final, none but one of the second."""
    for start, day, status in ((0, DAY, "delivered"), (100, NEXT_DAY, "sending")):
        sent_at = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
        store_sent(lake, [Sent(str(start + number), sent_at) for number in range(6)])
        asked = [(Said(str(start + number), status, sent_at + timedelta(hours=number)), day) for number in range(5)]
        store_answers(lake, [*asked, (Said(str(start + 5), "failed", sent_at + timedelta(hours=1)), day)])
    derive_messages([], lake=lake, settings=chosen, now=NOW)
    derive_rates([], lake=lake, settings=chosen, now=NOW)
    return lake


def due(lake: Lake, settings: Settings, day: date, now: datetime) -> list[str]:
    polled, parameters = Polled.of(lake), asking_rule(settings, now)
    with lake.scratch() as scratch, connect(memory_limit="100MB", scratch=scratch) as connection:
        polled.show(connection, day)
        return sorted(msg_id for _, msg_id in rows_of(connection, query("follow/sql/due_ids"), parameters))


def once(lake: Lake, settings: Settings) -> Finding:
    with opened_context([DAY, NEXT_DAY], lake=lake, settings=settings, now=NOW) as context:
        return AUDITS["each_message_once"].run(context)


def test_a_tables_files_are_listed_again_only_after_a_commit_of_anybody(derived: Lake) -> None:
    other = Lake(derived.folder, derived.mode)
    before = derived.snapshot(MESSAGES)
    assert derived.snapshot(MESSAGES) is before
    other.commit(other.snapshot(MESSAGES), remove=before.of([DAY]))
    assert derived.snapshot(MESSAGES).days() == [NEXT_DAY]
    assert before.days() == [DAY, NEXT_DAY], "whoever has the older list keeps it"


def test_an_older_lake_that_is_put_back_is_seen(derived: Lake) -> None:
    kept = derived.folder.with_name("kept")
    shutil.copytree(derived.folder, kept)
    store_sent(derived, [Sent("200", NOW)])
    assert NOW.date() in derived.snapshot(SENT_MESSAGES).days()
    shutil.rmtree(derived.folder)
    kept.rename(derived.folder)
    assert derived.snapshot(SENT_MESSAGES).days() == [DAY, NEXT_DAY]


def test_what_is_appended_goes_behind_what_others_committed(derived: Lake) -> None:
    other = Lake(derived.folder, derived.mode)
    for number, writer in enumerate((derived, other, derived, other, other, derived)):
        store_sent(writer, [Sent(str(200 + number), NOW)])
    assert derived.snapshot(SENT_MESSAGES).rows == 12 + 6


def test_what_is_appended_goes_to_an_older_lake_that_is_put_back(derived: Lake) -> None:
    kept = derived.folder.with_name("kept")
    shutil.copytree(derived.folder, kept)
    for number in range(3):
        store_sent(derived, [Sent(str(200 + number), NOW)])
    shutil.rmtree(derived.folder)
    kept.rename(derived.folder)
    store_sent(derived, [Sent("300", NOW)])
    assert Lake(derived.folder, derived.mode).snapshot(SENT_MESSAGES).rows == 12 + 1


def test_of_two_that_hold_the_same_snapshot_one_replaces_a_partition(derived: Lake) -> None:
    """A handle that moved on with the first commit would let the second undo it."""
    one, two = derived.snapshot(MESSAGES), derived.snapshot(MESSAGES)
    assert one is two
    derived.commit(one, remove=one.of([DAY]), transactions={"messages/a": 1})
    assert one.handle.version() == one.version
    with pytest.raises(StaleSnapshotError):
        derived.commit(two, remove=two.of([NEXT_DAY]), transactions={"messages/a": 2})


@pytest.mark.parametrize("hours", [0, 1, 20, 60, 300])
@pytest.mark.parametrize("day", [DAY, NEXT_DAY])
def test_messages_say_who_is_due_as_logs_and_answers_do(derived: Lake, chosen: Settings, day: date, hours: int) -> None:
    now = NOW + timedelta(hours=hours)
    by_messages = due(derived, chosen, day, now)
    present = derived.snapshot(MESSAGES)
    derived.commit(present, transactions={f"messages/{day}": 0})
    assert due(derived, chosen, day, now) == by_messages


def test_messages_are_not_asked_who_is_due_where_they_are_behind(derived: Lake, chosen: Settings) -> None:
    early = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
    assert due(derived, chosen, NEXT_DAY, NOW) == ["100", "101", "102", "103", "104"]
    store_sent(derived, [Sent("110", early)])
    assert "110" in due(derived, chosen, NEXT_DAY, NOW), "stored and not derived"
    store_answers(derived, [(Said("100", "delivered", NOW), NEXT_DAY)])
    assert "100" not in due(derived, chosen, NEXT_DAY, NOW), "answered and not derived"


def test_messages_that_lost_rows_are_not_asked_who_is_due(derived: Lake, chosen: Settings) -> None:
    before = due(derived, chosen, NEXT_DAY, NOW)
    present = derived.snapshot(MESSAGES)
    derived.commit(present, remove=present.of([NEXT_DAY]))
    assert due(derived, chosen, NEXT_DAY, NOW) == before != []


def test_the_log_tells_of_a_day_what_its_rollups_say(derived: Lake, chosen: Settings) -> None:
    expected = {DAY: CountedDay(6, is_closed=True), NEXT_DAY: CountedDay(6, is_closed=False)}
    assert all(file.maxima for file in derived.snapshot(DELIVERY_ROLLUPS_DAILY).files)
    with derived.scratch() as scratch, connect(memory_limit=chosen.memory_limit, scratch=scratch) as connection:
        assert counted_days(connection, derived) == expected
        present = derived.snapshot(DELIVERY_ROLLUPS_DAILY)
        silent = []
        for file in present.files:  # as a version wrote them that did not tell
            again = derived.new_file(DELIVERY_ROLLUPS_DAILY, file.sent_date)
            again.write_bytes(file.path.read_bytes())
            silent.append(replace(file, path=again, maxima=None))
        derived.commit(present, add=silent, remove=present.files)
        assert counted_days(connection, derived) == expected


def test_a_message_in_place_of_another_is_found(derived: Lake, chosen: Settings) -> None:
    """The numbers of rows agree; the ids don't."""
    present = derived.snapshot(MESSAGES)
    (file,) = present.of([DAY])
    path = derived.new_file(MESSAGES, DAY)
    with derived.scratch() as scratch, connect(memory_limit="100MB", scratch=scratch) as connection:
        changed = "CASE WHEN msg_id = '0' THEN '1' ELSE msg_id END AS msg_id"
        connection.execute(
            f"COPY (SELECT * REPLACE ({changed}) FROM read_parquet('{file.path}', hive_partitioning = false)) "
            f"TO '{path}' (FORMAT parquet)"
        )
    derived.commit(present, add=[derived.finished(path, DAY, rows=file.rows)], remove=[file])
    assert once(derived, chosen).figures["bad_messages"] == 2


def test_appending_lists_no_files(lake: Lake) -> None:
    store_sent(lake, [Sent("1", NOW)])
    reports = lake.snapshot(DELIVERY_REPORTS)
    store_answers(lake, [(Said("1", "delivered", NOW), NOW.date())])
    assert reports.files == ()
    assert lake.snapshot(DELIVERY_REPORTS).rows == 1


class NotToBeOpened(httpx.AsyncBaseTransport):
    async def __aenter__(self) -> Self:
        raise AssertionError


def test_where_nothing_is_due_no_connection_is_made_ready(derived: Lake, chosen: Settings) -> None:
    soon = datetime(2026, 3, 9, 13, tzinfo=UTC)
    asked_just_now = [(Said(str(100 + number), "sending", soon), NEXT_DAY) for number in range(5)]
    store_answers(derived, asked_just_now)
    tally = follow(
        [DAY, NEXT_DAY],
        lake=derived,
        accounts=load_accounts(chosen),
        settings=chosen,
        now=soon,
        transport=NotToBeOpened(),
    )
    assert (tally.requests, tally.batches, tally.failures) == (0, 0, [])


def test_only_days_before_the_recent_ones_are_looked_at_for_a_run_that_covers_those(
    derived: Lake, chosen: Settings
) -> None:
    assert open_days(lake=derived, settings=chosen, now=NOW) == {NEXT_DAY}
    assert open_days(lake=derived, settings=chosen, now=NOW, before=NEXT_DAY) == set()
    store_sent(derived, [Sent("300", datetime(2026, 3, 7, 8, tzinfo=UTC))])
    assert open_days(lake=derived, settings=chosen, now=NOW, before=NEXT_DAY) == {date(2026, 3, 7)}


def test_what_is_heavy_is_imported_where_it_is_used() -> None:
    heavy = ("pandas", "aiohttp", "phonenumbers", "altair")
    code = f"import sys, assets.cli.run; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
