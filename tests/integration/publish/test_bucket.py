"""The published file in a bucket: names of its own, never back in time, kept for readers, nothing left by `forget`."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.maintain.clean import clean
from pipeline.maintain.forget import forget, remove_old_files
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import MESSAGES
from pipeline.publish import bucket as of_publication
from pipeline.publish.bucket import published_bucket, published_file, remove_old_publications
from pipeline.publish.database import publish
from pipeline.publish.export import Days
from pipeline.publish.fetch import fetch_data, fetch_file, fetch_page
from pipeline.publish.page.writing import write_page
from tests.integration.publish.test_readers import MIXED, READING, World, process, what_it_told
from tests.support import analysts
from tests.support.buckets import Answer, Bucket, Request
from tests.support.lakes import Said, Sent, store_answers, store_sent

pytestmark = pytest.mark.slow
NOW = datetime(2026, 10, 27, 12, tzinfo=UTC)
NUMBER = "491712345678"
PLACE = "pub/analytics.duckdb"


@pytest.fixture
def bucket(reached_bucket: Bucket) -> Bucket:
    return reached_bucket


@dataclass(frozen=True)
class Machine:
    """A machine: the lake in the bucket as it has it, its settings, and the analysts' world made of both."""

    lake: Lake
    settings: Settings

    def publish(self, *, more: int = 0) -> None:
        """Publish the lake as it is, after so many messages more."""
        if more:
            store_sent(self.lake, [Sent(uuid.uuid4().hex, NOW) for _ in range(more)])
        publish(lake=self.lake, settings=self.settings, now=NOW)

    def derive(self) -> None:
        """Derive messages and rates of the day again."""
        derive_messages([NOW.date()], lake=self.lake, settings=self.settings, now=NOW, anew=True)
        derive_rates([NOW.date()], lake=self.lake, settings=self.settings, now=NOW)


Machines = Callable[[str], Machine]


@pytest.fixture
def machine(bucket: Bucket, settings: Callable[..., Settings], tmp_path: Path) -> Machines:
    """Return the machine of a name."""

    def opened(name: str) -> Machine:
        url = f"s3://{bucket.name}"
        mine = {"cache": tmp_path / name / "cache", "report": tmp_path / name / "report.html"}
        found = settings(lake=f"{url}/lake", duckdb=f"{url}/{PLACE}", **mine)
        return Machine(Lake.of(found), found)

    return opened


def versions(bucket: Bucket) -> list[str]:
    """Return the numbers of the versions that are there."""
    ours = f"{PLACE}/", f"/{Path(PLACE).name}"
    found = (name for name in bucket.objects() if name.startswith(ours[0]) and name.endswith(ours[1]))
    return sorted(name.removeprefix(ours[0]).removesuffix(ours[1]) for name in found)


def content_of(bucket: Bucket, version: str) -> bytes:
    return bucket.objects()[f"{PLACE}/{version}/{Path(PLACE).name}"]


def messages_in(path: Path | None) -> int:
    """Return how many messages had been sent when a file was published."""
    assert path
    with duckdb.connect(path, read_only=True) as connection:
        select = "SELECT rows FROM snapshot_info WHERE table_name = 'sent_messages'"
        ((sent,),) = connection.execute(select).fetchall()
    return int(sent)


def once(work: Callable[[], None], *, at: Callable[[Request], bool]) -> Callable[[Request], Answer | None]:
    """Do something just before the first request of a kind gets its answer."""
    done = list[bool]()

    def rule(request: Request) -> None:
        if at(request) and not done:
            done.append(True)
            work()

    return rule


def test_each_publication_has_an_object_of_its_own_which_never_changes(bucket: Bucket, machine: Machines) -> None:
    here = machine("here")
    here.publish(more=1)
    first = content_of(bucket, "00000001")
    here.derive()
    here.publish(more=1)
    assert versions(bucket) == ["00000001", "00000002"]
    assert content_of(bucket, "00000001") == first
    path = published_file(machine("other").settings)
    assert messages_in(path) == 2
    with duckdb.connect(str(path), read_only=True) as connection:
        ((text,),) = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'messages'").fetchall()
    assert f"s3://{bucket.name}/lake/messages/" in text


def is_put_of(name: str) -> Callable[[Request], bool]:
    return lambda found: found.method == "PUT" and found.path.endswith(f"/{name}")


def test_no_publication_goes_back_behind_that_of_another_machine(bucket: Bucket, machine: Machines) -> None:
    here, other = machine("here"), machine("other")
    here.publish(more=1)
    bucket.rules.answer = once(lambda: other.publish(more=1), at=is_put_of("00000002/analytics.duckdb"))
    here.publish()  # of one message, while the other publishes two
    assert versions(bucket) == ["00000001", "00000002", "00000003"]
    assert messages_in(published_file(here.settings)) == 2


def test_a_publication_that_comes_very_late_is_repeated_and_not_left_behind(bucket: Bucket, machine: Machines) -> None:
    here, other = machine("here"), machine("other")
    here.publish(more=1)

    def others() -> None:
        for _ in range(2):
            other.publish(more=1)
        remove_old_publications(other.settings)

    bucket.rules.answer = once(others, at=is_put_of("00000002/analytics.duckdb"))
    here.publish()
    assert versions(bucket) == ["00000003", "00000004"]
    assert messages_in(published_file(machine("third").settings)) == 3


def test_a_lost_response_makes_no_second_publication(bucket: Bucket, machine: Machines) -> None:
    here = machine("here")
    lost = list[Request]()

    def is_lost(request: Request) -> bool:
        if is_put_of("analytics.duckdb")(request) and len(lost) < 2:
            lost.append(request)
            return True
        return False

    bucket.rules.loses = is_lost
    here.publish(more=1)
    assert lost
    assert versions(bucket) == ["00000001"]


def test_the_page_is_that_of_the_newest_publication(bucket: Bucket, machine: Machines) -> None:
    here, other = machine("here"), machine("other")
    here.publish(more=1)

    def others() -> None:
        publish(lake=other.lake, settings=other.settings, now=NOW + timedelta(hours=1))
        write_page(settings=other.settings)

    bucket.rules.answer = once(others, at=is_put_of("report.html"))
    write_page(settings=here.settings)
    assert bucket.objects()[f"{PLACE}/report.html"] == other.settings.report.read_bytes()

    found = bucket.client.head_object(Bucket=bucket.name, Key=f"{PLACE}/report.html")
    assert found["ContentType"] == "text/html; charset=utf-8"


def test_a_copy_does_not_go_back_behind_what_another_process_of_the_machine_brought(machine: Machines) -> None:
    here = machine("here")
    here.publish(more=1)
    place = published_bucket(here.settings)
    assert place
    first = place.newest()
    assert first
    here.publish(more=1)
    of_publication._looked[place.path] = time.monotonic(), first  # as a process that looked a moment ago
    assert messages_in(published_file(here.settings)) == 2


def test_what_is_left_here_after_old_publications_went_is_the_newest_one(machine: Machines) -> None:
    here, other = machine("here"), machine("other")
    here.publish(more=1)
    assert messages_in(published_file(other.settings)) == 1
    here.publish(more=1)
    remove_old_publications(other.settings)
    copies = list(other.settings.duckdb.parent.rglob(".*/*/analytics.duckdb"))
    assert [messages_in(path) for path in copies] == [2]


def test_versions_stay_for_a_while_after_they_were_replaced(bucket: Bucket, machine: Machines, tmp_path: Path) -> None:
    given = published_bucket(machine("here").settings)
    assert given
    assert given.kept == timedelta(hours=24)
    place, file = replace(given, kept=timedelta(seconds=2)), tmp_path / "version"
    last = None
    for pause in (0.0, 0.0, 3.2):
        time.sleep(pause)
        file.write_bytes(os.urandom(8))
        last = place.publish(file, after=last)
    assert versions(bucket) == ["00000002", "00000003"]  # the second was replaced just now, whenever it was put


def test_a_file_of_the_lake_stays_while_a_version_that_names_it_does(machine: Machines) -> None:
    here = machine("here")
    store_sent(here.lake, [Sent("1", NOW)])
    here.derive()
    here.publish()
    store_answers(here.lake, [(Said("1", "delivered", NOW), NOW.date())])
    here.derive()
    replaced = datetime.now(UTC)
    before = {file.path for file in here.lake.files_there(MESSAGES)}
    assert len(before) == 2
    time.sleep(3)
    here.publish()
    for hours, left in ((24 + 1 / 3600, before), (25, None)):
        now = replaced + timedelta(hours=hours)
        store_answers(here.lake, [(Said("1", "sending", now), NOW.date())])  # ages count up to the latest answer
        clean(lake=here.lake, settings=here.settings, now=now)
        there = {file.path for file in here.lake.files_there(MESSAGES)}
        assert there == left if left else len(there) == 1


def test_a_forgotten_number_is_in_no_published_object_and_in_no_copy(bucket: Bucket, machine: Machines) -> None:
    here, other = machine("here"), machine("other")
    store_sent(here.lake, [Sent("1", NOW, sender_id=NUMBER, number=NUMBER)])
    here.derive()
    for one in (here, other):
        one.publish()
        write_page(settings=one.settings)
    assert len(holding(bucket)) == 2
    forget(NUMBER, lake=here.lake, settings=here.settings)
    here.derive()
    here.publish()
    write_page(settings=here.settings)
    assert remove_old_files(NUMBER, lake=here.lake, settings=here.settings) == 0
    assert not holding(bucket)
    again = machine("other")
    again.publish()
    assert not holding(bucket)
    copies = again.settings.duckdb.parent.rglob("analytics.duckdb")
    assert not [path for path in copies if NUMBER.encode() in path.read_bytes()]


def holding(bucket: Bucket) -> list[str]:
    found = {name: content for name, content in bucket.objects().items() if name.startswith(PLACE)}
    return [name for name, content in found.items() if NUMBER.encode() in content]


def test_what_is_missing_is_one_clear_line(
    machine: Machines, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    here, got = machine("here"), tmp_path / "got.duckdb"
    with pytest.raises(LakeError, match=r"there is no s3://.*; `sms-delivery publish` makes it"):
        fetch_file(got, settings=here.settings)
    with pytest.raises(SettingsError, match=r"^SMS_DUCKDB: is no URL of a bucket"):
        fetch_file(got, settings=settings())
    here.publish(more=1)
    with pytest.raises(LakeError, match=r"there is no s3://.*report.html; `sms-delivery publish` makes it"):
        fetch_page(got, settings=here.settings)
    here.settings.duckdb.resolve().write_bytes(b"cut")
    fetch_file(got, settings=here.settings)  # the copy is brought again
    assert messages_in(got) == 1


def test_a_bucket_for_the_file_of_a_lake_in_a_folder_is_refused(settings: Callable[..., Settings], lake: Lake) -> None:
    with pytest.raises(SettingsError, match=r"^SMS_DUCKDB: is in a bucket, but its views would name files of /"):
        publish(lake=lake, settings=settings(duckdb="s3://bucket/analytics.duckdb"), now=NOW)


def test_a_machine_that_may_only_read_fetches_file_data_and_page(
    bucket: Bucket, machine: Machines, tmp_path: Path
) -> None:
    here, got = machine("here"), tmp_path / "got" / "analytics.duckdb"
    store_sent(here.lake, [Sent("1", NOW)])
    here.derive()
    here.publish()
    write_page(settings=here.settings)
    bucket.rules.answer = lambda found: (
        None if found.method in {"GET", "HEAD"} else (403, b"<Error><Code>AccessDenied</Code></Error>")
    )
    reader = machine("reader")
    fetch_file(got, settings=reader.settings)
    assert (messages_in(got), got.stat().st_mode & 0o777) == (1, 0o440)
    fetch_page(tmp_path / "page.html", settings=reader.settings)
    assert (tmp_path / "page.html").read_bytes() == here.settings.report.read_bytes()
    rows = fetch_data(got, days=Days(NOW.date(), None), lake=reader.lake, settings=reader.settings)
    assert rows[MESSAGES.name] == 1
    with duckdb.connect(got, read_only=True) as connection:
        assert connection.execute("SELECT msg_id FROM messages").fetchall() == [("1",)]
    with pytest.raises(SettingsError, match=r"^--from, --to: no message was sent"):
        fetch_data(got, days=Days(NOW.date() + timedelta(days=9), None), lake=reader.lake, settings=reader.settings)
    assert messages_in(got) == 1  # what was there stays


def test_analysts_with_httpfs_see_no_error_and_no_mixed_snapshot_while_publications_go_on(
    bucket: Bucket, machine: Machines
) -> None:
    python, here = analysts.analyst_python(), machine("here")
    world = World(here.lake, here.settings)
    world.publish()
    place = json.dumps({"secret": secret(bucket), "url": f"s3://{bucket.name}/{PLACE}"})
    with ExitStack() as stack:
        code = analysts.OPENED + READING
        readers = [
            stack.enter_context(process(code, place, MIXED, open_for, python=python)) for open_for in ("0", "3600")
        ]
        for _ in range(6):
            world.publish()
        short, long = [what_it_told(reader) for reader in readers]
    assert [short["errors"], long["errors"]] == [[], []]
    assert short["snapshots"] > 2
    assert (long["connections"], long["snapshots"]) == (1, 1)
    assert long["readings"] > 2


def secret(bucket: Bucket) -> str:
    given = bucket.environment
    return (
        f"CREATE SECRET analysts (TYPE s3, KEY_ID '{given['AWS_ACCESS_KEY_ID']}', "
        f"SECRET '{given['AWS_SECRET_ACCESS_KEY']}', REGION '{given['AWS_REGION']}', URL_STYLE 'path', USE_SSL false, "
        f"ENDPOINT '{bucket.endpoint.removeprefix('http://')}', SCOPE 's3://{bucket.name}')"
    )
