"""Two workers on machines of their own do what one machine does, also when one of them is lost."""

from __future__ import annotations

import gzip
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from assets.internals import origin_of, queue_run
from assets.partitions import range_of, range_tags
from assets.project import ASKING_POOL, PUBLICATION_POOL, REFRESH
from tests.support.buckets import Bucket, BucketPlace, in_bucket, running_store
from tests.support.cluster import Cluster, running_cluster
from tests.support.cluster_definitions import defs
from tests.support.places import COMMAND, Answers, Place, still_place
from tests.support.processes import UNDISTURBED_SQL, asked_ids, assert_whole

pytestmark = pytest.mark.slow
MESSAGES, DAYS, RATE = 40_000, 8, 20
DATES = [datetime.now(UTC).date() - timedelta(days=step) for step in reversed(range(DAYS))]
ASKED_BEFORE_KILL = 30
TABLES = (
    "sent_messages", "delivery_rates_daily", "delivery_rates_hourly", "delivery_rollups_daily",
    "delivery_rollups_hourly", "rejected_records", "delivery_by_day",
)  # fmt: skip
END_SECONDS = 400.0


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with running_store() as server:
        bucket = Bucket(f"bucket-{uuid.uuid4().hex[:12]}", server, server)
        bucket.client.create_bucket(Bucket=bucket.name)
        yield bucket


def test_a_backfill_on_two_workers_of_which_one_is_killed_ends_as_one_run_on_one_machine(
    tmp_path: Path, bucket: Bucket
) -> None:
    with still_place(tmp_path, messages=MESSAGES, batch=200, days=DAYS) as (place, answers):
        place.environment["SMS_UNKNOWN_AFTER_HOURS"] = "400"  # longer than the days go back
        upload_logs(place, bucket)
        shared = in_bucket(place, bucket)
        shared.environment["SMS_SENT_LOGS"] = f"s3://{bucket.name}/sent/{{date}}/*.jsonl.gz"
        shared.environment["SMS_MAX_REQUESTS_PER_SECOND"] = f"{RATE}"
        with running_cluster(tmp_path / "cluster", shared.environment) as (cluster, instance):
            lost = backfill_with_a_lost_worker(cluster, instance, shared)
            run_one_day_twice_and_what_was_lost_again(cluster, instance, lost)
            assert_one_asks_at_a_time_and_others_work_beside(instance)
            assert_no_pool_is_held(instance)
        assert_pace_is_kept([call.arrived for call in place.simulator.calls])
        assert_no_final_answer_was_asked_for_again(shared, answers, lost)
        assert_whole(shared, answers)
        assert_as_on_one_machine(place, shared)


def upload_logs(place: Place, bucket: Bucket) -> None:
    for path in sorted((place.folder / "logs").glob("sent-*.jsonl")):
        day = path.stem.removeprefix("sent-")
        body = gzip.compress(path.read_bytes())
        bucket.client.put_object(Bucket=bucket.name, Key=f"sent/{day}/log.jsonl.gz", Body=body)


def backfill_with_a_lost_worker(cluster: Cluster, instance: dg.DagsterInstance, place: BucketPlace) -> dg.DagsterRun:
    """Backfill all days but the last; kill the worker that asks, and start another one. Return the lost run."""
    command = (COMMAND, "backfill", "--from", f"{DATES[0]}", "--to", f"{DATES[-2]}", "--days-per-run", "3")
    cluster.start("operator", *command, "--workspace", str(cluster.workspace))
    operator = cluster.processes.pop("operator")
    cluster.wait_until(lambda: len(place.simulator.calls) >= ASKED_BEFORE_KILL, seconds=END_SECONDS)
    lost = next(run for run in runs(instance, dg.DagsterRunStatus.STARTED) if is_asking(instance, run))
    cluster.kill(worker_of(cluster, instance, lost))
    cluster.start_worker("worker-3")

    cluster.wait_until(lambda: operator.poll() is not None, seconds=END_SECONDS)
    assert operator.returncode == 1, cluster.log_of("operator")
    assert "its process has gone" in cluster.log_of("operator")
    assert statuses_of_refreshes(instance) == {"SUCCESS": 2, "FAILURE": 1}
    return lost


def run_one_day_twice_and_what_was_lost_again(
    cluster: Cluster, instance: dg.DagsterInstance, lost: dg.DagsterRun
) -> None:
    days = range_of(lost.tags)
    assert days is not None
    for first, last in ((DATES[-1], DATES[-1]), (DATES[-1], DATES[-1]), days):
        queue_run(instance, defs().resolve_job_def(REFRESH), range_tags(first, last), origin_of(lost))
    cluster.wait_until(lambda: all(run.is_finished for run in runs(instance)), seconds=END_SECONDS)
    assert statuses_of_refreshes(instance) == {"SUCCESS": 5, "FAILURE": 1}


def statuses_of_refreshes(instance: dg.DagsterInstance) -> Counter[str]:
    return Counter(run.status.value for run in runs(instance) if run.job_name == REFRESH)


def runs(instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
    return list(instance.get_runs(dg.RunsFilter(statuses=statuses)))


def is_asking(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    steps = [step.step_key for step in instance.get_run_step_stats(run.run_id) if step.end_time is None]
    return "delivery_reports" in steps


def worker_of(cluster: Cluster, instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return the name of the worker that works on a run: the group of the process that its events name."""
    found = re.search(r"\(pid: (\d+)\)", "\n".join(entry.message for entry in instance.all_logs(run.run_id)))
    assert found
    group = os.getpgid(int(found[1]))
    return next(name for name, process in cluster.processes.items() if process.pid == group)


def assert_one_asks_at_a_time_and_others_work_beside(instance: dg.DagsterInstance) -> None:
    records = [record for record in instance.get_run_records() if record.dagster_run.job_name == REFRESH]
    asking = [
        (step.start_time, step.end_time)
        for record in records
        for step in instance.get_run_step_stats(record.dagster_run.run_id)
        if step.step_key == "delivery_reports"
    ]
    known = sorted((start, end) for start, end in asking if start and end)
    assert len(known) >= 5
    assert all(end <= start for (_, end), (start, _) in pairwise(known))
    works = sorted((record.start_time or 0.0, record.end_time or 0.0) for record in records)
    assert any(start < end for (_, end), (start, _) in pairwise(works))
    once, again = [record for record in records if range_of(record.dagster_run.tags) == (DATES[-1], DATES[-1])]
    assert (once.start_time or 0) < (again.end_time or 0)
    assert (again.start_time or 0) < (once.end_time or 0)


def assert_no_pool_is_held(instance: dg.DagsterInstance) -> None:
    for pool in (ASKING_POOL, PUBLICATION_POOL):
        held = instance.event_log_storage.get_concurrency_info(pool)
        assert held.slot_count == 1
        assert not held.claimed_slots
        assert not held.pending_steps


def assert_pace_is_kept(arrived: Sequence[float]) -> None:
    """Assert that in any t seconds at most (t + 1) times the limit arrived, whichever worker asked."""
    for first, began in enumerate(arrived):
        for count, moment in enumerate(arrived[first:], start=1):
            assert count <= (moment - began + 1) * RATE + 1, f"{count} requests in {moment - began:.2f} s"


def assert_no_final_answer_was_asked_for_again(place: BucketPlace, answers: Answers, lost: dg.DagsterRun) -> None:
    """Assert that each final answer was asked for once; of the lost run, once after it was stored."""
    first, last = map(str, range_of(lost.tags) or ())
    asked = Counter(asked_ids(place))
    again = {i for i, state in answers.states.items() if state in {"delivered", "failed"} and asked[i] != 1}
    assert all(first <= answers.days[msg_id] <= last for msg_id in again)
    stored_again = place.query(
        "SELECT count(*) FROM (SELECT app_id, msg_id FROM delivery_reports WHERE status IN ('delivered', 'failed') "
        "GROUP BY ALL HAVING count(*) > 1)"
    )
    assert stored_again == [(0,)]


def assert_as_on_one_machine(place: Place, shared: BucketPlace) -> None:
    """Run the same days in a folder with one command, and compare what was published."""
    place.run("run", "--from", f"{DATES[0]}", "--to", f"{DATES[-1]}")
    assert place.query(UNDISTURBED_SQL) == shared.query(UNDISTURBED_SQL)
    for table in TABLES:
        # A log has another name in a folder, and an hour may end between two runs.
        query = f"SELECT COLUMNS(lambda name: name NOT IN ('file', 'is_mature')) FROM {table} ORDER BY ALL"
        assert place.query(query) == shared.query(query), table
