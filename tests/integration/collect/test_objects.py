"""Sent logs in a bucket: read as the same logs in a folder are, and again only where an object has changed."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from pipeline.api.simulator.sample_logs import write_sent_logs
from pipeline.collect.files import LogFileUnreadable, find_log_files
from pipeline.collect.reading import read_sent_log
from pipeline.collect.sent_messages import collect, log_rules
from pipeline.lake.lake import Lake
from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import SENT_MESSAGES
from tests.support.buckets import Bucket

pytestmark = pytest.mark.slow
NOW = datetime(2026, 10, 27, 12, tzinfo=UTC)
DAYS = [NOW.date() - timedelta(days=step) for step in (2, 1, 0)]


@pytest.fixture
def bucket(reached_bucket: Bucket) -> Bucket:
    return reached_bucket


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Write logs of three days, each in another format."""
    folder = tmp_path / "logs"
    write_sent_logs(folder, messages=900, days=DAYS, now=NOW, app_id="app1")
    first, second, third = sorted(folder.glob("*.jsonl"))
    plain = [pd.read_json(path, lines=True, dtype=False) for path in (second, third)]
    names = ["msg_id", "sent_at", "number", "app_id"]
    frames = [frame[names].dropna().astype(str) for frame in plain]
    frames[0].to_csv(folder / second.with_suffix(".csv").name, index=False)
    frames[1].to_parquet(folder / third.with_suffix(".parquet").name, index=False)
    (folder / f"{first.name}.gz").write_bytes(gzip.compress(first.read_bytes()))
    for path in (first, second, third):
        path.unlink()
    return folder


def put(bucket: Bucket, folder: Path) -> None:
    for path in folder.iterdir():
        day = path.name.partition(".")[0].removeprefix("sent-")
        bucket.client.upload_file(str(path), bucket.name, f"sent/{day}/{path.name}")


def rows(lake: Lake) -> list[tuple[str, ...]]:
    frames = [pd.read_parquet(file.path) for file in lake.snapshot(SENT_MESSAGES).files]
    found = pd.concat(frames)[["msg_id", "sent_at", "number", "country"]].astype(str)
    return sorted(found.itertuples(index=False, name=None))


def test_logs_of_every_format_are_read_as_those_in_a_folder(
    bucket: Bucket, logs: Path, settings: Callable[..., Settings], lake: Lake, tmp_path: Path
) -> None:
    put(bucket, logs)
    patterns = f"s3://{bucket.name}/sent/{{date}}/*"
    tally = collect(DAYS, lake=lake, settings=settings(sent_logs=patterns), now=NOW)
    assert (tally.files_read, list(tally.failures)) == (3, [])
    other = Lake.open(tmp_path / "other", mode=0o640, recorded={})
    collect(DAYS, lake=other, settings=settings(sent_logs=f"{logs}/*{{date}}*"), now=NOW)
    assert rows(lake) == rows(other)
    assert rows(lake)


def test_an_object_is_read_again_if_it_has_changed_and_not_otherwise(
    bucket: Bucket, logs: Path, settings: Callable[..., Settings], lake: Lake
) -> None:
    put(bucket, logs)
    chosen = settings(sent_logs=f"s3://{bucket.name}/sent/{{date}}/*")
    collect(DAYS, lake=lake, settings=chosen, now=NOW)
    bucket.requests.clear()
    assert collect(DAYS, lake=lake, settings=chosen, now=NOW).files_read == 0
    assert len(bucket.requests) <= 2  # listings
    path = next(logs.glob("*.csv"))
    path.write_text(path.read_text().replace("app1", "app2"))  # as long as before
    put(bucket, logs)
    assert collect(DAYS, lake=lake, settings=chosen, now=NOW).files_read == 1


def test_folders_and_buckets_may_be_in_one_setting(
    bucket: Bucket, logs: Path, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    put(bucket, logs)
    local = tmp_path / "local"
    shutil.copytree(logs, local)
    patterns = settings(sent_logs=f"s3://{bucket.name}/sent/{{date}}/*.csv, {local}/*.parquet").sent_logs
    names = [file.label for file in find_log_files(patterns, None)]
    assert [name.partition("/")[0] for name in sorted(names)] == ["", "s3:"]


def test_days_long_ago_are_not_listed(bucket: Bucket) -> None:
    client = bucket.client
    for step in range(40):
        day = date(2026, 9, 1) + timedelta(days=step)
        client.put_object(Bucket=bucket.name, Key=f"sent/{day}/a.jsonl", Body=b"{}")
        client.put_object(Bucket=bucket.name, Key=f"flat/sent-{day}.jsonl", Body=b"{}")
    day = date(2026, 10, 9)
    for pattern in ("sent/{date}/*.jsonl", "flat/sent-{date}.jsonl", "flat/*-{date}.jsonl"):
        found = find_log_files([f"s3://{bucket.name}/{pattern}"], [day])
        assert [file.file_date for file in found] == [date(2026, 10, 8), day, date(2026, 10, 10)]
    listings = [request.path for request in bucket.requests if "list-type" in request.path]
    assert ["start-after" in path for path in listings] == [True, True, False]


def test_an_object_that_changes_while_it_is_read_is_not_mixed(
    bucket: Bucket, settings: Callable[..., Settings]
) -> None:
    record = b'{"msg_id": "%d", "sent_at": "2026-10-27T10:00:00Z", "app_id": "app1", "note": "%s"}\n'
    content = b"".join(record % (number, b"x" * 200) for number in range(4000))
    bucket.client.put_object(Bucket=bucket.name, Key="sent.jsonl", Body=content)
    (file,) = find_log_files([f"s3://{bucket.name}/sent.jsonl"], None)
    chunks = read_sent_log(file, log_rules(settings(), NOW), chunk_rows=100)
    next(chunks)
    bucket.client.put_object(Bucket=bucket.name, Key="sent.jsonl", Body=content[:-300])
    with pytest.raises(LogFileUnreadable, match="has changed"):
        list(chunks)


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_is_not_there_names_the_setting() -> None:
    with pytest.raises(SettingsError, match=r"^SMS_SENT_LOGS: s3://no-such-bucket: there is no such bucket$"):
        find_log_files(["s3://no-such-bucket/sent/*.jsonl"], None)
