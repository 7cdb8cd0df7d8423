"""One question to its end, such as a batch: a signed request, repeated where that helps.

What belongs here: HTTP, retries, the platform's clock. What does not: what to ask (`follow`), what a response means
(`responses.py`), storage.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, NoReturn, Self

import httpx

from pipeline import __version__
from pipeline.api.connections import Connections
from pipeline.api.endpoints import Endpoint, Question
from pipeline.api.envelope import Envelope
from pipeline.api.pace import Pace
from pipeline.api.redaction import hide
from pipeline.api.responses import clock_offset, judge_response
from pipeline.api.signing import sign
from pipeline.model.accounts import Account
from pipeline.model.errors import ApiRefused, BatchFailed, CallError, CapReached, ClockSkewed, Throttled, TransientError

logger = logging.getLogger(__name__)

FAILURES_IN_A_ROW: Final = 40
"""Failed requests in a row after which a run stops asking: the platform is down, not the batch."""
LONGEST_WAIT_SECONDS: Final = 600.0
"""A longer wait asked for by the platform gives the batch up instead."""
CORRECTED_SECONDS: Final = 60.0
"""Learnt offset beyond which instants that are stored are corrected by it; `Date` has whole seconds only."""
FIRST_BACK_OFF_SECONDS: Final = 0.5
LONGEST_BACK_OFF_SECONDS: Final = 30.0
JITTER_SECONDS: Final = 0.5
_ANY_HEADER: Final = 32
"""Added to zlib's window bits: gzip or zlib, whichever it is."""
_NO_BODY: Final = httpx.ByteStream(b"")
CONTENT_TYPE: Final = "application/json;charset=UTF-8"


@dataclass(frozen=True)
class GoodResponse:
    """A response with status 0: its envelope, and when it arrived, by the corrected clock."""

    envelope: Envelope
    http_status: int
    observed_at: datetime


@dataclass
class Ledger:
    """What asking one question cost so far; it is kept whatever the outcome.

    `started_at` and `observed_at`, of the first request and the last response, are by the corrected clock.
    """

    started_at: datetime | None = None
    observed_at: datetime | None = None
    requests: int = 0
    http_status: int | None = None
    _first: float = field(default=0.0, repr=False)
    _last: float = field(default=0.0, repr=False)

    def start(self, now: datetime, tick: float) -> None:
        """Count a request that starts; correct the time of the first one if the clock was corrected since."""
        if self.started_at is None:
            self.started_at, self._first = now, tick
        first_at = now - timedelta(seconds=tick - self._first)
        if abs(first_at - self.started_at).total_seconds() > CORRECTED_SECONDS:
            self.started_at = first_at
        self.requests += 1

    def stop(self, tick: float) -> None:
        """Note when the latest request ended."""
        self._last = tick

    @property
    def elapsed_ms(self) -> int:
        """From the first request's start to the latest one's end, in milliseconds."""
        return max(0, round((self._last - self._first) * 1000))


@dataclass(frozen=True)
class Clock:
    """Wall clock, monotonic seconds, and waiting: what tests replace."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    tick: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class _Base:
    """What all apps of one base URL share: pace, clock offset, and how many requests failed in a row."""

    def __init__(self, url: str, rate: float, clock: Clock) -> None:
        self.url = url
        self.http_url = httpx.URL(url)
        self._path = self.http_url.raw_path.decode("ascii").rstrip("/")  # percent-encoded, as it goes on the wire
        self.headers = (
            (b"Host", self.http_url.netloc),
            (b"Content-Type", CONTENT_TYPE.encode()),
            (b"Accept-Encoding", b"gzip, deflate"),
            (b"User-Agent", f"sms-delivery/{__version__}".encode()),
        )
        self.pace = Pace(rate, clock=clock.tick, sleep=clock.sleep)
        self.offset_seconds = 0.0
        self.seen_offset_seconds: float | None = None
        self.failures_in_a_row = 0

    def target_of(self, question: Question) -> bytes:
        """Return path and query of a question."""
        path, query = f"{self._path}/{question.endpoint.name}", question.query
        return (f"{path}?{query}" if query else path).encode("ascii")

    def correction(self) -> timedelta:
        """Return what makes an instant of our clock one of the platform's, where ours was found to be wrong."""
        return timedelta(seconds=self.offset_seconds if abs(self.offset_seconds) > CORRECTED_SECONDS else 0.0)


class Gateway:
    """Asks the platform; an async context manager that owns the connections.

    Args:
        timeout_seconds: longest time for one request, body included.
        max_attempts: most requests for one question, the one after a learnt clock offset not counted.
        requests_per_second: bound for each base URL, 0 for none.
        max_requests: most requests of all, None for no bound.
        clock: time, for tests.
        transport: what carries requests instead of a socket, for tests.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float,
        max_attempts: int,
        requests_per_second: float,
        max_requests: int | None = None,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._timeout = timeout_seconds
        self._max_attempts = max_attempts
        self._rate = requests_per_second
        self._requests_left = max_requests
        self._clock = clock or Clock()
        self._bases: dict[str, _Base] = {}
        self._http = transport or Connections()

    async def __aenter__(self) -> Self:
        """Open the connections."""
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.__aexit__(kind, error, trace)

    def clock_offsets(self) -> dict[str, float]:
        """Return what the platform's clock shows beyond ours, in seconds, by base URL, where it was learnt."""
        return {url: base.offset_seconds for url, base in self._bases.items() if base.offset_seconds}

    def seen_offsets(self) -> dict[str, float | None]:
        """Return what the platform's clock showed beyond ours in its latest answer, by base URL; None: no answer."""
        return {url: base.seen_offset_seconds for url, base in self._bases.items()}

    async def ask(self, question: Question, account: Account, ledger: Ledger) -> GoodResponse:
        """Ask one question until there is an answer or no use in asking on.

        Raises:
            BatchRefused: -14, split the batch.
            BatchFailed: no answer in this run.
            AppRefused: stop this app.
            ApiRefused: stop everything of this base.
            CapReached: the last request that may be made was made.
        """
        base = self._base(account.base_url)
        attempt = 1
        while True:
            try:
                return await self._count(base, question, account, ledger)
            except TransientError as error:
                if attempt >= self._max_attempts:
                    raise BatchFailed(
                        f"no answer after {ledger.requests} requests, last: {error}",
                        error.http_status, error.status, error.reason,
                    ) from error  # fmt: skip
                await self._wait(base, error, attempt)
            attempt += 1

    def _base(self, url: str) -> _Base:
        if url not in self._bases:
            self._bases[url] = _Base(url, self._rate, self._clock)
        return self._bases[url]

    async def _wait(self, base: _Base, error: TransientError, attempt: int) -> None:
        """Back off before the next request; where the platform is too busy, together with all other workers."""
        back_off = _back_off_seconds(attempt)
        if isinstance(error, Throttled):
            base.pace.slow_down(error.wait_seconds or back_off)  # which then holds this worker, too
        else:
            await self._clock.sleep(back_off)

    async def _count(self, base: _Base, question: Question, account: Account, ledger: Ledger) -> GoodResponse:
        """Ask once; count failures in a row, and stop where there are too many."""
        try:
            response = await self._ask_in_time(base, question, account, ledger)
        except TransientError as error:
            self._note_failure(base, error)
            raise
        except CallError:
            base.failures_in_a_row = 0
            raise
        base.failures_in_a_row = 0
        base.pace.good_answer()
        return response

    def _note_failure(self, base: _Base, error: TransientError) -> None:
        base.failures_in_a_row += 1
        if base.failures_in_a_row >= FAILURES_IN_A_ROW:
            raise ApiRefused(
                f"{base.failures_in_a_row} requests in a row failed, last: {error}; the platform at "
                f"{base.url} seems to be down: run again when it answers",
                error.http_status, error.status, error.reason,
            ) from error  # fmt: skip
        if isinstance(error, Throttled) and (error.wait_seconds or 0) > LONGEST_WAIT_SECONDS:
            raise BatchFailed(
                f"{error}; it asks for a wait of {error.wait_seconds:.0f} s, longer than a run waits",
                error.http_status, error.status, error.reason,
            ) from error  # fmt: skip

    async def _ask_in_time(self, base: _Base, question: Question, account: Account, ledger: Ledger) -> GoodResponse:
        """Ask once, and once more with the platform's clock if it finds our timestamp expired."""
        try:
            return await self._exchange(base, question, account, ledger)
        except ClockSkewed as skew:
            self._learn_clock(base, skew)
        try:
            return await self._exchange(base, question, account, ledger)
        except ClockSkewed as skew:
            self._refuse_clock(base, skew)

    def _learn_clock(self, base: _Base, skew: ClockSkewed) -> None:
        if skew.offset_seconds is None:
            self._refuse_clock(base, skew)
        if abs(skew.offset_seconds - base.offset_seconds) > 1:
            logger.warning(
                "the clock of this machine is off: the platform's is %+.0f s from it; requests are signed "
                "with the platform's, but correct this machine's clock",
                skew.offset_seconds,
            )
        base.offset_seconds = skew.offset_seconds

    def _refuse_clock(self, base: _Base, skew: ClockSkewed) -> NoReturn:
        offset = skew.offset_seconds
        told = "" if offset is None else f"; the platform's clock is {offset:+.0f} s from ours"
        raise ApiRefused(
            f"{skew} at {base.url}{told}: correct the clock of this machine",
            skew.http_status, skew.status, skew.reason,
        ) from skew  # fmt: skip

    async def _exchange(self, base: _Base, question: Question, account: Account, ledger: Ledger) -> GoodResponse:
        self._spend()
        await base.pace.turn()
        sent_at, started, correction = self._clock.now(), self._clock.tick(), base.correction()
        ledger.start(sent_at + correction, started)
        request = self._request(base, question, account, sent_at)
        try:
            response, body = await self._send(request, question.endpoint)
        except (httpx.TimeoutException, TimeoutError) as error:
            where = f"{base.url}/{question.endpoint.name}"
            raise TransientError(f"no answer within {self._timeout:g} s from {where}") from error
        except httpx.HTTPError as error:
            where = f"{base.url}/{question.endpoint.name}"
            raise TransientError(f"{type(error).__name__} while asking {where}") from error
        finally:
            ended = self._clock.tick()
            ledger.stop(ended)
        observed_at = sent_at + timedelta(seconds=ended - started)  # the clock may have jumped meanwhile
        ledger.http_status, ledger.observed_at = response.status_code, observed_at + correction
        offset = clock_offset(response.headers, sent_at=sent_at, observed_at=observed_at)
        base.seen_offset_seconds = offset
        known = hide(body, (request.headers["Sign"], *_secrets_of(account)))
        envelope = judge_response(
            response, known, offset_seconds=offset, observed_at=observed_at, endpoint=question.endpoint
        )
        return GoodResponse(envelope, response.status_code, observed_at + correction)

    def _spend(self) -> None:
        if self._requests_left is None:
            return
        if not self._requests_left:
            raise CapReached("the run has made as many requests as it may")
        self._requests_left -= 1

    def _request(self, base: _Base, question: Question, account: Account, now: datetime) -> httpx.Request:
        timestamp = str(int(now.timestamp() + base.offset_seconds))
        key, secret = _secrets_of(account)
        signature = sign(key, secret, timestamp)
        return httpx.Request(
            "GET",
            base.http_url,
            headers=[
                *base.headers,
                (b"Sign", signature.encode("ascii")),
                (b"Timestamp", timestamp.encode("ascii")),
                (b"Api-Key", key.encode("ascii")),
            ],
            stream=_NO_BODY,  # given, as `Host` is: otherwise httpx works them out for each request
            extensions={"target": base.target_of(question)},
        )

    async def _send(self, request: httpx.Request, endpoint: Endpoint) -> tuple[httpx.Response, bytes]:
        async with asyncio.timeout(self._timeout):
            response = await self._http.handle_async_request(request)
            stream = _stream_of(response)
            try:
                return response, await _bounded_body(response, stream, endpoint.most_bytes)
            finally:
                await stream.aclose()


def _back_off_seconds(attempt: int) -> float:
    """Return the wait after the n-th failed request of a question, from 1: doubled each time, jitter added."""
    jitter = random.uniform(0, JITTER_SECONDS)  # noqa: S311 - to part the workers
    return min(LONGEST_BACK_OFF_SECONDS, FIRST_BACK_OFF_SECONDS * 2.0 ** min(attempt - 1, 10) + jitter)


def _secrets_of(account: Account) -> tuple[str, str]:
    return account.api_key.get_secret_value(), account.api_secret.get_secret_value()


def _stream_of(response: httpx.Response) -> httpx.AsyncByteStream:
    """Return a body as the transport gives it; `aiter_raw` and `aclose` of the response cost as much again."""
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous transport gives an asynchronous body")
    return response.stream


async def _bounded_body(response: httpx.Response, stream: httpx.AsyncByteStream, most_bytes: int) -> bytes:
    """Read and unpack a body; httpx would unpack the whole of a chunk, a thousand times its size, before we see it."""
    packed = response.headers.get("Content-Encoding", "").strip().lower() in {"gzip", "x-gzip", "deflate"}
    unpack = zlib.decompressobj(zlib.MAX_WBITS | _ANY_HEADER) if packed else None
    body = bytearray()
    async for chunk in stream:
        try:
            body += unpack.decompress(chunk, most_bytes + 1 - len(body)) if unpack else chunk
        except zlib.error as error:
            raise TransientError("the body can't be unpacked", response.status_code) from error
        if len(body) > most_bytes:
            raise TransientError(f"the body is longer than {most_bytes / 2**20:g} MB", response.status_code)
    return bytes(body)
