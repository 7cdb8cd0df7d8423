"""Several machines on one lake in a bucket, each with copies of its own: no commit is lost, no state is undone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.slices import finish_slices, slices_of_others, store_slice
from pipeline.lake.clones import cloned
from pipeline.lake.copies import copies_of, make_copies
from pipeline.lake.damage import DamagedTableError, LogFiles
from pipeline.lake.lake import IN_FLIGHT, Lake
from pipeline.maintain.audits.context import opened_context
from pipeline.maintain.audits.registry import AUDITS
from pipeline.maintain.forget import forget
from pipeline.maintain.repair import repair
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES
from tests.integration.follow.test_slices import FullLake, rows_of, slice_of
from tests.integration.lake.test_concurrent_commits import CrowdedLake
from tests.support.buckets import Answer, Bucket, Request, refusal
from tests.support.lakes import Said, Sent, store_answers, store_sent

pytestmark = pytest.mark.slow
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMITTING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.lake.lake import Lake
from pipeline.model.settings import given_settings
from tests.support.lakes import Sent, store_sent
url, cache, name, commits = sys.argv[1:]
lake = Lake.of(given_settings(Path(cache), lake=url, cache=Path(cache)))
with lake.scratch():  # as in every run: no other process of the machine removes what is not committed yet
    for number in range(int(commits)):
        store_sent(lake, [Sent(f"{name}-{number}", datetime(2026, 3, 1, 12, tzinfo=UTC))])
"""


@pytest.fixture
def bucket(reached_bucket: Bucket) -> Bucket:
    return reached_bucket


@pytest.fixture
def machine(bucket: Bucket, settings: Callable[..., Settings], tmp_path: Path) -> Callable[[str], Lake]:
    """Return the lake as a machine of a name opens it."""
    url = f"s3://{bucket.name}/lake"
    return lambda name: Lake.of(settings(lake=url, cache=tmp_path / name))


@pytest.mark.parametrize("commits", [25, pytest.param(100, marks=pytest.mark.thorough)])
def test_of_four_processes_on_two_machines_that_commit_at_once_no_commit_is_lost(
    bucket: Bucket, machine: Callable[[str], Lake], tmp_path: Path, commits: int
) -> None:
    url = f"s3://{bucket.name}/lake"
    arguments = [(str(tmp_path / f"machine{n % 2}"), f"p{n}", str(commits)) for n in range(4)]
    processes = [subprocess.Popen([sys.executable, "-c", COMMITTING, url, *of_one]) for of_one in arguments]
    assert [process.wait(timeout=500) for process in processes] == [0] * 4
    present = machine("third").snapshot(SENT_MESSAGES)
    assert (present.version, present.rows) == (4 * commits, 4 * commits)
    options = bucket.environment | {"AWS_ALLOW_HTTP": "true"}
    stored = DeltaTable(f"{url}/{SENT_MESSAGES.name}", storage_options=options).to_pyarrow_table()["msg_id"].to_pylist()
    assert sorted(map(str, stored)) == sorted(f"p{n}-{number}" for n in range(4) for number in range(commits))


def test_a_log_that_is_being_brought_has_no_gap_for_another_process_of_the_machine(
    bucket: Bucket, machine: Callable[[str], Lake]
) -> None:
    here, there = machine("here"), machine("there")
    for number in range(3):
        store_sent(here, [Sent(f"{number}", NOON)])

    def first_entry_is_slow(request: Request) -> None:
        if request.method == "GET" and request.path.endswith(f"{1:020}.json"):
            time.sleep(1)

    bucket.rules.answer = first_entry_is_slow
    there.look_again()
    seen: set[frozenset[int]] = set()
    with ThreadPoolExecutor(1) as process:
        brought = process.submit(there.snapshot, SENT_MESSAGES)
        while not brought.done():
            seen.add(LogFiles.of(there.folder_of(SENT_MESSAGES)).entries)
    assert brought.result().rows == 3
    assert all(entries == frozenset(range(len(entries))) for entries in seen), seen


def test_a_final_state_that_another_machine_derives_meanwhile_is_not_undone(
    machine: Callable[[str], Lake], settings: Callable[..., Settings]
) -> None:
    day, now, ours = NOON.date(), NOON + timedelta(hours=1), settings()
    here = machine("here")
    store_sent(here, [Sent("1", NOON)])
    other = machine("other")
    here.snapshot(SENT_MESSAGES)  # looked at now, and not again for a while

    def other_machine() -> None:
        store_answers(other, [(Said("1", "delivered", now), day)])
        derive_messages([day], lake=other, settings=ours, now=now)

    crowded = CrowdedLake(here.folder, here.mode, table=MESSAGES, others=[other_machine])
    derive_messages([day], lake=crowded, settings=ours, now=now)
    assert crowded.others == []
    (file,) = machine("other").snapshot(MESSAGES).files
    assert duckdb.read_parquet(str(file.path)).project("delivery_status").fetchall() == [("delivered",)]


def test_a_machine_audits_days_that_only_another_one_has_read(
    machine: Callable[[str], Lake], settings: Callable[..., Settings]
) -> None:
    day, now, ours = NOON.date(), NOON + timedelta(hours=1), settings()
    here = machine("here")
    store_sent(here, [Sent("1", NOON)])
    derive_messages([day], lake=here, settings=ours, now=now)
    derive_rates([day], lake=here, settings=ours, now=now)
    with opened_context([day], lake=machine("there"), settings=ours, now=now + timedelta(days=1)) as context:
        assert AUDITS["nothing_overdue"].run(context).figures["days_open"] == 1


def test_what_belongs_to_answers_of_a_machine_that_is_gone_is_stored_by_another(
    machine: Callable[[str], Lake], bucket: Bucket, settings: Callable[..., Settings]
) -> None:
    gone = machine("gone")
    with pytest.raises(LakeError):
        store_slice(FullLake(gone.folder, gone.mode), *slice_of(1))
    shutil.rmtree(gone.folder)
    other, now = machine("other"), datetime.now(UTC)
    finish_slices(other, settings(), before=now - IN_FLIGHT)  # it may be at work still
    forget("447700900123", lake=other, settings=settings())
    assert rows_of(other, API_CALLS) == []
    assert slices_of_others(other) == 2
    for _ in range(2):
        finish_slices(other, settings(), before=now + IN_FLIGHT)
        assert [row["call_id"] for row in rows_of(other, API_CALLS)] == ["call-1"]
        assert not [name for name in bucket.objects() if "_slices" in name]


def test_a_note_that_another_machine_stores_meanwhile_is_no_error(
    machine: Callable[[str], Lake], bucket: Bucket, settings: Callable[..., Settings]
) -> None:
    gone, other, late = machine("gone"), machine("other"), machine("late")
    with pytest.raises(LakeError):
        store_slice(FullLake(gone.folder, gone.mode), *slice_of(1))
    later, done = datetime.now(UTC) + IN_FLIGHT, list[Request]()

    def note_is_asked_for(request: Request) -> None:
        if request.method == "GET" and request.path.endswith(".parquet") and "_slices" in request.path and not done:
            done.append(request)
            finish_slices(other, settings(), before=later)

    bucket.rules.answer = note_is_asked_for
    finish_slices(late, settings(), before=later)
    assert done
    assert machine("third").snapshot(API_CALLS).rows == 1


def damaged(bucket: Bucket, machine: Callable[[str], Lake], settings: Callable[..., Settings]) -> tuple[str, str]:
    """Fill a lake of five messages, two of which are answered; return a data file's and the last answers' entry."""
    one, day = machine("one"), NOON.date()
    for number in range(5):
        store_sent(one, [Sent(str(number), NOON)])
    for number in range(2):
        store_answers(one, [(Said(str(number), "delivered", NOON), day)])
    derive_messages([day], lake=one, settings=settings(), now=NOON)
    data = next(name for name in bucket.objects() if "/sent_messages/sent_date" in name)
    return data, "lake/delivery_reports/_delta_log/00000000000000000002.json"


def test_a_lake_in_a_bucket_is_repaired_by_any_machine(
    bucket: Bucket, machine: Callable[[str], Lake], settings: Callable[..., Settings]
) -> None:
    data, entry = damaged(bucket, machine, settings)
    bucket.client.delete_object(Bucket=bucket.name, Key=data)
    bucket.client.put_object(Bucket=bucket.name, Key=entry, Body=bucket.objects()[entry][:30])
    with pytest.raises(DamagedTableError, match=r"run `sms-delivery repair`"):
        machine("other").snapshot(DELIVERY_REPORTS)
    before, ours = bucket.objects(), settings()
    planned = repair(lake=machine("third"), settings=ours, dry_run=True)
    assert bucket.objects() == before
    done = repair(lake=machine("other"), settings=ours)
    assert done == planned
    assert any(data in line and "1 rows of 2026-03-01 are lost" in line for line in done)
    assert any("00000000000000000002.json is cut" in line for line in done)
    assert any(name.startswith("lake/_damaged/") for name in bucket.objects())
    for name in ("one", "other", "fourth"):
        lake = machine(name)
        assert lake.snapshot(SENT_MESSAGES).rows == 5  # as `messages` knows them
        assert lake.snapshot(DELIVERY_REPORTS).rows == 2
        assert lake.snapshot(MESSAGES).rows == 0
    assert repair(lake=machine("one"), settings=ours) == []
    derive_messages([NOON.date()], lake=machine("one"), settings=ours, now=NOON)
    assert machine("other").snapshot(MESSAGES).rows == 5


def test_what_a_bucket_lost_is_put_again_from_a_copy(
    bucket: Bucket, machine: Callable[[str], Lake], settings: Callable[..., Settings]
) -> None:
    data, _ = damaged(bucket, machine, settings)
    whole = bucket.objects()
    bucket.client.put_object(Bucket=bucket.name, Key=data, Body=whole[data][:50])
    assert len(repair(lake=machine("one"), settings=settings(), dry_run=True)) == 1
    (line,) = repair(lake=machine("one"), settings=settings())
    assert line == f"sent_messages: s3://{bucket.name}/{data} is missing or cut: put again from this machine's copy"
    assert bucket.objects() == whole


def test_inputs_are_never_older_than_what_another_machine_derived_from_them(
    machine: Callable[[str], Lake], settings: Callable[..., Settings]
) -> None:
    day, now, ours = NOON.date(), NOON + timedelta(hours=1), settings()
    other = machine("other")
    store_sent(other, [Sent("1", NOON)])
    here = machine("here")
    for table in (SENT_MESSAGES, DELIVERY_REPORTS):
        here.snapshot(table)  # looked at now, and not again for a while
    store_answers(other, [(Said("1", "delivered", now), day)])
    derive_messages([day], lake=other, settings=ours, now=now)
    copies = copies_of(here.folder)
    assert copies is not None
    copies._looked.pop(MESSAGES.name, None)  # as if the time of this table alone were over

    assert derive_messages([day], lake=here, settings=ours, now=now).replaced == ()
    assert [file.rows for file in here.snapshot(DELIVERY_REPORTS).files] == [1]


def test_a_table_whose_log_has_gone_is_damaged_and_not_made_anew(
    bucket: Bucket, machine: Callable[[str], Lake]
) -> None:
    store_sent(machine("here"), [Sent("1", NOON)])
    client = bucket.client
    for name in bucket.objects():
        if name.startswith("lake/sent_messages/_delta_log/"):
            client.delete_object(Bucket=bucket.name, Key=name)
    with pytest.raises(DamagedTableError, match="sent_messages is damaged"):
        machine("there").snapshot(SENT_MESSAGES)
    assert not any(name.startswith("lake/sent_messages/_delta_log/") for name in bucket.objects())


def test_a_clone_lacks_no_copy_that_is_the_only_whole_one(
    bucket: Bucket, machine: Callable[[str], Lake], settings: Callable[..., Settings], tmp_path: Path
) -> None:
    data, _ = damaged(bucket, machine, settings)
    here = machine("one")
    copies = copies_of(here.folder)
    assert copies is not None
    whole = copies.folder / data.removeprefix("lake/")
    bucket.client.delete_object(Bucket=bucket.name, Key=data)
    for path in copies.folder.glob("*/*/*.parquet"):
        if path == whole:
            os.utime(path, (1, 1))  # used long ago: the first to go
        else:
            path.unlink()
    make_copies(here.folder, copies.store.url, mode=copies.mode, limit=1)
    clone = cloned(here, tmp_path / "clone", whole=[whole])
    assert (clone.lake.folder / copies.name_of(whole)).is_file()


def test_what_of_a_log_could_not_be_brought_is_brought_the_next_time(
    bucket: Bucket, machine: Callable[[str], Lake]
) -> None:
    here, other = machine("here"), machine("other")
    store_sent(here, [Sent("0", NOON)])
    assert other.snapshot(SENT_MESSAGES).rows == 1
    store_sent(here, [Sent("1", NOON)])
    store_sent(here, [Sent("2", NOON)])

    def refused(request: Request) -> Answer | None:
        is_entry = request.method == "GET" and request.path.endswith(f"{2:020}.json")
        return refusal(403, "AccessDenied") if is_entry else None

    bucket.rules.answer = refused
    other.look_again()
    with pytest.raises(SettingsError, match="no right to read"):
        other.snapshot(SENT_MESSAGES)
    bucket.rules.answer = lambda _: None
    assert other.snapshot(SENT_MESSAGES).rows == 3
