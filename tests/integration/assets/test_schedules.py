"""What a tick of the schedules does: one run over what is due, or a skip that says why; and the daily job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.definitions import build_definitions
from assets.partitions import RANGE_END, RANGE_START, range_of, range_tags
from assets.project import BACKFILL, MAINTENANCE, PART_OF, RECONCILE, REFRESH, Project
from assets.resources import Workspace
from assets.run_health import DEAD_AFTER, Silence
from assets.run_history import prune_runs
from assets.schedules import REPUBLISH_AFTER, build_schedules
from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.maintain.due import what_is_due
from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import MESSAGES, SENT_MESSAGES
from tests.support.lakes import Said, store_answers

NOW = datetime.now(UTC)
TODAY = NOW.date()
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


class Place:
    """A folder with logs, a lake and a Dagster instance of its own."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.settings: Settings = given_settings(
            folder, api_key="key", api_secret="secret", sent_logs="sent-{date}.jsonl", start_date=ago(40)
        )
        self.folder, self.instance, self.ticks = folder, instance, 0.0
        workspace = Workspace(lambda: self.settings)
        self.definitions = build_definitions(self.settings, workspace, ticks=lambda: self.ticks)

    def log(self, day: date, msg_id: str) -> None:
        with (self.folder / f"sent-{day}.jsonl").open("a") as log:
            log.write(f'{{"msg_id": "{msg_id}", "sent_at": "{day}T00:00:30Z", "app_id": "app"}}\n')

    def work(self, first: date, *, status: str = "delivered") -> None:
        """Read, answer and derive what a run of these days would, without an API."""
        lake, days = self.lake(), [first + timedelta(days=n) for n in range((TODAY - first).days + 1)]
        collect(days, lake=lake, settings=self.settings, now=NOW)
        sent = [row for file in lake.snapshot(SENT_MESSAGES).of(days) for row in rows_of_file(file.path)]
        store_answers(lake, [(Said(msg_id, status, NOW), sent_at.date()) for msg_id, sent_at in sent])
        derive_messages(days, lake=lake, settings=self.settings, now=NOW)
        derive_rates(days, lake=lake, settings=self.settings, now=NOW)

    def lake(self) -> Lake:
        return Lake.open(self.settings.lake, mode=0o640, recorded={})

    def tick(
        self, republish_after: timedelta = REPUBLISH_AFTER, *, clock_error: timedelta = timedelta(0)
    ) -> dg.RunRequest | str:
        """Evaluate the schedule once: the run that it asks for, or why there is none."""
        settings = self.settings
        schedule = self.definitions.resolve_schedule_def(REFRESH)
        if clock_error or republish_after != REPUBLISH_AFTER:
            schedule = build_schedules(
                settings,
                lambda: settings,
                Silence(),
                republish_after=republish_after,
                clock=lambda: datetime.now(UTC) + clock_error,
            )[0]
        with dg.build_schedule_context(instance=self.instance, scheduled_execution_time=NOW) as context:
            data = schedule.evaluate_tick(context)
        if data.run_requests:
            (request,) = data.run_requests
            return request
        assert data.skip_message
        return data.skip_message

    def range(self) -> tuple[str, str]:
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return request.tags[RANGE_START], request.tags[RANGE_END]


def rows_of_file(path: Path) -> list[tuple[str, datetime]]:
    import duckdb  # noqa: PLC0415

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute("SELECT msg_id, sent_at FROM read_parquet(?)", [str(path)]).fetchall()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    before = os.umask(0o077)
    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield Place(tmp_path, instance)
    os.umask(before)


def test_new_logs_make_one_run_over_the_smallest_range_that_covers_them(place: Place) -> None:
    for days in (2, 5):
        place.log(ago(days), f"{days}")
    assert place.range() == (f"{ago(5)}", f"{ago(2)}")


def test_nothing_to_do_is_a_skip_that_says_so(place: Place) -> None:
    place.log(ago(2), "1")
    place.work(ago(3))
    assert place.tick() == "nothing to do: no message is due, and no sent log is new or has changed"


def test_today_is_run_when_the_publication_is_old_although_nothing_is_due(place: Place) -> None:
    place.log(ago(2), "1")
    place.work(ago(3))
    assert "nothing to do" in str(place.tick(timedelta(0)))  # nothing was published yet that could be renewed
    place.instance.report_runless_asset_event(dg.AssetMaterialization("analytics_db"))
    assert "nothing to do" in str(place.tick())
    request = place.tick(timedelta(0))
    assert isinstance(request, dg.RunRequest)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (f"{TODAY}", f"{TODAY}")


JUMPS = [timedelta(days=40), timedelta(days=-40), timedelta(hours=5), timedelta(hours=-5)]


@pytest.mark.parametrize("jump", JUMPS)
def test_ticks_under_a_wrong_clock_change_nothing_for_those_under_the_right_one(place: Place, jump: timedelta) -> None:
    """A tick stores nothing: what it asks for by mistake is one more run, and what is due stays due."""
    place.log(ago(2), "1")
    place.work(ago(3))
    place.instance.report_runless_asset_event(dg.AssetMaterialization("analytics_db"))
    place.tick(clock_error=jump)
    assert "nothing to do" in str(place.tick())
    place.log(ago(1), "2")
    place.tick(clock_error=jump)
    assert place.range() == (f"{ago(1)}", f"{ago(1)}")


@pytest.mark.parametrize("jump", JUMPS)
def test_a_publication_of_a_wrong_clock_is_renewed_once_the_clock_is_right(place: Place, jump: timedelta) -> None:
    """One from the future may be of any age; an old one is old. Seen from there, the right one is renewed, too."""
    place.log(ago(2), "1")
    place.work(ago(3))
    place.instance.report_runless_asset_event(dg.AssetMaterialization("analytics_db"))
    assert isinstance(place.tick(clock_error=-jump), dg.RunRequest)


@pytest.mark.parametrize("jump", JUMPS)
def test_days_whose_record_was_not_read_are_found_after_a_tick_of_a_wrong_clock(place: Place, jump: timedelta) -> None:
    place.log(ago(10), "1")
    place.work(ago(10))

    def ranges(clock_error: timedelta) -> list[tuple[date, date] | None]:
        settings = place.settings
        schedules = build_schedules(
            settings, lambda: settings, Silence(), clock=lambda: datetime.now(UTC) + clock_error
        )
        with dg.build_schedule_context(instance=place.instance, scheduled_execution_time=NOW) as context:
            return [range_of(request.tags) for request in schedules[2].evaluate_tick(context).run_requests or []]

    before = ranges(timedelta(0))
    ranges(jump)
    assert ranges(timedelta(0)) == before == [(ago(10), ago(4))]


def test_messages_that_are_due_make_a_run_over_their_days(place: Place) -> None:
    for days in (2, 4):
        place.log(ago(days), f"{days}")
    place.work(ago(5), status="sending")
    assert "nothing to do" in str(place.tick())
    due = what_is_due(lake=place.lake(), settings=place.settings, now=NOW + timedelta(days=2, hours=1))
    assert due.range is not None
    assert ago(2) in due.open


@pytest.mark.parametrize("days", [30, 1])
def test_late_logs_and_logs_that_grew_make_a_run_of_their_day(place: Place, days: int) -> None:
    place.log(ago(30), "1")
    place.log(ago(1), "2")
    place.work(ago(31))
    place.log(ago(days), "3")
    assert place.range() == (f"{ago(days)}", f"{ago(days)}")


def test_logs_before_the_start_date_make_no_run(place: Place) -> None:
    place.log(ago(60), "1")
    assert "nothing to do" in str(place.tick())


Assets = frozenset[dg.AssetKey] | None


def make_run(
    place: Place,
    status: dg.DagsterRunStatus,
    *,
    job: str = REFRESH,
    assets: Assets = None,
    tags: dict[str, str] | None = None,
) -> str:
    run = place.instance.create_run(
        job_name=job, run_id=None, run_config=None, status=status, tags=tags, root_run_id=None, parent_run_id=None,
        step_keys_to_execute=None, execution_plan_snapshot=None, job_snapshot=None, parent_job_snapshot=None,
        asset_selection=assets, asset_check_selection=None, resolved_op_selection=None, op_selection=None,
        remote_job_origin=None, job_code_origin=None, asset_graph=place.definitions.resolve_asset_graph(),
    )  # fmt: skip
    return run.run_id


@pytest.mark.parametrize(
    ("job", "assets"), [(REFRESH, None), ("__ASSET_JOB", frozenset({dg.AssetKey("messages")}))], ids=["job", "by hand"]
)
def test_no_run_is_launched_while_one_is_under_way(place: Place, job: str, assets: Assets) -> None:
    place.log(ago(1), "1")
    run_id = make_run(place, dg.DagsterRunStatus.STARTED, job=job, assets=assets)
    assert place.tick() == f"run {run_id[:8]} is under way; the next tick looks again"


def test_a_run_whose_process_died_is_marked_as_failed_and_blocks_no_other(place: Place) -> None:
    place.log(ago(1), "1")
    run_id = make_run(place, dg.DagsterRunStatus.STARTED)
    assert "is under way" in str(place.tick())
    place.ticks += DEAD_AFTER.total_seconds()
    with place.lake().scratch():  # somebody is at work: it may be that run
        assert "is under way" in str(place.tick())
    assert isinstance(place.tick(), dg.RunRequest)
    run = place.instance.get_run_by_id(run_id)
    assert run
    assert run.status is dg.DagsterRunStatus.FAILURE


def test_the_days_of_a_backfill_are_left_to_its_runs_until_they_end(place: Place) -> None:
    for days in range(2, 9):
        place.log(ago(days), f"{days}")
    parent = make_run(place, dg.DagsterRunStatus.STARTED, job=BACKFILL)
    assert "is under way" in str(place.tick())  # it has yet to queue them
    for first in (7, 4):
        tags = range_tags(ago(first), ago(first - 1)) | {PART_OF: parent}
        make_run(place, dg.DagsterRunStatus.STARTED, tags=tags)
    run = place.instance.get_run_by_id(parent)
    assert run is not None
    place.instance.report_run_failed(run, "killed")
    assert place.range() == (f"{ago(2)}", f"{ago(2)}")
    place.work(ago(2))
    assert place.range() == (f"{ago(5)}", f"{ago(5)}")
    place.work(ago(5))
    assert place.range() == (f"{ago(8)}", f"{ago(8)}")


def test_maintenance_under_way_blocks_no_run(place: Place) -> None:
    place.log(ago(1), "1")
    make_run(place, dg.DagsterRunStatus.STARTED, job=MAINTENANCE)
    assert isinstance(place.tick(), dg.RunRequest)


@pytest.mark.parametrize(
    ("values", "setting"), [({"api_secret": None}, "SMS_API_SECRET"), ({"sent_logs": ()}, "SMS_SENT_LOGS")]
)
def test_a_missing_setting_is_a_skip_that_names_it(place: Place, values: dict[str, object], setting: str) -> None:
    place.log(ago(1), "1")
    place.settings = place.settings.model_copy(update=values)
    assert str(place.tick()).startswith(f"no run until this is fixed: {setting}: ")


def test_a_wrong_setting_is_a_skip_that_names_it_and_each_tick_reads_settings_again(place: Place) -> None:
    def wrong() -> Settings:
        raise SettingsError("SMS_BATCH_SIZE: must be at most 200")

    right = place.settings
    loads: list[Callable[[], Settings]] = [wrong, lambda: right]

    def load() -> Settings:
        return loads.pop(0)()

    place.definitions = build_definitions(right, Workspace(load))
    assert place.tick() == "no run until this is fixed: SMS_BATCH_SIZE: must be at most 200"
    assert "nothing to do" in str(place.tick())


@pytest.mark.parametrize(("value", "status"), [("on", "RUNNING"), ("off", "STOPPED")])
def test_one_setting_switches_both_schedules_on_and_not_the_weekly_one(place: Place, value: str, status: str) -> None:
    settings = place.settings.model_copy(update={"schedules": value})
    definitions = build_definitions(settings, Workspace(lambda: settings))
    schedules = {name: definitions.resolve_schedule_def(name) for name in (REFRESH, MAINTENANCE, RECONCILE)}
    assert {name: schedule.default_status.value for name, schedule in schedules.items()} == {
        REFRESH: status,
        MAINTENANCE: status,
        RECONCILE: "STOPPED",
    }


def test_the_weekly_tick_asks_for_the_days_that_were_not_read_and_for_nothing_twice(place: Place) -> None:
    """From the first logged day to the last on which no message is under way; or it says why there is no run."""
    schedule = place.definitions.resolve_schedule_def(RECONCILE)

    def tick() -> list[dg.RunRequest]:
        with dg.build_schedule_context(instance=place.instance, scheduled_execution_time=NOW) as context:
            return list(schedule.evaluate_tick(context).run_requests or [])

    assert tick() == []
    place.log(ago(10), "1")
    place.work(ago(10))

    (request,) = tick()

    assert range_of(request.tags) == (ago(10), ago(4))
    assert request.run_config == {"ops": {"platform_record": {"config": {"only_unread": True}}}}


def test_the_daily_job_drops_compacts_cleans_and_prunes(place: Place) -> None:
    for number in range(3):
        place.log(ago(20), f"{number}")
        place.work(ago(21))
    result = place.definitions.resolve_job_def(MAINTENANCE).execute_in_process(
        instance=place.instance, run_config=QUIET
    )
    assert result.success
    assert [e.step_key for e in result.all_events if e.is_step_success] == [
        "drop_old_days",
        "compact_closed_days",
        "delete_old_files",
        "prune_run_history",
    ]


def test_a_dead_run_keeps_no_file_of_a_lake_in_a_folder(place: Place) -> None:
    """The locks of the folder say who is at work; nobody may ever mark the run as failed."""
    make_run(place, dg.DagsterRunStatus.STARTED)
    place.settings = place.settings.model_copy(update={"snapshot_hours": 0})
    for number in range(3):
        place.log(ago(20), f"{number}")
        place.work(ago(21))
    job = place.definitions.resolve_job_def(MAINTENANCE)
    assert job.execute_in_process(instance=place.instance, run_config=QUIET).success
    lake = place.lake()
    there = {file.path for file in lake.files_there(MESSAGES)}
    assert there == {file.path for file in lake.snapshot(MESSAGES).files}


def test_pruning_keeps_the_run_that_last_materialized_a_partition(place: Place) -> None:
    @dg.asset(name="messages", partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
    def stand_in() -> None: ...

    job = dg.define_asset_job(REFRESH, selection="messages")
    of_it = dg.Definitions(assets=[stand_in], jobs=[job]).resolve_job_def(REFRESH)
    runs = [
        of_it.execute_in_process(partition_key=key, instance=place.instance, run_config=QUIET).run_id for key in "aab"
    ]
    shards = {run_id: next(Path(place.instance.root_directory).rglob(f"{run_id}.db")) for run_id in runs}
    assert prune_runs(place.instance, Project(), before=NOW - timedelta(days=1), location=None) == 0
    assert prune_runs(place.instance, Project(), before=datetime.now(UTC) + timedelta(days=1), location=None) == 1
    assert [place.instance.has_run(run_id) for run_id in runs] == [False, True, True]
    assert [shards[run_id].exists() for run_id in runs] == [False, True, True]
    assert place.instance.get_materialized_partitions(dg.AssetKey("messages")) == {"a", "b"}
