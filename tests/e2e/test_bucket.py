"""A lake in a bucket holds what a lake in a folder holds: after kills, with two machines at once, after `forget`.

The simulator's answers never change, so a run's result follows from the ids. A machine is a folder of copies, with
published files of its own.
"""

from __future__ import annotations

import io
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from pipeline.model.tables import LAKE_TABLES
from tests.e2e.test_forget import numbers_logged
from tests.support.buckets import (
    Bucket,
    BucketPlace,
    Request,
    copies,
    in_bucket,
    listing,
    refusal,
)
from tests.support.places import COMMAND, Answers, Place, still_place
from tests.support.processes import (
    PACE,
    UNDISTURBED_SQL,
    assert_whole,
    chance_of,
    end,
    final_twice,
    most_lost,
    output_until_end,
    wait_for,
)

pytestmark = pytest.mark.slow
MESSAGES = 3000
IDLE_REQUESTS = 60
FIRST_REQUESTS = 400


@pytest.fixture
def here(tmp_path: Path, bucket: Bucket) -> Iterator[tuple[BucketPlace, Answers]]:
    with still_place(tmp_path, messages=MESSAGES, batch=40) as (place, answers):
        yield in_bucket(place, bucket), answers


def test_a_lake_in_a_bucket_is_what_one_in_a_folder_is(here: tuple[BucketPlace, Answers], bucket: Bucket) -> None:
    place, answers = here
    folder = Place(place.folder, {n: v for n, v in place.environment.items() if n != "SMS_LAKE"}, place.simulator)
    folder.environment["SMS_DUCKDB"] = str(place.folder / "data" / "analytics.duckdb")
    for one in (place, folder):
        one.run("run")
        one.run("rebuild")
        assert "partitions" in one.run("status").stdout
    assert_whole(place, answers)
    assert place.query(UNDISTURBED_SQL) == folder.query(UNDISTURBED_SQL)
    tables = ("sent_messages", "delivery_rates_daily", "delivery_rollups_daily", "rejected_records", "delivery_by_day")
    for table in tables:
        assert place.query(f"FROM {table} ORDER BY ALL") == folder.query(f"FROM {table} ORDER BY ALL")
    assert "s3://" in place.run("doctor", status=1).stdout  # the clock of the simulator stands still
    options = bucket.environment | {"AWS_ALLOW_HTTP": "true"}
    for name in (table.name for table in LAKE_TABLES):  # other readers of Delta Lake
        url = f"{place.environment['SMS_LAKE']}/{name}"
        rows = DeltaTable(url, storage_options=options).to_pyarrow_table().num_rows
        assert rows == DeltaTable(folder.lake / name).to_pyarrow_table().num_rows


def test_a_run_with_nothing_to_do_asks_the_store_little_and_no_more_for_a_longer_lake(
    here: tuple[BucketPlace, Answers], bucket: Bucket
) -> None:
    place, _ = here
    place.run("run", "--to", day_before(1))
    assert len(bucket.requests) <= FIRST_REQUESTS, listing(bucket)
    place.run("run", "--to", day_before(1))
    bucket.requests.clear()
    place.run("run", "--to", day_before(1))
    shorter = len(bucket.requests)
    assert shorter <= IDLE_REQUESTS, listing(bucket)
    place.run("run")
    bucket.requests.clear()
    place.run("run")
    assert len(bucket.requests) <= IDLE_REQUESTS, listing(bucket)


def test_a_rerun_after_kills_has_every_message_once(here: tuple[BucketPlace, Answers], bucket: Bucket) -> None:
    place, answers = here
    chance = chance_of(18)
    for _ in range(4):
        asked = len(bucket.requests)
        process = place.start(COMMAND, "run", **PACE)
        more = chance.randrange(5, 150)
        wait_for(lambda asked=asked, more=more: len(bucket.requests) > asked + more, process)  # type: ignore[misc]
        end(process, signal.SIGKILL)
    place.run("run")
    assert_whole(place, answers)
    assert final_twice(place, answers) <= 4 * most_lost(batch=40)


def test_lost_responses_and_a_busy_store_lose_and_double_nothing(
    here: tuple[BucketPlace, Answers], bucket: Bucket
) -> None:
    place, answers = here
    chance = chance_of(3)
    bucket.rules.loses = lambda request: request.method == "PUT" and chance.random() < 0.1
    bucket.rules.answer = lambda _: (503, b"<Error><Code>SlowDown</Code></Error>") if chance.random() < 0.05 else None
    place.run("run")
    bucket.rules.loses, bucket.rules.answer = (lambda _: False), (lambda _: None)
    assert_whole(place, answers)


def test_two_machines_at_once_lose_and_double_no_message(here: tuple[BucketPlace, Answers], bucket: Bucket) -> None:
    one, answers = here
    other = in_bucket(one, bucket, machine="other")
    for days in ((0, 1), (2, 2)):  # first different days, then the same day
        both = [
            machine.start(COMMAND, "run", "--from", day_before(day), "--to", day_before(day), **PACE)
            for machine, day in zip((one, other), days, strict=True)
        ]
        finish(*both)
    for machine in (one, other):
        machine.run("run")
        assert_whole(machine, answers)


def test_a_forgotten_number_is_in_no_object_and_in_no_copy_of_any_machine(
    here: tuple[BucketPlace, Answers], bucket: Bucket
) -> None:
    one, _ = here
    other = in_bucket(one, bucket, machine="other")
    for machine in (one, other):
        machine.run("run")
    other.run("export", str(one.folder / "all.duckdb"))  # brings everything
    (one.folder / "all.duckdb").unlink()
    number = numbers_logged(one)[0]
    assert holding(bucket, number)
    assert holding_copies(other, number)

    done = one.run("forget", number)
    assert "0 rows of any file still hold it" in done.stdout
    assert not holding(bucket, number)
    assert not holding_copies(one, number)
    other.run("run")
    assert not holding_copies(other, number)
    one.run("run", "--force")
    assert not holding(bucket, number)


def test_copies_are_brought_again_and_stay_within_their_limit(
    here: tuple[BucketPlace, Answers], bucket: Bucket
) -> None:
    place, answers = here
    place.run("run")
    for path in list(copies(place)):
        if path.suffix == ".parquet":
            path.write_bytes(path.read_bytes()[:100])
    place.run("rebuild")
    assert_whole(place, answers)
    fresh = in_bucket(place, bucket, machine="fresh")
    fresh.environment["SMS_CACHE_LIMIT"] = "1KB"
    fresh.run("rebuild")
    assert_whole(fresh, answers)
    local = fresh.folder / "local.duckdb"
    fresh.run("publish", SMS_DUCKDB=str(local))
    with duckdb.connect(local, read_only=True) as connection:
        select = "SELECT sum(sent) FROM delivery_by_day"
        assert connection.execute(select).fetchall() == fresh.query(select)


def test_a_lake_that_was_made_anew_is_not_mixed_with_copies_of_the_former_one(
    here: tuple[BucketPlace, Answers], bucket: Bucket
) -> None:
    place, answers = here
    place.run("run")
    client = bucket.client
    for name in bucket.objects():
        client.delete_object(Bucket=bucket.name, Key=name)
    place.run("run")
    assert_whole(place, answers)


def test_a_store_that_fails_is_one_clear_line(here: tuple[BucketPlace, Answers], bucket: Bucket) -> None:
    place, _ = here
    bucket.rules.without = ("If-None-Match",)
    assert "ignores the conditions" in one_line(place.run("run", status=2))
    assert "ignores the conditions" in place.run("doctor", status=2).stdout
    bucket.rules.without = ()
    assert "no such bucket" in one_line(place.run("run", status=2, SMS_LAKE="s3://some-other-bucket/lake"))
    assert "no server answers" in one_line(place.run("run", status=1, AWS_ENDPOINT_URL="http://127.0.0.1:9"))
    bucket.rules.answer = _refused_writing
    assert "no right to write" in one_line(place.run("run", status=2))
    bucket.rules.answer = lambda _: None
    place.run("run")
    assert "is sound" in place.run("repair").stdout


def test_each_command_works_with_a_published_file_in_a_bucket(
    here: tuple[BucketPlace, Answers], bucket: Bucket
) -> None:
    place, answers = here
    assert "there is no s3://" in one_line(place.run("fetch", status=1))
    place.run("run")
    assert "; changed since" not in (published := line_of("published", place.run("status").stdout))
    assert "never" not in published
    assert f"the newest is s3://{bucket.name}/published/" in place.run("doctor", status=1).stdout
    assert next(iter(answers.states)) in place.run("message", next(iter(answers.states))).stdout
    place.run("export", str(place.folder / "days.csv"), "--view", "delivery_by_day")
    place.run("fetch", "--page", "page.html")
    assert (place.folder / "page.html").read_bytes() == Path(place.environment["SMS_REPORT"]).read_bytes()
    with duckdb.connect(place.folder / "data" / "analytics.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT sum(sent) FROM delivery_rates_daily").fetchall() == [(MESSAGES,)]
    assert "choose the days of --with-data" in one_line(place.run("fetch", "--from", day_before(1), status=2))
    assert "no server answers" in one_line(place.run("fetch", status=1, AWS_ENDPOINT_URL="http://127.0.0.1:9"))
    assert "SMS_LAKE" in one_line(place.run("run", status=2, SMS_LAKE="lake"))
    bucket.rules.answer = lambda _: refusal(403, "SignatureDoesNotMatch")
    assert "refuses the secret" in one_line(place.run("fetch", status=2))


def line_of(subject: str, text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(subject)]
    return line


def _refused_writing(request: Request) -> tuple[int, bytes] | None:
    return (403, b"<Error><Code>AccessDenied</Code></Error>") if request.method == "PUT" else None


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("sms-delivery: ")]
    assert "store-secret" not in done.stdout + done.stderr
    return line


def day_before(days: int) -> str:
    return (datetime.now(UTC).date() - timedelta(days=days)).isoformat()


def finish(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        output = output_until_end(process)
        assert process.returncode in {0, 1}, output


def holding(bucket: Bucket, text: str) -> list[str]:
    """Return the names of the objects that hold a text, in rows of Parquet too."""
    return [name for name, content in bucket.objects().items() if _holds(name, content, text)]


def holding_copies(place: Place, text: str) -> list[Path]:
    return [path for path in copies(place) if _holds(path.name, path.read_bytes(), text)]


def _holds(name: str, content: bytes, text: str) -> bool:
    if name.endswith(".parquet"):
        return any(text in str(row) for row in pq.ParquetFile(io.BytesIO(content)).read().to_pylist())
    return text.encode() in content
