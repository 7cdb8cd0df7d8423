"""`sms-delivery reconcile` on the command line: what it prints, publishes and goes on with after a kill."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import build_definitions
from assets.partitions import range_tags
from assets.resources import Workspace
from pipeline.api.simulator.faults import Faults
from pipeline.api.simulator.rules import fate_of
from pipeline.api.simulator.sample_logs import ids_by_app, write_sent_logs
from pipeline.model.tables import RECORD_TABLES
from tests.support.places import COMMAND, Place, opened_place
from tests.support.runs import recorded

TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=step) for step in (7, 6, 5)]
"""Days on which no message is under way any more."""
LACKED = 4
"""Logged messages that the record lacks."""
LEAKED = 30
"""Messages that another program sent with the key."""


def final_ids(path: Path) -> list[str]:
    return [msg_id for msg_id in ids_by_app([path])["app1"] if fate_of(msg_id).final_at]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give logs of three days that were followed, and a record with messages of another program."""
    now = datetime.now(UTC)
    logs = write_sent_logs(tmp_path / "logs", messages=300, days=DAYS, now=now, app_id="app1")
    others = write_sent_logs(tmp_path / "elsewhere", messages=LEAKED, days=DAYS[1:2], now=now, app_id="app1", seed=7)
    recorded = sorted({*final_ids(logs[0]), *final_ids(logs[1])[LACKED:], *final_ids(logs[2]), *final_ids(others[0])})
    with opened_place(tmp_path, sent={"app1": recorded}) as place:
        place.run("run", "--from", str(DAYS[0]), "--to", str(DAYS[-1]))
        yield place


@pytest.mark.slow
def test_what_no_log_has_and_what_the_record_lacks_is_published_and_no_state_changes(place: Place) -> None:
    """A second `reconcile` has nothing to read; the check says what is missing."""
    states = place.query("SELECT msg_id, delivery_status FROM messages ORDER BY ALL")

    printed = place.run("reconcile").stdout

    leaked = set(final_ids(place.folder / "elsewhere" / f"sent-{DAYS[1]}.jsonl"))
    assert {msg_id for (msg_id,) in place.query("SELECT msg_id FROM unlogged_messages")} == leaked
    lacked = final_ids(place.folder / "logs" / f"sent-{DAYS[1]}.jsonl")[:LACKED]
    unrecorded = {msg_id for (msg_id,) in place.query("SELECT msg_id FROM unrecorded_messages")}
    unending = {msg_id for (msg_id,) in place.query("SELECT msg_id FROM messages WHERE NOT is_final")}
    assert unrecorded - unending == set(lacked)
    assert place.query("SELECT count(*) FROM record_differences") == [(0,)]
    ((recorded, unlogged),) = place.query(f"SELECT recorded, unlogged FROM record_by_day WHERE sent_date = '{DAYS[1]}'")
    assert (recorded, unlogged) == (
        len(leaked) + len(final_ids(place.folder / "logs" / f"sent-{DAYS[1]}.jsonl")) - LACKED,
        len(leaked),
    )
    assert f"{len(leaked)} of {recorded} messages in the platform's record of app app1 are in no sent log" in printed
    assert place.query("SELECT msg_id, delivery_status FROM messages ORDER BY ALL") == states
    assert "nothing to read" in place.run("reconcile").stdout


@pytest.mark.slow
def test_a_record_that_is_read_after_the_file_was_published_is_in_it(place: Place) -> None:
    """The steps of the record and of the file may come in any order where a pool is busy."""
    with recorded(place) as here:
        by_hand = build_definitions(here.settings, Workspace(lambda: here.settings)).resolve_job_def("__ASSET_JOB")
        keys = [dg.AssetKey(table.name) for table in RECORD_TABLES]
        result = by_hand.execute_in_process(
            instance=here.instance, asset_selection=keys, tags=range_tags(DAYS[0], DAYS[-1])
        )
    assert result.success
    assert place.query("SELECT count(DISTINCT sent_date) FROM record_reads") == [(len(DAYS),)]


@pytest.mark.slow
def test_days_outside_of_what_the_platform_keeps_are_a_usage_error(place: Place) -> None:
    """One line names the options."""
    old, tomorrow = TODAY - timedelta(days=91), TODAY + timedelta(days=1)

    for first, last in ((old, TODAY), (TODAY, tomorrow), (TODAY, TODAY - timedelta(days=1))):
        done = place.run("reconcile", "--from", str(first), "--to", str(last), status=2)
        assert done.stderr.startswith("sms-delivery: --from ")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_reading_that_was_ended_goes_on_where_it_ended(tmp_path: Path, kind: signal.Signals) -> None:
    """What was read stays, and is not asked for again."""
    now = datetime.now(UTC)
    logs = write_sent_logs(tmp_path / "logs", messages=90, days=DAYS, now=now, app_id="app1")
    ids = [msg_id for log in logs for msg_id in final_ids(log)]
    with opened_place(tmp_path, sent={"app1": ids}, latency_ms=0) as before:
        before.run("run", "--from", str(DAYS[0]), "--to", str(DAYS[-1]))
    held = Faults(script=lambda number, call: "timeout" if call.name == "getSentRcd" and number > 2 else None)
    chosen = ["reconcile", "--from", str(DAYS[0]), "--to", str(DAYS[-1])]
    with opened_place(tmp_path, sent={"app1": ids}, faults=held) as stuck:
        process = stuck.start(COMMAND, *chosen)
        _wait(lambda: len([call for call in stuck.simulator.others if call.name == "getSentRcd"]) >= 2)
        time.sleep(1)  # the first day is being stored
        process.send_signal(kind)
        process.communicate(timeout=30)
    with opened_place(tmp_path, sent={"app1": ids}) as healthy:
        healthy.run(*chosen)
        read = [call for call in healthy.simulator.others if call.name == "getSentRcd"]
        assert len(read) == 4  # two days, a page and the empty one behind it
        assert {msg_id for (msg_id,) in healthy.query("SELECT msg_id FROM platform_record")} == set(ids)


@pytest.mark.slow
def test_a_refusal_fails_the_command_after_the_publication(place: Place) -> None:
    """The line says which setting to fix, and no secret."""
    with opened_place(place.folder, faults=Faults(rates=(("-1", 1.0),))) as refused:
        done = refused.run("reconcile", status=1)

    assert "app app1 was stopped" in done.stderr
    assert "SMS_API_KEY" in done.stderr
    assert place.query("SELECT count(*) FROM record_by_day") == [(0,)]


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)
