"""What a run leaves in Dagster: per day numbers that equal the published file, per run a table and a picture."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import dagster as dg
import pytest

from assets import assets
from assets.events import MAX_LINES, failure_reasons
from pipeline.api.simulator.faults import Faults
from pipeline.derive.messages import derive_messages
from pipeline.maintain.audits.registry import AUDITS
from tests.support.places import Place, opened_place, write_logs
from tests.support.runs import Recorded, recorded

MESSAGES = 900
PER_DAY = ("sent", "delivered", "failed", "outstanding", "delivery_rate", "latency_p95_seconds")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Recorded, dg.ExecuteInProcessResult]]:
    with opened_place(tmp_path_factory.mktemp("metadata")) as place:
        today = write_logs(place, MESSAGES).date()
        with (place.folder / "logs" / f"sent-{today}.jsonl").open("a") as log:
            log.write("no record\n")
        with recorded(place) as here:
            result = here.run(today - timedelta(days=2), today)
            assert result.success
            yield place, here, result


Done = tuple[Place, Recorded, dg.ExecuteInProcessResult]


@pytest.mark.slow
def test_each_day_has_the_numbers_of_the_published_file(done: Done) -> None:
    place, here, result = done
    shown = here.materializations(result.run_id, "delivery_rates")
    rows = place.query(f"SELECT sent_date::VARCHAR, {', '.join(PER_DAY)} FROM delivery_by_day")
    assert {day: tuple(figures[name] for name in PER_DAY) for day, figures in shown.items()} == {
        day: tuple(figures) for day, *figures in rows
    }
    for figures in shown.values():
        assert all(type(figures[name]) in {int, float} for name in PER_DAY)


@pytest.mark.parametrize(
    ("asset", "table"),
    [
        ("sent_messages", "sent_messages"),
        ("delivery_reports", "delivery_reports"),
        ("messages", "messages"),
        ("delivery_rates", "delivery_rates_daily"),
    ],
)
def test_each_day_has_its_rows(done: Done, asset: str, table: str) -> None:
    place, here, result = done
    shown = {
        day: figures["dagster/partition_row_count"]
        for day, figures in here.materializations(result.run_id, asset).items()
    }
    assert shown == dict(place.query(f"SELECT sent_date::VARCHAR, count(*) FROM {table} GROUP BY ALL"))  # type: ignore[arg-type] # pairs


def test_calls_retries_and_rejects_are_counted_by_day(done: Done) -> None:
    place, here, result = done
    calls = {d: f["calls"] for d, f in here.materializations(result.run_id, "delivery_reports").items()}
    shares: list[Any] = place.query(
        "SELECT answers.sent_date::VARCHAR, sum(calls.attempts / calls.ids) "
        "FROM delivery_reports AS answers JOIN api_calls AS calls USING (call_id) GROUP BY ALL"
    )
    assert calls == pytest.approx(dict(shares))
    assert place.query("SELECT sum(attempts) FROM api_calls") == [(pytest.approx(sum(calls.values())),)]
    rejected = [f["rejected"] for f in here.materializations(result.run_id, "sent_messages").values()]
    assert rejected == [0, 0, 1]


def test_the_published_file_shows_a_table_of_the_run_and_a_chart_of_rates(done: Done) -> None:
    _, here, result = done
    (figures,) = here.materializations(result.run_id, "analytics_db").values()
    assert f"{MESSAGES:,} stored" in figures["this_run"]
    assert [line.split("`")[1] for line in figures["this_run"].splitlines()[2:]] == [
        "sent_messages", "delivery_reports", "messages", "account_balance", "delivery_rates",
    ]  # fmt: skip
    picture = figures["delivery_rate_by_day"]
    assert "](<data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'" in picture
    assert unquote(picture).count("v-") == 3


def test_each_step_says_in_one_log_line_what_it_did(done: Done) -> None:
    _, here, result = done
    lines = here.log(result.run_id)
    assert len(lines) == 7
    assert lines[0] == f"3 of 3 files read, {MESSAGES + 1:,} records: {MESSAGES:,} stored, 0 known already, 1 rejected"


def test_every_check_was_made_over_the_range_each_kind_in_one_step(done: Done) -> None:
    _, _here, result = done
    checks = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert checks.keys() == {*AUDITS, "every_question_answered"} - {"logs_complete"}
    assert [name for name, evaluation in checks.items() if not evaluation.passed] == []
    assert checks["each_message_once"].metadata["messages"].value == MESSAGES
    steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert (steps.count("run_outcome"), steps.count("audit")) == (1, 1)


def test_no_phone_number_is_in_the_metadata_or_the_log(done: Done) -> None:
    place, here, result = done
    text = "".join(str(entry) for entry in here.instance.all_logs(result.run_id))
    numbers = [number for (number,) in place.query("SELECT number FROM messages WHERE number IS NOT NULL")]
    assert len(numbers) > MESSAGES / 2
    assert [number for number in numbers if str(number) in text] == []


# Who is due is read from `messages` where they are derived; these are derived from the answers.
@pytest.mark.parametrize(
    ("step", "broken"),
    [
        ("delivery_reports", "messages"),
        pytest.param("messages", "delivery_reports", marks=pytest.mark.slow),
    ],
)
def test_only_days_completed_before_a_step_fails_are_materialized(
    tmp_path: Path, step: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened_place(tmp_path) as place, recorded(place) as here:
        today = write_logs(place, 300).date()
        assert here.run(today - timedelta(days=2), today).success
        monkeypatch.setattr(assets, "derive_messages", partial(derive_messages, anew=True))
        (path,) = (place.lake / broken / f"sent_date={today}").glob("*.parquet")
        path.write_bytes(b"no Parquet")
        failed = here.run(today - timedelta(days=2), today)
        assert not failed.success
        shown = here.materializations(failed.run_id, step)
        assert list(shown) == [(today - timedelta(days=days)).isoformat() for days in (2, 1)]
        assert "the step fails; 2 of 3 days were done and are kept" in here.log(failed.run_id)


def test_an_outage_is_logged_in_a_few_lines_that_name_the_calls_without_a_traceback(tmp_path: Path) -> None:
    faults = Faults.from_specs(["http-500=1"], seed=1)
    with opened_place(tmp_path, faults=faults) as place, recorded(place, batch_size=5, max_attempts=1) as here:
        today = write_logs(place, 300).date()
        result = here.run(today - timedelta(days=2), today)
        assert not result.success
        (reason,) = failure_reasons(result.all_events)
        assert len(reason.splitlines()) <= 2
        assert "seems to be down: run again when it answers" in reason
        lines = [line for line in here.log(result.run_id) if line.startswith("call ")]
        calls = {call for (call,) in place.query("SELECT call_id FROM api_calls")}
        assert len(calls) > MAX_LINES
        assert {line.split()[1] for line in lines} <= calls
        assert len(lines) == MAX_LINES
        assert f"{len(calls) - MAX_LINES} more such lines; each call is a row of api_calls" in here.log(result.run_id)
        assert "Traceback" not in "".join(here.log(result.run_id))
