"""A run that asked and got no answer is red however it was started, and one that asks nothing turns nothing green."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.checks import COMPLETE
from assets.definitions import build_definitions
from assets.events import failure_reasons
from assets.partitions import range_tags
from assets.project import ASSETS, REFRESH
from assets.resources import Workspace
from pipeline.model.settings import Settings
from tests.support.places import KEY, SECRET, opened_place, write_logs
from tests.support.runs import recorded

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PARTITIONED = [
    name for name in ASSETS if name not in {"account_balance", "analytics_db", "rate_publications", "delivery_page"}
]


@dataclass
class Desk:
    """An instance, and settings that a test may break and correct."""

    instance: dg.DagsterInstance
    settings: Settings
    first: date
    last: date

    def run(self, *assets: str, checks: list[dg.AssetCheckKey] | None = None) -> dg.ExecuteInProcessResult:
        """Materialize some assets over the days as the lineage page does; without any, run the job."""
        definitions = build_definitions(self.settings, Workspace(lambda: self.settings))
        job = definitions.resolve_job_def("__ASSET_JOB" if assets else REFRESH)
        if checks is not None:
            job = job.get_subset(asset_selection=set(), asset_check_selection=set(checks))
        return job.execute_in_process(
            instance=self.instance,
            tags=range_tags(self.first, self.last),
            asset_selection=[dg.AssetKey(name) for name in assets] if checks is None else None,
            run_config=QUIET,
            raise_on_error=False,
        )

    def with_secret(self, secret: str) -> None:
        self.settings = self.settings.model_copy(
            update={"api_secret": type(self.settings.api_secret)(secret)}  # type: ignore[misc]
        )


def verdicts(result: dg.ExecuteInProcessResult) -> list[bool]:
    return [found.passed for found in result.get_asset_check_evaluations() if found.check_name == COMPLETE]


def done(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.step_key or "" for event in result.all_events if event.is_step_success}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    before = os.umask(0o077)
    with opened_place(tmp_path) as place, recorded(place, api_key=KEY, api_secret=SECRET, batch_size=20) as here:
        today = write_logs(place, 120).date()
        desk = Desk(here.instance, here.settings, today - timedelta(days=2), today)
        assert desk.run("sent_messages").success
        desk.with_secret("not-the-secret")
        yield desk
    os.umask(before)


@pytest.mark.parametrize(
    "assets", [(), PARTITIONED, ("delivery_reports",), ("delivery_reports", "messages"), ("api_calls",)],
    ids=["the job", "a range of the lineage page", "a single asset", "a part of the chain", "its neighbour alone"],
)  # fmt: skip
def test_a_run_that_is_refused_is_red_however_it_was_started_and_skips_nothing(
    desk: Desk, assets: tuple[str, ...]
) -> None:
    result = desk.run(*assets)
    assert not result.success
    assert "SMS_API_SECRET" in failure_reasons(result.all_events)[0]
    steps = {"messages"} & set(assets) or ({"messages", "delivery_page"} if not assets else set())
    assert steps <= done(result)
    if "api_calls" not in assets or len(assets) > 1:
        assert verdicts(result) == [False]


@pytest.mark.slow
def test_the_other_run_of_the_range_dialog_turns_nothing_green_and_the_page_is_published(desk: Desk) -> None:
    assert not desk.run(*PARTITIONED).success
    published = desk.run("analytics_db", "rate_publications", "delivery_page")
    assert published.success
    assert verdicts(published) == []


def test_a_check_that_is_run_again_by_itself_stays_red_until_the_questions_are_answered(desk: Desk) -> None:
    check = [dg.AssetCheckKey(dg.AssetKey("delivery_reports"), COMPLETE)]
    desk.last = desk.first  # messages of today are soon due again
    assert not desk.run("delivery_reports").success
    again = desk.run("delivery_reports", checks=check)
    assert (again.success, verdicts(again)) == (False, [False])
    desk.with_secret(SECRET)
    answered = desk.run("delivery_reports")
    assert (answered.success, verdicts(answered)) == (True, [True])
    idle = desk.run("delivery_reports")
    assert (idle.success, verdicts(idle)) == (True, [])
    assert verdicts(desk.run("delivery_reports", checks=check)) == []


def test_a_run_of_other_days_does_not_judge_those_that_failed(desk: Desk) -> None:
    assert not desk.run("delivery_reports").success
    failed_days = desk.first, desk.last
    desk.first = desk.last = desk.first - timedelta(days=20)
    other = desk.run("delivery_reports")
    assert (other.success, verdicts(other)) == (True, [])
    desk.first, desk.last = failed_days
    assert not desk.run("delivery_reports").success


def test_logs_that_are_not_there_fail_a_run_of_sent_messages_alone(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"sent_logs": ("nowhere-{date}.jsonl",)})
    result = desk.run("sent_messages")
    assert not result.success
    assert failure_reasons(result.all_events)[0].startswith("SMS_SENT_LOGS: no file matches")
