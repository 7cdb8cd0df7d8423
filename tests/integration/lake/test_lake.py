"""Snapshots and commits of the lake, with several writers and restored backups."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pipeline.lake.lake import Lake, StaleSnapshotError
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from tests.support.lakes import Said, Sent, derive_two_days, store_answers, store_sent

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY, NEXT_DAY = date(2026, 3, 8), date(2026, 3, 9)


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


@pytest.fixture
def derived(lake: Lake, chosen: Settings) -> Lake:
    return derive_two_days(lake, chosen, now=NOW, closed=DAY, still_open=NEXT_DAY)


def test_a_snapshot_is_reused_until_any_writer_commits(derived: Lake) -> None:
    other = Lake(derived.folder, derived.mode)
    before = derived.snapshot(MESSAGES)
    assert derived.snapshot(MESSAGES) is before
    other.commit(other.snapshot(MESSAGES), remove=before.of([DAY]))
    assert derived.snapshot(MESSAGES).days() == [NEXT_DAY]
    assert before.days() == [DAY, NEXT_DAY], "whoever has the older list keeps it"


def test_a_restored_backup_is_seen_by_the_next_snapshot(derived: Lake) -> None:
    kept = derived.folder.with_name("kept")
    shutil.copytree(derived.folder, kept)
    store_sent(derived, [Sent("200", NOW)])
    assert NOW.date() in derived.snapshot(SENT_MESSAGES).days()
    shutil.rmtree(derived.folder)
    kept.rename(derived.folder)
    assert derived.snapshot(SENT_MESSAGES).days() == [DAY, NEXT_DAY]


def test_appends_of_two_writers_are_all_kept(derived: Lake) -> None:
    other = Lake(derived.folder, derived.mode)
    for number, writer in enumerate((derived, other, derived, other, other, derived)):
        store_sent(writer, [Sent(str(200 + number), NOW)])
    assert derived.snapshot(SENT_MESSAGES).rows == 12 + 6


def test_an_append_after_a_backup_was_restored_goes_to_the_backup(derived: Lake) -> None:
    kept = derived.folder.with_name("kept")
    shutil.copytree(derived.folder, kept)
    for number in range(3):
        store_sent(derived, [Sent(str(200 + number), NOW)])
    shutil.rmtree(derived.folder)
    kept.rename(derived.folder)
    store_sent(derived, [Sent("300", NOW)])
    assert Lake(derived.folder, derived.mode).snapshot(SENT_MESSAGES).rows == 12 + 1


def test_of_two_commits_from_one_snapshot_with_the_same_transaction_the_second_is_stale(derived: Lake) -> None:
    """A handle that moved on with the first commit would let the second undo it."""
    one, two = derived.snapshot(MESSAGES), derived.snapshot(MESSAGES)
    assert one is two
    derived.commit(one, remove=one.of([DAY]), transactions={"messages/a": 1})
    assert one.handle.version() == one.version
    with pytest.raises(StaleSnapshotError):
        derived.commit(two, remove=two.of([NEXT_DAY]), transactions={"messages/a": 2})


def test_appending_lists_no_files(lake: Lake) -> None:
    store_sent(lake, [Sent("1", NOW)])
    reports = lake.snapshot(DELIVERY_REPORTS)
    store_answers(lake, [(Said("1", "delivered", NOW), NOW.date())])
    assert reports.files == ()
    assert lake.snapshot(DELIVERY_REPORTS).rows == 1


def test_a_commit_that_is_stale_deletes_the_files_it_was_to_add(derived: Lake) -> None:
    before = derived.snapshot(MESSAGES)
    (file,) = before.of([DAY])
    derived.commit(before, remove=[file], transactions={"messages/a": 1})
    again = derived.new_file(MESSAGES, DAY)
    again.write_bytes(b"")
    with pytest.raises(StaleSnapshotError):
        derived.commit(before, add=[replace(file, path=again)], transactions={"messages/a": 2})
    assert not again.exists()
