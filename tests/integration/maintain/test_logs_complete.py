"""The platform's record beside the sent logs: what the views show, and when the check is red."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.maintain.audits.context import Finding, opened_context
from pipeline.maintain.audits.platform_record import logs_complete
from pipeline.model.settings import Settings
from pipeline.model.tables import PLATFORM_RECORD, RECORD_READS, Table
from pipeline.publish.database import publish
from tests.support.lakes import Row, Said, Sent, store_answers, store_sent

DAY = date(2026, 2, 20)
MIDNIGHT = datetime(2026, 2, 20, tzinfo=UTC)
EIGHT = MIDNIGHT + timedelta(hours=8)
READ_AT = MIDNIGHT + timedelta(days=10)
NOW = READ_AT + timedelta(hours=1)


def store(lake: Lake, table: Table, rows: Iterable[Row]) -> None:
    found = list(rows)
    if found:
        lake.append(table, [lake.write(table, pa.Table.from_pylist(found, schema=arrow_schema(table)), DAY)])


def store_record(lake: Lake, states: dict[str, str], **read: object) -> None:
    """Store the record of the day: states by msg_id, and the note that it was read."""
    rows: list[Row] = [
        {"app_id": "app", "msg_id": msg_id, "status": status, "read_at": READ_AT} for msg_id, status in states.items()
    ]
    store(lake, PLATFORM_RECORD, rows)
    noted: Row = {
        "app_id": "app",
        "starts_at": MIDNIGHT,
        "ends_at": MIDNIGHT + timedelta(days=1),
        "read_at": READ_AT,
        "settled_before": READ_AT - timedelta(days=3),
        "recorded": len(rows),
        "missing": 0,
        "requests": 2,
    }
    store(lake, RECORD_READS, [noted | read])


def store_messages(lake: Lake, settings: Settings, sent: dict[str, datetime], answers: Iterable[Said]) -> None:
    """Store and derive messages of the day."""
    store_sent(lake, [Sent(msg_id, sent_at) for msg_id, sent_at in sent.items()])
    store_answers(lake, [(answer, DAY) for answer in answers])
    derive_messages([], lake=lake, settings=settings, now=NOW)
    derive_rates([], lake=lake, settings=settings, now=NOW)


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


def column(lake: Lake, settings: Settings, sql: str) -> list[object]:
    """Return the only column of a query of the published file."""
    publish(lake=lake, settings=settings, now=NOW)
    with duckdb.connect(settings.duckdb, read_only=True) as connection:
        return [value for (value,) in connection.execute(sql).fetchall()]


def test_a_message_counts_as_unrecorded_only_if_it_was_final_or_old_when_the_record_was_read(
    lake: Lake, chosen: Settings
) -> None:
    """Whether messages under way are in the record is not said."""
    before, after = READ_AT - timedelta(hours=1), READ_AT + timedelta(minutes=1)
    sent = dict.fromkeys(["final", "recorded", "silent", "final later", "open"], EIGHT)
    answers = [Said("final", "delivered", before), Said("recorded", "delivered", before)]
    answers += [Said("final later", "failed", after), Said("open", "sending", after)]
    store_messages(lake, chosen, sent, answers)
    store_record(lake, {"recorded": "success"}, settled_before=MIDNIGHT)

    assert column(lake, chosen, "SELECT msg_id FROM unrecorded_messages") == ["final"]


def test_an_old_message_counts_as_unrecorded_whatever_its_state(lake: Lake, chosen: Settings) -> None:
    """What the platform never answers for and has no record of is the worst of all."""
    store_messages(lake, chosen, {"silent": EIGHT, "asked": EIGHT}, [Said("asked", "not_found", READ_AT)])
    store_record(lake, {})

    assert column(lake, chosen, "SELECT msg_id FROM unrecorded_messages ORDER BY ALL") == ["asked", "silent"]


@pytest.mark.parametrize(
    ("sent_at", "missing", "found"),
    [
        (MIDNIGHT + timedelta(seconds=59), 0, []),
        (MIDNIGHT + timedelta(seconds=60), 0, ["1"]),
        (MIDNIGHT + timedelta(days=1, seconds=-60), 0, []),
        (EIGHT, None, ["1"]),
        (EIGHT, 1, []),
    ],
)
def test_ends_of_what_was_read_and_days_with_gaps_show_nothing_unrecorded(
    lake: Lake, chosen: Settings, sent_at: datetime, missing: int | None, found: list[str]
) -> None:
    """Clocks differ by seconds; and what the platform withholds is not what it lacks."""
    store_messages(lake, chosen, {"1": sent_at}, [])
    store_record(lake, {}, missing=missing)

    assert column(lake, chosen, "SELECT msg_id FROM unrecorded_messages") == found


def test_states_that_differ_are_shown_and_those_under_way_are_not(lake: Lake, chosen: Settings) -> None:
    """`2` in the record is what getReport calls `1`; nothing is taken over."""
    said = {"d": "delivered", "f": "failed", "s": "sending", "i": "invalid_id"}
    recent = READ_AT - timedelta(hours=1)
    ids = [first + second for first in said for second in "df"]
    sent = dict.fromkeys(ids, EIGHT)
    store_messages(lake, chosen, sent, [Said(each, said[each[0]], recent) for each in ids])
    store_record(lake, {each: {"d": "success", "f": "failed"}[each[1]] for each in ids} | {"x": "undocumented"})

    different = column(lake, chosen, "SELECT msg_id FROM record_differences ORDER BY ALL")

    assert different == ["df", "fd", "id", "if", "sd", "sf"]  # after 72 hours `s` is unknown
    assert column(lake, chosen, "SELECT DISTINCT delivery_status FROM messages WHERE msg_id LIKE 'd%'") == ["delivered"]


@pytest.mark.parametrize(
    ("unlogged", "passed", "is_severe"), [(0, True, False), (1, True, False), (2, False, False), (60, False, True)]
)
def test_the_check_is_yellow_over_one_in_a_thousand_and_red_over_one_in_twenty(
    lake: Lake, chosen: Settings, unlogged: int, passed: bool, is_severe: bool
) -> None:
    """Of each day and app; the line names both and the counts."""
    logged = {str(number): EIGHT for number in range(1000)}
    store_messages(lake, chosen, logged, [])
    store_record(lake, dict.fromkeys([*logged, *(f"un{number}" for number in range(unlogged))], "success"))

    found = audited(lake, chosen)

    assert (found.passed, found.is_severe) == (passed, is_severe)
    if not passed:
        assert f"{unlogged} of {1000 + unlogged:,} messages in the platform's record of app app" in str(
            found.examples[0]["words"]
        )


def test_a_log_that_came_later_makes_the_check_green(lake: Lake, chosen: Settings) -> None:
    """The views compare with the logs as they are now."""
    store_record(lake, {"1": "success", "2": "success"})
    assert audited(lake, chosen).is_severe

    store_messages(lake, chosen, {"1": EIGHT, "2": EIGHT}, [])

    assert audited(lake, chosen).passed
    assert column(lake, chosen, "SELECT count(*) FROM unlogged_messages") == [0]
    assert column(lake, chosen, "SELECT (recorded, logged, unlogged)::VARCHAR FROM record_by_day") == ["(2, 2, 0)"]


def audited(lake: Lake, settings: Settings) -> Finding:
    with opened_context([DAY], lake=lake, settings=settings, now=NOW) as context:
        return logs_complete(context)
