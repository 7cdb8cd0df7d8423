"""A bucket's store: its two conditions, lost responses, and errors as one clear line each, without a secret."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.lake.lake import Lake
from pipeline.lake.store import Store
from pipeline.lake.store_errors import UncertainError
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.settings import Settings
from tests.support.buckets import Answer, Bucket, Request, proxied, refusal

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Callable[[Bucket], Store]:
    """Return a store of a bucket, reached by variables of the environment as a user sets them."""

    def store(bucket: Bucket) -> Store:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        return Store(f"s3://{bucket.name}/lake")

    return store


@pytest.mark.slow
def test_of_many_that_create_one_object_one_does(bucket: Bucket, reach: Callable[[Bucket], Store]) -> None:
    store, created = reach(bucket), list[int]()

    def create(number: int) -> None:
        try:
            store.create("entry", f"by {number}".encode())
            created.append(number)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = store.read("entry")
    assert found is not None
    assert [f"by {number}".encode() for number in created] == [found[0]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a/../../../outside", "a//double", "a/./dot"])
def test_an_object_whose_name_is_no_path_is_named_and_nothing_is_written(
    bucket: Bucket, reach: Callable[[Bucket], Store], name: str
) -> None:
    """Whoever may write the bucket must not choose where a copy lies."""
    store = reach(bucket)
    store.put("a/good", b"1")
    bucket.client.put_object(Bucket=bucket.name, Key=f"lake/{name}", Body=b"2")
    with pytest.raises(SettingsError, match=r"^SMS_LAKE: s3://") as error:
        store.listed("a")
    assert f"an object lake/{name} has an empty part" in str(error.value)


@pytest.mark.slow
def test_of_many_that_change_one_object_none_is_lost(bucket: Bucket, reach: Callable[[Bucket], Store]) -> None:
    store = reach(bucket)

    def add(number: int) -> None:
        store.change("notes", lambda former: (former or b"") + f"{number},".encode())

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = store.read("notes")
    assert found is not None
    assert sorted(found[0].decode().split(",")) == sorted(["", *map(str, range(8))])


@pytest.mark.slow
def test_a_create_whose_response_is_lost_is_known_as_ours_and_never_as_anothers(
    bucket: Bucket, reach: Callable[[Bucket], Store]
) -> None:
    store, lost = reach(bucket), list[Request]()

    def first_put(request: Request) -> bool:
        is_first = request.method == "PUT" and not lost
        lost.extend([request] if is_first else [])
        return is_first

    bucket.rules.loses = first_put
    assert store.create("entry", b"ours")
    assert len(lost) == 1
    lost.clear()
    with pytest.raises(FileExistsError):
        store.create("entry", b"another's")
    found = store.read("entry")
    assert found is not None
    assert found[0] == b"ours"


@pytest.mark.slow
def test_a_create_of_which_nothing_is_known_says_so(bucket: Bucket, reach: Callable[[Bucket], Store]) -> None:
    store = reach(bucket)
    bucket.rules.loses = lambda _: True
    with pytest.raises(UncertainError):
        store.create("entry", b"ours")


@pytest.mark.slow
def test_a_store_that_ignores_a_condition_is_refused(bucket: Bucket, reach: Callable[[Bucket], Store]) -> None:
    store = reach(bucket)
    store.check_conditions()
    for header in ("If-None-Match", "If-Match"):
        bucket.rules.without = (header,)
        with pytest.raises(SettingsError, match="ignores the conditions"):
            store.check_conditions()
    assert bucket.objects() == {}


@pytest.mark.slow
def test_a_fetched_file_is_whole_though_the_first_answers_fail(
    bucket: Bucket, reach: Callable[[Bucket], Store], tmp_path: Path
) -> None:
    store, asked = reach(bucket), list[Request]()
    content = bytes(range(256)) * 4000
    store.put("t/a.parquet", content)

    def busy(request: Request) -> Answer | None:
        asked.append(request)
        return refusal(503, "SlowDown") if len(asked) < 3 else None

    bucket.rules.answer = busy
    store.fetch("t/a.parquet", tmp_path / "a.parquet", mode=0o640)
    assert (tmp_path / "a.parquet").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


REFUSED: dict[str, tuple[Answer, type[Exception], str]] = {
    "no bucket": (refusal(404, "NoSuchBucket"), SettingsError, "no such bucket"),
    "unknown key": (refusal(403, "InvalidAccessKeyId"), SettingsError, "does not know the access key"),
    "wrong secret": (refusal(403, "SignatureDoesNotMatch"), SettingsError, "refuses the secret"),
    "no right": (refusal(403, "AccessDenied"), SettingsError, "no right"),
    "clock": (refusal(403, "RequestTimeTooSkewed"), LakeError, "clock is off"),
    "busy": (refusal(503, "SlowDown"), LakeError, "overloaded"),
    "no conditional put": (refusal(501, "NotImplemented"), SettingsError, "does not know conditional put"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_of_the_store_is_one_line_without_a_secret(
    name: str, settings: Callable[..., Settings], reach: Callable[[Bucket], Store], tmp_path: Path
) -> None:
    answer, kind, words = REFUSED[name]
    with proxied(NOBODY) as bucket:
        reach(bucket)
        bucket.rules.answer = lambda _: answer
        with pytest.raises(kind, match=words) as found:
            Lake.of(settings(lake=f"s3://{bucket.name}/lake", cache=tmp_path / "cache"))
    text = str(found.value)
    assert text.startswith("SMS_LAKE: ")
    assert len(text.splitlines()) == 1
    assert "secret-2718" not in text
    assert "key-of-tests" not in text


@pytest.mark.slow
def test_a_page_in_place_of_an_answer_is_an_error_too(
    settings: Callable[..., Settings], reach: Callable[[Bucket], Store], tmp_path: Path
) -> None:
    with proxied(NOBODY) as bucket:
        reach(bucket)
        bucket.rules.answer = lambda _: (200, b"<html>hello</html>")
        with pytest.raises(LakeError, match=r"^SMS_LAKE: s3://.*: settings.json can't be read"):
            Lake.of(settings(lake=f"s3://{bucket.name}/lake", cache=tmp_path / "cache"))


@pytest.mark.slow
def test_a_server_that_is_not_there_is_said_in_one_line(
    settings: Callable[..., Settings], reach: Callable[[Bucket], Store], tmp_path: Path
) -> None:
    reach(Bucket("some-bucket", NOBODY, NOBODY))
    with pytest.raises(LakeError, match=r"^SMS_LAKE: s3://some-bucket/lake: no server answers$"):
        Lake.of(settings(lake="s3://some-bucket/lake", cache=tmp_path / "cache"))
