"""The gateway over a socket: what it repeats, what it stops for, and what it never tells."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import ssl
import time
import traceback
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from pipeline.api.batches import Batch
from pipeline.api.client import FAILURES_IN_A_ROW, Clock, Gateway, GoodResponse, Ledger
from pipeline.api.envelope import AnsweredCall
from pipeline.api.reports import flatten_reports
from pipeline.api.signing import sign
from pipeline.api.simulator.calls import Call
from pipeline.api.simulator.faults import Faults
from pipeline.api.simulator.rules import make_msg_id
from pipeline.api.simulator.server import Running, utc_now
from pipeline.model.accounts import Account
from pipeline.model.errors import ApiRefused, AppRefused, BatchFailed, BatchRefused, CallError
from tests.support.hostile import Answerer, Seen, serving

KEY, SECRET = "bDqJFiq9", "s3cret-of-nobody"
DAY = date(2026, 3, 2)
SENT_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
IDS = tuple(make_msg_id(SENT_AT, number) for number in range(20))
Simulate = Callable[..., Running]


def batch_of(*msg_ids: str, app_id: str = "4luaKsL2") -> Batch:
    return Batch(app_id, [(msg_id, DAY) for msg_id in msg_ids or IDS])


def account_at(base_url: str, *, key: str = KEY, secret: str = SECRET) -> Account:
    return Account(base_url, SecretStr(key), SecretStr(secret))


def struck(*faults: str | None) -> Faults:
    """Make the first call meet the first fault, and so on; the calls after them meet none."""
    return Faults(script=lambda number, _: faults[number - 1] if number <= len(faults) else None)


def always(fault: str) -> Faults:
    return Faults(script=lambda _, __: fault)


@dataclass
class Asked:
    """What came of asking: by batch its response or error, and its ledger."""

    outcomes: list[GoodResponse | CallError]
    ledgers: list[Ledger]
    gateway: Gateway

    @property
    def response(self) -> GoodResponse:
        (response,) = self.outcomes
        assert isinstance(response, GoodResponse), response
        return response

    def error(self, kind: type[CallError]) -> CallError:
        (error,) = self.outcomes
        assert type(error) is kind, repr(error)
        return error

    @property
    def requests(self) -> int:
        return sum(ledger.requests for ledger in self.ledgers)


def ask(
    base_url: str,
    clock: Clock | None,
    *batches: Batch,
    account: Account | None = None,
    concurrency: int = 8,
    rate: float = 0,
    attempts: int = 5,
    timeout_seconds: float = 60,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Asked:
    """Ask for each batch (one if none is given) with so many workers."""
    todo = list(batches or [batch_of()])
    gateway = Gateway(
        timeout_seconds=timeout_seconds,
        max_attempts=attempts,
        requests_per_second=rate,
        clock=clock,
        transport=transport,
    )
    asked = Asked([], [Ledger() for _ in todo], gateway)

    async def one(gateway: Gateway, number: int, turn: asyncio.Semaphore) -> GoodResponse | CallError:
        async with turn:
            try:
                return await gateway.ask(todo[number], account or account_at(base_url), asked.ledgers[number])
            except CallError as error:
                return error

    async def everything() -> list[GoodResponse | CallError]:
        turn = asyncio.Semaphore(concurrency)
        async with asked.gateway as gateway:
            return list(await asyncio.gather(*(one(gateway, number, turn) for number in range(len(todo)))))

    asked.outcomes = asyncio.run(everything())
    return asked


def enveloped(http_status: int = 200, *, headers: dict[str, str] | None = None, **fields: Any) -> Answerer:
    return lambda _: (http_status, headers or {}, json.dumps(fields).encode())


# What is repeated


@pytest.mark.parametrize(
    "fault", ["-18", "-12", "http-500", "http-502", "http-503", "http-599", "timeout", "reset", "truncated", "html"]
)
def test_what_may_pass_is_asked_again_until_there_is_an_answer(fault: str, simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=struck(fault, fault))
    asked = ask(server.base_url, clock, timeout_seconds=2 if fault == "timeout" else 60)

    assert asked.response.envelope.status == "0"
    assert asked.response.http_status == 200
    assert asked.requests == len(server.calls) == 3
    assert {call.msg_ids for call in server.calls} == {IDS}


def test_each_attempt_is_signed_anew(simulator: Simulate, clock: Clock) -> None:
    """The simulator takes a timestamp for two seconds, so that one used again and again would be refused with -16."""
    server = simulator(faults=struck(*["-18"] * 4), window_seconds=2)
    asked = ask(server.base_url, clock)

    assert asked.requests == 5
    stamps = [int(call.timestamp) for call in server.calls]
    assert all(after > before for before, after in pairwise(stamps[1:]))
    assert stamps[-1] - stamps[0] >= 7


def test_each_attempt_waits_twice_as_long_as_the_one_before_up_to_half_a_minute(
    simulator: Simulate, clock: Clock, waits: list[float]
) -> None:
    server = simulator(faults=always("-18"))
    error = ask(server.base_url, clock, attempts=10).error(BatchFailed)

    assert [first <= wait <= min(30, first + 0.5) for wait, first in zip(waits, [0.5, 1, 2, 4, 8, 16], strict=False)]
    assert len(waits) == 9
    assert waits[-3:] == [30, 30, 30]
    assert "10 requests" in str(error)
    assert error.status == "-18"


def test_a_batch_is_given_up_after_its_attempts_and_costs_no_more(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=always("http-500"))
    asked = ask(server.base_url, clock, attempts=3)
    error = asked.error(BatchFailed)

    assert asked.requests == len(server.calls) == 3
    assert (error.http_status, error.status) == (500, None)
    assert asked.ledgers[0].http_status == 500
    assert asked.ledgers[0].elapsed_ms >= 1_500


def test_a_server_that_is_not_there_gives_the_batch_up(clock: Clock) -> None:
    with serving(enveloped(status="0")) as (base_url, _):
        pass
    asked = ask(base_url, clock, attempts=2)

    assert "ConnectError" in str(asked.error(BatchFailed))
    assert asked.requests == 2
    assert asked.ledgers[0].http_status is None


def test_an_undocumented_code_is_not_repeated_and_its_body_kept_for_a_person(clock: Clock) -> None:
    with serving(enveloped(status="-77", reason="quota", hint="ask sales")) as (base_url, seen):
        error = ask(base_url, clock).error(BatchFailed)

    assert len(seen) == 1
    assert "ask sales" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"), [("-14", BatchRefused), ("-1", AppRefused), ("-2", AppRefused), ("-19", AppRefused),
                       ("-11", ApiRefused), ("-22", ApiRefused), ("-25", ApiRefused)],
)  # fmt: skip
def test_what_cannot_pass_is_asked_once(code: str, kind: type[CallError], simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=always(code))
    error = ask(server.base_url, clock).error(kind)

    assert len(server.calls) == 1
    assert error.status == code


def test_mistake_2_an_error_envelope_is_never_an_answer_without_reports(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=always("-18"))

    assert not isinstance(ask(server.base_url, clock, attempts=1).outcomes[0], GoodResponse)


# The wire


def test_the_request_is_what_the_vendors_page_says(clock: Clock) -> None:
    with serving(enveloped(status="0")) as (base_url, seen):
        ask(base_url, clock, batch_of(*IDS[:2]))
    (request,) = seen

    assert request.target == f"/sms/getReport?appId=4luaKsL2&msgIds={IDS[0]},{IDS[1]}"
    assert request.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert request.headers["Api-Key"] == KEY
    assert request.headers["Timestamp"] == str(int(clock.now().timestamp()))
    assert request.headers["Sign"] == sign(KEY, SECRET, request.headers["Timestamp"])


@pytest.mark.parametrize("app_id", ["a%2Cb", "a b&c=d", "ü/?#", "%"])
def test_mistake_4_a_parameter_is_encoded_once(app_id: str, simulator: Simulate, clock: Clock) -> None:
    server = simulator()
    ask(server.base_url, clock, batch_of(app_id=app_id))

    assert [(call.app_id, call.msg_ids) for call in server.calls] == [(app_id, IDS)]


def test_a_base_url_with_signs_that_need_encoding_is_asked_under_its_encoded_path(clock: Clock) -> None:
    with serving(enveloped(status="0")) as (base_url, seen):
        ask(f"{base_url}/ü x%2F", clock, batch_of(IDS[0]))

    assert seen[0].target == f"/sms/%C3%BC%20x%2F/getReport?appId=4luaKsL2&msgIds={IDS[0]}"


def test_a_full_batch_of_the_longest_ids_arrives_whole(simulator: Simulate, clock: Clock) -> None:
    ids = tuple(f"{number:032d}" for number in range(200))
    server = simulator()

    assert ask(server.base_url, clock, batch_of(*ids)).response.envelope.not_found == 200
    assert server.calls[0].msg_ids == ids


def test_a_packed_answer_is_the_same_answer(simulator: Simulate, clock: Clock) -> None:
    packed, plain = (simulator(faults=struck(fault)) for fault in ("gzip", None))

    assert ask(packed.base_url, clock).response.envelope == ask(plain.base_url, clock).response.envelope


def test_mistake_5_ids_that_come_as_numbers_are_the_ids_that_were_asked(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=always("numbers"))
    response = ask(server.base_url, clock).response
    flat = flatten_reports(
        [AnsweredCall("c", "4luaKsL2", response.observed_at, [(msg_id, DAY) for msg_id in IDS], response.envelope)]
    )

    assert sorted(flat.reports["msg_id"]) == sorted(IDS)
    assert not flat.mismatches
    assert flat.rejects.empty


PEM = {
    "PRIVATE KEY": (
        "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6NOS8Bf6nfMfi+6ntkPK7QPxQUtilmjVMVdMdvvsmyihRANCAATV"
        "MM5YWFK9psFr3y1KbfXtRDAAWl4VIfZ/lvKcnLMdPo6bigSINWriyry+CVa86sBu/+5KXJRg7samMAwzHBBG"
    ),
    "CERTIFICATE": (
        "MIIBjzCCATagAwIBAgIUaQw0QR/eU7ZnZhoFgdsuqtFFcNEwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2"
        "MTEyMjIyMzc1NVoYDzIxMjYxMDI5MjIzNzU1WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC"
        "AATVMM5YWFK9psFr3y1KbfXtRDAAWl4VIfZ/lvKcnLMdPo6bigSINWriyry+CVa86sBu/+5KXJRg7samMAwzHBBGo2QwYjAdBgNV"
        "HQ4EFgQUnG5+tj4NgmxgBV28HMS6hnmtfC0wHwYDVR0jBBgwFoAUnG5+tj4NgmxgBV28HMS6hnmtfC0wDwYDVR0TAQH/BAUwAwEB"
        "/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQCIHuHPmpcNOJDQZk8JPjCUTmkoHIdraCgDJSBwzJeEAFCAiA8/iEt"
        "+MJDDTLmwRIwc6a7aaev5qGDj1Vm2RAIQjxwxg=="
    ),
}
"""A key and a certificate that no authority signed, for 127.0.0.1, made for the next test and used nowhere else."""


def test_mistake_6_a_certificate_that_no_authority_signed_gets_no_request(tmp_path: Path, clock: Clock) -> None:
    for name, body in PEM.items():
        armour = ssl.DER_cert_to_PEM_cert(base64.b64decode(body)).replace("CERTIFICATE", name)
        (tmp_path / name).write_text(armour)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "CERTIFICATE", tmp_path / "PRIVATE KEY")

    with serving(enveloped(status="0"), tls=tls) as (base_url, seen):
        host, port = base_url.removeprefix("https://").removesuffix("/sms").split(":")
        assert PEM["CERTIFICATE"] in ssl.get_server_certificate((host, int(port))).replace("\n", "")
        error = ask(base_url, clock, attempts=1).error(BatchFailed)

    assert "ConnectError" in str(error)
    assert seen == []


# Waits that the platform asks for


def hinted(http_status: int, hint: str, *, times: int = 1, **fields: Any) -> Answerer:
    """Answer so many requests with a wait, the others well."""
    left = iter(range(times))

    def answer(_: Seen) -> tuple[int, dict[str, str], bytes]:
        if next(left, None) is None:
            return 200, {}, b'{"status":"0"}'
        return http_status, {"Retry-After": hint}, json.dumps(fields).encode() if fields else b""

    return answer


def stamps_of(seen: Sequence[Seen]) -> list[int]:
    return [int(request.headers["Timestamp"]) for request in seen]


@pytest.mark.parametrize(
    ("http_status", "fields"), [(429, {}), (503, {}), (200, {"status": "-15"}), (429, {"status": "-15"})]
)
def test_a_wait_that_the_platform_names_holds_every_worker(
    http_status: int, fields: dict[str, Any], clock: Clock
) -> None:
    hint_first = hinted(http_status, "60", **fields)

    def answer(request: Seen) -> tuple[int, dict[str, str], bytes]:
        answered = hint_first(request)
        if not answered[1] and stamps_of([request]) == stamps_of(seen[:1]):
            time.sleep(0.1)  # under way at the same time, answered after the hint
        return answered

    with serving(answer) as (base_url, seen):
        asked = ask(base_url, clock, *[batch_of(msg_id) for msg_id in IDS], concurrency=4, rate=1000)

    assert all(isinstance(outcome, GoodResponse) for outcome in asked.outcomes)
    assert asked.requests == len(IDS) + 1
    stamps = sorted(stamps_of(seen))
    assert stamps[4] >= stamps[0] + 60


def test_without_a_hint_too_frequent_backs_off_and_goes_on(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=struck("-15", "-15", "http-429"))
    asked = ask(server.base_url, clock, *[batch_of(msg_id) for msg_id in IDS[:6]])

    assert all(isinstance(outcome, GoodResponse) for outcome in asked.outcomes)
    assert asked.requests == 9


def test_a_wait_of_ten_minutes_is_kept_and_a_longer_one_gives_the_batch_up(clock: Clock, waits: list[float]) -> None:
    with serving(hinted(503, "600")) as (base_url, _):
        assert ask(base_url, clock).requests == 2
    assert sum(waits) == pytest.approx(600, abs=1)
    waits.clear()

    with serving(hinted(503, "601")) as (base_url, seen):
        error = ask(base_url, clock).error(BatchFailed)
    assert len(seen) == 1
    assert "601 s" in str(error)
    assert sum(waits) == 0


def test_in_any_stretch_of_time_no_more_requests_start_than_allowed_retries_included(simulator: Simulate) -> None:
    """Time runs twenty times as fast here, so that 40 requests at ten a second take a fifth of a second."""
    fast = 20

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / fast)

    clock = Clock(tick=lambda: time.monotonic() * fast, sleep=sleep)
    tries: dict[str, int] = {}

    def first_time(_: int, call: Call) -> str | None:
        tries[call.joined_ids] = tries.get(call.joined_ids, 0) + 1
        return "-18" if tries[call.joined_ids] == 1 else None

    server = simulator(now=utc_now, faults=Faults(script=first_time))
    ask(server.base_url, clock, *[batch_of(msg_id) for msg_id in IDS], rate=10)

    starts = sorted(call.arrived * fast for call in server.calls)
    network = 0.5  # a request that takes 25 ms to arrive, which is half a second of this clock
    assert len(starts) == 40
    for first, begin in enumerate(starts):
        for last in range(first, len(starts)):
            assert last - first + 1 <= (starts[last] - begin + network + 1) * 10


# The clock


@pytest.mark.parametrize("skew", [-3_600.0, 3_600.0, 40_000_000.0])
def test_an_expired_timestamp_is_signed_anew_with_the_platforms_clock(
    skew: float, simulator: Simulate, clock: Clock
) -> None:
    server = simulator(faults=Faults(skew_seconds=skew))
    asked = ask(server.base_url, clock, batch_of(*IDS[:2]), batch_of(*IDS[2:]), concurrency=1)

    assert all(isinstance(outcome, GoodResponse) for outcome in asked.outcomes)
    assert [ledger.requests for ledger in asked.ledgers] == [2, 1]  # the second one knows
    assert asked.gateway.clock_offsets() == {server.base_url: pytest.approx(skew, abs=2)}
    for outcome, ledger in zip(asked.outcomes, asked.ledgers, strict=True):
        assert isinstance(outcome, GoodResponse)
        assert outcome.observed_at == ledger.observed_at
        for stored in (ledger.started_at, ledger.observed_at):  # by the clock that proved right
            assert stored is not None
            assert abs(stored - clock.now() - timedelta(seconds=skew)) < timedelta(seconds=5)


def test_an_instant_is_right_though_the_clock_jumps_while_the_answer_is_under_way(
    simulator: Simulate, clock: Clock
) -> None:
    """The platform took the timestamp, so the clock was right when the request began."""
    jump = timedelta()

    def jumps(_: int, __: Call) -> None:
        nonlocal jump
        jump = timedelta(days=40)

    server = simulator(faults=Faults(script=jumps))
    asked = ask(server.base_url, replace(clock, now=lambda: clock.now() + jump), batch_of(*IDS[:2]))
    (outcome,) = asked.outcomes
    assert isinstance(outcome, GoodResponse)
    assert abs(outcome.observed_at - clock.now()) < timedelta(seconds=5)


def test_a_small_offset_leaves_instants_as_our_clock_shows_them(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=Faults(skew_seconds=30.0), window_seconds=5)
    asked = ask(server.base_url, clock, batch_of(*IDS[:2]))
    (outcome,) = asked.outcomes
    assert isinstance(outcome, GoodResponse)
    assert asked.gateway.clock_offsets()[server.base_url] == pytest.approx(30, abs=2)
    assert abs(outcome.observed_at - clock.now()) < timedelta(seconds=5)


def test_a_timestamp_that_expires_again_stops_the_base_and_names_the_clock(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=always("-16"))
    error = ask(server.base_url, clock).error(ApiRefused)

    assert len(server.calls) == 2
    assert "correct the clock of this machine" in str(error)
    assert server.base_url in str(error)


@pytest.mark.parametrize("headers", [{}, {"Date": "Mon, 02 Mar 2026 15:00:00 GMT", "Age": "5"}])
def test_an_expired_timestamp_without_a_date_to_learn_from_names_the_clock(
    headers: dict[str, str], clock: Clock
) -> None:
    with serving(enveloped(status="-16", headers=headers)) as (base_url, seen):
        error = ask(base_url, clock).error(ApiRefused)

    assert len(seen) == 1
    assert "the clock" in str(error)


def test_a_clock_that_is_right_learns_nothing(simulator: Simulate, clock: Clock) -> None:
    server = simulator()

    assert ask(server.base_url, clock).gateway.clock_offsets() == {}


# What stops everything


@pytest.mark.parametrize("http_status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(http_status: int, clock: Clock) -> None:
    """Its target would get the signature."""
    with (
        serving(enveloped(status="0")) as (target, asked_there),
        serving(enveloped(http_status, headers={"Location": f"{target}/getReport"})) as (base_url, asked_here),
    ):
        error = ask(base_url, clock).error(ApiRefused)

    assert asked_there == []
    assert len(asked_here) == 1
    assert "SMS_API_BASE_URL" in str(error)


@pytest.mark.parametrize("http_status", [400, 403, 404, 410])
def test_another_client_error_names_the_base_url(http_status: int, simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=always(f"http-{http_status}"))
    error = ask(server.base_url, clock).error(ApiRefused)

    assert len(server.calls) == 1
    assert "SMS_API_BASE_URL" in str(error)
    assert error.http_status == http_status


def test_forty_failures_in_a_row_stop_with_one_clear_message(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=always("http-500"))
    asked = ask(server.base_url, clock, *[batch_of(msg_id) for msg_id in IDS], concurrency=8, attempts=100)
    errors = {type(outcome) for outcome in asked.outcomes}

    assert errors == {ApiRefused}
    first = str(asked.outcomes[0])
    assert "seems to be down" in first
    assert server.base_url in first
    assert len(first.splitlines()) == 1
    assert len(server.calls) <= FAILURES_IN_A_ROW + len(IDS)  # no batch asks again afterwards


def test_one_answer_begins_the_count_of_failures_anew(simulator: Simulate, clock: Clock) -> None:
    failures = ["http-500"] * (FAILURES_IN_A_ROW - 1)
    server = simulator(faults=struck(*failures, None, *failures, None))
    asked = ask(server.base_url, clock, batch_of(IDS[0]), batch_of(IDS[1]), concurrency=1, attempts=100)

    assert all(isinstance(outcome, GoodResponse) for outcome in asked.outcomes)
    assert [ledger.requests for ledger in asked.ledgers] == [FAILURES_IN_A_ROW] * 2


# Bodies without end


def peak_mb(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_a_body_of_50_mb_is_not_read_to_its_end(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=struck("huge"))
    asked: list[Asked] = []

    assert peak_mb(lambda: asked.append(ask(server.base_url, clock))) < 30
    assert asked[0].response.envelope.status == "0"
    assert asked[0].requests == 2


def test_a_packed_body_of_50_mb_is_not_unpacked_to_its_end(clock: Clock) -> None:
    bomb = gzip.compress(b" " * 50_000_000)

    with serving(lambda _: (200, {"Content-Encoding": "gzip"}, bomb)) as (base_url, _):
        asked: list[Asked] = []
        assert peak_mb(lambda: asked.append(ask(base_url, clock, attempts=1))) < 30
    assert "longer than 2 MB" in str(asked[0].error(BatchFailed))


def test_a_packed_body_that_is_none_may_pass(clock: Clock) -> None:
    with serving(lambda _: (200, {"Content-Encoding": "gzip"}, b'{"status":"0"}')) as (base_url, _):
        error = ask(base_url, clock, attempts=2).error(BatchFailed)

    assert "can't be unpacked" in str(error)


# What is never told


ECHOES = [
    (200, {"status": "-1"}),
    (200, {"status": "-18"}),
    (200, {"status": "-77"}),
    (200, {}),
    (400, {}),
    (500, {}),
]


def hidden_in(stamps: Sequence[int]) -> list[str]:
    return [SECRET, KEY, *(sign(KEY, SECRET, str(stamp)) for stamp in stamps)]


def told_by(asked: Asked, caplog: pytest.LogCaptureFixture) -> str:
    shown = [
        caplog.text,
        repr(asked.gateway),
        repr(asked.ledgers),
        *(repr(record.__dict__) for record in caplog.records),
    ]
    for outcome in asked.outcomes:
        shown += [str(outcome), repr(outcome)]
        if isinstance(outcome, BaseException):
            shown += traceback.format_exception(outcome)
    return "\n".join(shown)


@pytest.mark.parametrize(
    "fault",
    ["-1", "-11", "-14", "-16", "-18", "timeout", "reset", "truncated", "html", "redirect", "http-404", "http-500",
     "huge", None],
)  # fmt: skip
def test_no_error_repr_log_or_traceback_tells_secret_key_or_signature(
    fault: str | None, simulator: Simulate, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = simulator(faults=Faults(script=lambda _, __: fault))
    asked = ask(server.base_url, clock, attempts=2, timeout_seconds=0.3 if fault == "timeout" else 10)
    told = told_by(asked, caplog)

    assert server.calls
    for hidden in hidden_in([int(call.timestamp) for call in server.calls]):
        assert hidden not in told


@pytest.mark.parametrize(("http_status", "fields"), ECHOES)
def test_what_a_server_echoes_of_the_headers_is_not_told_on(
    http_status: int, fields: dict[str, str], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Proxies and debug pages print the request they could not serve."""
    caplog.set_level(logging.DEBUG)

    def echo(request: Seen) -> tuple[int, dict[str, str], bytes]:
        words = f"you sent {request.headers['Api-Key']} {request.headers['Sign']}"
        return http_status, {}, json.dumps(fields | {"reason": words}).encode()

    with serving(echo) as (base_url, seen):
        told = told_by(ask(base_url, clock, attempts=1), caplog)

    assert "you sent" in told
    for hidden in hidden_in(stamps_of(seen)):
        assert hidden not in told


def test_the_ledger_knows_when_the_first_request_started(simulator: Simulate, clock: Clock) -> None:
    server = simulator(faults=struck("-18", "-18"))
    before = clock.now()
    (ledger,) = ask(server.base_url, clock).ledgers

    assert ledger.started_at is not None
    assert before <= ledger.started_at < before + timedelta(seconds=1)
    assert ledger.elapsed_ms >= 1_500
