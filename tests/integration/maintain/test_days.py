"""Audits and looks at whole days: each message once, days that are still open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from pipeline.lake.lake import Lake
from pipeline.lake.queries import connect
from pipeline.maintain.audits.context import Finding, opened_context
from pipeline.maintain.audits.registry import AUDITS
from pipeline.maintain.due import open_days
from pipeline.model.settings import Settings
from pipeline.model.tables import MESSAGES
from tests.support.lakes import Sent, derive_two_days, store_sent

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY, NEXT_DAY = date(2026, 3, 8), date(2026, 3, 9)


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


@pytest.fixture
def derived(lake: Lake, chosen: Settings) -> Lake:
    return derive_two_days(lake, chosen, now=NOW, closed=DAY, still_open=NEXT_DAY)


def once(lake: Lake, settings: Settings) -> Finding:
    with opened_context([DAY, NEXT_DAY], lake=lake, settings=settings, now=NOW) as context:
        return AUDITS["each_message_once"].run(context)


def test_a_message_that_is_twice_in_messages_is_found(derived: Lake, chosen: Settings) -> None:
    assert once(derived, chosen).passed
    (file,) = derived.snapshot(MESSAGES).of([DAY])
    again = derived.new_file(MESSAGES, DAY)
    again.write_bytes(file.path.read_bytes())
    derived.append(MESSAGES, [replace(file, path=again)])
    for _ in range(2):
        finding = once(derived, chosen)
        assert (finding.passed, finding.figures["bad_messages"]) == (False, 6)


def test_a_message_in_place_of_another_is_found(derived: Lake, chosen: Settings) -> None:
    """The numbers of rows agree; the ids don't."""
    present = derived.snapshot(MESSAGES)
    (file,) = present.of([DAY])
    path = derived.new_file(MESSAGES, DAY)
    with (
        derived.scratch() as scratch,
        connect(memory_limit="100MB", scratch=scratch, folders=[derived.folder]) as connection,
    ):
        changed = "CASE WHEN msg_id = '0' THEN '1' ELSE msg_id END AS msg_id"
        connection.execute(
            f"COPY (SELECT * REPLACE ({changed}) FROM read_parquet('{file.path}', hive_partitioning = false)) "
            f"TO '{path}' (FORMAT parquet)"
        )
    derived.commit(present, add=[derived.finished(path, DAY, rows=file.rows)], remove=[file])
    assert once(derived, chosen).figures["bad_messages"] == 2


def test_only_days_before_the_recent_ones_are_looked_at_for_a_run_that_covers_those(
    derived: Lake, chosen: Settings
) -> None:
    assert open_days(lake=derived, settings=chosen, now=NOW) == {NEXT_DAY}
    assert open_days(lake=derived, settings=chosen, now=NOW, before=NEXT_DAY) == set()
    store_sent(derived, [Sent("300", datetime(2026, 3, 7, 8, tzinfo=UTC))])
    assert open_days(lake=derived, settings=chosen, now=NOW, before=NEXT_DAY) == {date(2026, 3, 7)}
