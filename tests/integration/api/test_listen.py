"""The receiver of pushes as a process: what is answered with 200 is on the disk, whatever happens then."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import httpx
import pytest

from pipeline.api.simulator.pushing import PushOptions
from pipeline.api.simulator.rules import fate_of, make_msg_id
from pipeline.api.simulator.server import SimulatorOptions, running
from pipeline.collect.pushed_reports import take_pushed
from pipeline.lake.lake import Lake
from pipeline.lake.notes import note_forgotten_number
from pipeline.model.settings import given_settings
from pipeline.model.tables import PUSHED_REPORTS
from tests.scenarios.stage import read_table
from tests.support.commands import run_command
from tests.support.mounts import set_limit, small_disk
from tests.support.places import without_settings
from tests.support.pushes import NUMBER, TOKEN, Receiver, post, receiving, report, status_of


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiving(tmp_path_factory.mktemp("listen")) as receiver:
        yield receiver


def test_a_report_that_was_answered_with_200_is_in_a_file(receiver: Receiver) -> None:
    assert post(receiver, report(1)) == 200
    assert post(receiver, [report(2), report(3), {"no": "report"}]) == 200
    assert {report(n)["msgid"] for n in (1, 2, 3)} <= set(receiver.ids())
    assert [line for line in receiver.lines() if "rejected" in line]


def test_the_vendors_own_json_is_taken(receiver: Receiver) -> None:
    sloppy = json.dumps(report(4)).replace('"', "'").replace("'msgid'", "'msgid '")
    assert post(receiver, sloppy.encode()) == 200
    assert report(4)["msgid"] in receiver.ids()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"nonsense", 400),
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b'{"msgid": "1"}', 422),
        (b"[1, 2]", 422),
        (b"[" + json.dumps(report(7)).encode() + b",{}" * 10_000 + b"]", 400),
    ],
)
def test_what_can_never_be_used_gets_4xx_and_leaves_nothing(receiver: Receiver, body: bytes, status: int) -> None:
    before = receiver.lines()
    assert post(receiver, body) == status
    assert receiver.lines() == before


def test_a_body_of_a_mebibyte_is_taken_and_a_larger_one_is_not(receiver: Receiver) -> None:
    body = json.dumps([report(5, padding="x" * 1000) for _ in range(800)]).encode()
    assert post(receiver, body.ljust(2**20)) == 200
    for _ in range(20):  # no sender loses the race for its answer
        assert post(receiver, body.ljust(2**20 + 1)) == 413


def test_a_larger_body_is_not_even_read_whole_where_its_size_is_not_told(receiver: Receiver) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for sent in range(200):  # noqa: B007 - looked at below
            yield b" " * 2**20

    with contextlib.suppress(httpx.TransportError):  # it hangs up while we are sending
        assert httpx.post(receiver.url, content=endless(), timeout=20).status_code == 413
    assert sent < 100


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%00", "%C3%A9"])
def test_who_does_not_know_the_token_gets_404(receiver: Receiver, token: str) -> None:
    before = receiver.lines()
    assert post(receiver, report(6), path=f"/reports/{token}") == 404
    assert receiver.lines() == before


def test_health_needs_no_token(receiver: Receiver) -> None:
    assert status_of(receiver, "/health") == 200


@pytest.mark.parametrize(
    ("token", "folder", "named"),
    [("", "pushed", "SMS_PUSH_TOKEN"), ("short", "pushed", "SMS_PUSH_TOKEN"), (TOKEN, "", "SMS_PUSHED_REPORTS"),
     ("a/b?c" * 9, "pushed", "SMS_PUSH_TOKEN"), (TOKEN, "/proc/none", "SMS_PUSHED_REPORTS")],
)  # fmt: skip
def test_without_a_setting_that_it_needs_it_does_not_start(tmp_path: Path, token: str, folder: str, named: str) -> None:
    given = {"SMS_PUSH_TOKEN": token, "SMS_PUSHED_REPORTS": folder}
    ended = run_command(["listen", "--port", "0"], folder=tmp_path, environment=without_settings() | given)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"sms-delivery: {named}: ")
    assert len(ended.stderr.splitlines()) == 1
    assert not token or token not in ended.stdout + ended.stderr


def flood(receiver: Receiver, stop: Event, first: int) -> list[str]:
    """Post one report after the other until the receiver has gone; return the ids answered with 200."""
    taken: list[str] = []
    with httpx.Client() as client:
        while not stop.is_set():
            pushed = report(first + len(taken))
            try:
                if client.post(receiver.url, json=pushed, timeout=20).status_code == 200:
                    taken.append(str(pushed["msgid"]))
            except httpx.TransportError:
                break
    return taken


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_that_was_answered_is_lost_when_the_process_ends(tmp_path: Path, number: signal.Signals) -> None:
    """Killed or told to stop under a flood; told to stop, it ends within five seconds and with status 0."""
    stop = Event()
    with receiving(tmp_path) as receiver, ThreadPoolExecutor(8) as pool:
        floods = [pool.submit(flood, receiver, stop, place * 100_000) for place in range(8)]
        time.sleep(1.5)
        began = time.monotonic()
        receiver.process.send_signal(number)
        status = receiver.process.wait(20)
        seconds = time.monotonic() - began
        stop.set()
        taken = [msg_id for each in floods for msg_id in each.result()]
        assert len(taken) > 20
        assert set(taken) <= set(receiver.ids())
    if number == signal.SIGTERM:
        assert (status, seconds < 5) == (0, True)


@pytest.mark.slow
def test_a_full_disk_gets_503_and_what_fits_later_is_taken(tmp_path: Path) -> None:
    """No file may grow beyond 2,000 bytes: the write that does not fit is not answered with 200, nor lost by half."""

    with receiving(tmp_path) as receiver:
        resource.prlimit(receiver.process.pid, resource.RLIMIT_FSIZE, (2000, 2000))
        statuses = {n: post(receiver, report(n)) for n in range(30)}
        assert set(statuses.values()) == {200, 503}
        taken = {report(n)["msgid"] for n, status in statuses.items() if status == 200}
        assert taken <= set(receiver.ids())
        files = list(receiver.folder.iterdir())
        assert post(receiver, [report(n) for n in range(50)]) == 503
        assert status_of(receiver, "/health") == 503
        assert set(receiver.folder.iterdir()) == set(files)
        assert post(receiver, report(99)) == 200
        assert status_of(receiver, "/health") == 200


@pytest.mark.slow
def test_a_disk_that_is_really_full_gets_503_and_a_run_reads_each_report_that_got_200_once(tmp_path: Path) -> None:
    """Reports on their own, then arrays of which a part would fit; once there is room they are taken again."""
    with small_disk(tmp_path / "disk", "size=64k"), receiving(tmp_path, SMS_PUSHED_REPORTS="disk/pushed") as receiver:
        folder = tmp_path / "disk" / "pushed"
        statuses = {n: post(receiver, report(n)) for n in range(300)}
        assert set(statuses.values()) == {200, 503}
        assert post(receiver, [report(n) for n in range(1000, 1200)]) == 503
        assert status_of(receiver, "/health") == 503
        assert len(list(folder.iterdir())) < 20
        set_limit(tmp_path / "disk", "size=10m")
        statuses |= {n: post(receiver, report(n)) for n in (2000, 2001)}
        assert status_of(receiver, "/health") == 200
        receiver.process.terminate()
        receiver.process.wait(20)
        lake = Lake.open(tmp_path / "lake", mode=0o640, recorded={})
        chosen = given_settings(tmp_path, pushed_reports=folder)
        take_pushed(lake=lake, settings=chosen, now=datetime.now(UTC) + timedelta(hours=3))
    taken = [str(report(n)["msgid"]) for n, status in statuses.items() if status == 200]
    assert sorted(row["msg_id"] for row in read_table(lake, PUSHED_REPORTS)) == sorted(taken)


@pytest.mark.slow
def test_a_file_that_is_deleted_under_it_is_not_written_to(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        assert post(receiver, report(1)) == 200
        for path in receiver.folder.iterdir():
            path.unlink()
        assert post(receiver, report(2)) == 200
        assert receiver.ids() == [report(2)["msgid"]]


@pytest.mark.slow
def test_more_requests_than_the_bound_get_429(tmp_path: Path) -> None:
    with receiving(tmp_path, "--max-requests-per-second", "5") as receiver, httpx.Client() as client:
        began = time.monotonic()
        statuses = [client.post(receiver.url, json=report(n)).status_code for n in range(60)]
        seconds = time.monotonic() - began
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= (seconds + 1) * 5 + 1


def test_who_sends_half_a_request_keeps_nobody_waiting(receiver: Receiver) -> None:
    host, _, port = receiver.base.removeprefix("http://").rpartition(":")
    head = f"POST /reports/{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{{".encode()
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(head)
        assert post(receiver, report(7)) == 200


@pytest.mark.slow
def test_neither_token_nor_number_is_told(tmp_path: Path) -> None:
    with receiving(tmp_path, SMS_NUMBERS="mask") as receiver:
        for body in (report(1), {"broken": NUMBER}, [report(2), NUMBER]):
            post(receiver, body)
        post(receiver, NUMBER.encode() + b"{")
        post(receiver, report(1), path=f"/reports/{TOKEN}x")
        receiver.process.send_signal(signal.SIGTERM)
        out, err = receiver.process.communicate(timeout=20)
        stored = "".join(path.read_text() for path in receiver.folder.iterdir())
    assert err == ""
    assert not [text for text in (TOKEN, NUMBER) if text in out + stored]
    assert "********1412" in stored


@pytest.mark.slow
def test_a_number_that_is_forgotten_meanwhile_is_stored_no_more(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "data" / "lake", mode=0o640, recorded={"SMS_NUMBERS": "keep"})
    with receiving(tmp_path) as receiver:
        assert post(receiver, report(1)) == 200
        note_forgotten_number(lake, NUMBER)
        assert post(receiver, report(2, reason=f"to {NUMBER}")) == 200
        first, second = receiver.lines()
    assert first["number"] == NUMBER
    assert NUMBER not in str(second)


@pytest.mark.slow
def test_numbers_are_treated_as_in_the_lake_or_not_at_all(tmp_path: Path) -> None:
    Lake.open(tmp_path / "data" / "lake", mode=0o640, recorded={"SMS_NUMBERS": "mask"})
    with pytest.raises(AssertionError, match="SMS_NUMBERS"), receiving(tmp_path):
        pass


def test_the_simulator_pushes_to_it(receiver: Receiver) -> None:
    """Messages of its record, and those that it is asked for."""
    sent_at = datetime.now(UTC) - timedelta(hours=60)
    ids = [make_msg_id(sent_at, n) for n in range(40)]
    final = {msg_id for msg_id in ids if fate_of(msg_id).final_at}
    options = SimulatorOptions(
        "key", "secret", sent={"app1": tuple(ids[:20])}, push=PushOptions(receiver.url, {"doubled": 1})
    )
    with running(options) as simulator:
        httpx.get(f"{simulator.base_url}/getReport", params={"appId": "app1", "msgIds": ",".join(ids[20:])})
        deadline = time.monotonic() + 20
        while len([i for i in receiver.ids() if i in final]) < 2 * len(final) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert sorted(i for i in receiver.ids() if i in ids) == sorted([*final, *final])
