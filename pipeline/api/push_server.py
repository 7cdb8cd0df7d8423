"""The receiver of pushed reports: one path that takes them, one that says whether it can.

What belongs here: HTTP, the secret of the address, bounds. What does not: what a push says (`pushes.py`), where it is
kept (`push_journal.py`).

A push has no signature: whoever knows the address can post. So the address holds a secret, and what is posted decides
no state (`follow/due.py`). Neither token nor number is logged: nothing is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.api.push_journal import CannotStoreError, HourFile, Journal
from pipeline.api.pushes import NotAPushError, PushRules, decode_push, line_of
from pipeline.api.serving import host_of, listen, quiet_server, stopped_by_signals
from pipeline.model.errors import LakeError
from pipeline.model.phone_numbers import NumberPolicy

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_BYTES: Final = 2**20
"""Bytes of a body."""
BODY_SECONDS: Final = 10.0
"""Time in which a body must be there."""
_CONNECTIONS: Final = 800
"""Connections at once; more get 503. A process may have 1,024 files open by default."""
_BACKLOG: Final = 2048
_STOP_SECONDS: Final = 3
_TEND_SECONDS: Final = 30.0
_CLOSE: Final = {"Connection": "close"}
"""Of answers to a body that is not read to its end."""
_PAUSE: Final = {"Retry-After": "1"}


@dataclass(frozen=True)
class PushOptions:
    """How pushes are taken.

    Attributes:
        token: secret part of the address.
        numbers: gives how phone numbers are stored; asked for each request, since numbers are forgotten meanwhile.
        default_app: app of reports that name none.
        max_requests_per_second: more get 429, after a burst of one second's worth; 0 = no limit.
    """

    token: str = field(repr=False)
    numbers: Callable[[], NumberPolicy]
    default_app: str | None
    max_requests_per_second: float


def serve_pushes(
    options: PushOptions, file: HourFile, *, host: str, port: int, now: Callable[[], datetime],
    announce: Callable[[str], None],
) -> None:  # fmt: skip
    """Take pushes until SIGINT or SIGTERM, then answer what has arrived and return. Only the main thread can.

    Raises:
        OSError: the address can't be had.
    """
    journal = Journal(file)
    server = quiet_server(
        build_push_app(options, journal, now=now),
        loop="auto",
        limit_concurrency=_CONNECTIONS,
        backlog=_BACKLOG,
        server_header=False,
        proxy_headers=False,  # who posts is not asked
        timeout_graceful_shutdown=_STOP_SECONDS,
    )

    async def run() -> None:
        async with _tended(journal):
            await server.serve(sockets=[listener])

    with listen(host, port, backlog=_BACKLOG) as listener, stopped_by_signals(server):
        announce(f"http://{host_of(listener)}/reports/")
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(run())
    journal.close()


@contextlib.asynccontextmanager
async def _tended(journal: Journal) -> AsyncIterator[None]:
    async def tend() -> None:
        while True:
            await asyncio.sleep(_TEND_SECONDS)
            await journal.tend()

    task = asyncio.create_task(tend())
    try:
        yield
    finally:
        task.cancel()


def build_push_app(options: PushOptions, journal: Journal, *, now: Callable[[], datetime]) -> Starlette:
    """Return the application: `POST /reports/<token>` and `GET /health`."""
    desk = _Desk(options, journal, now)
    routes = [
        Route("/reports/{token}", desk.take, methods=["POST"]),
        Route("/health", desk.health, methods=["GET"]),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


@dataclass
class _Desk:
    """Where the requests of one receiver are answered."""

    options: PushOptions
    journal: Journal
    now: Callable[[], datetime]
    _room: float = 0.0
    _counted_at: float = 0.0

    async def health(self, _: Request) -> Response:
        """Say whether pushes can be stored, as far as the last one showed."""
        if self.journal.fails:
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, status="the last report could not be stored")
        return _answer(HTTPStatus.OK, status="ok")

    async def take(self, request: Request) -> Response:
        """Take one push; 200 only once it is on the disk."""
        token = str(request.path_params["token"]).encode("utf-8", "replace")
        if not hmac.compare_digest(token, self.options.token.encode()):
            return _answer(HTTPStatus.NOT_FOUND, _CLOSE, error="no such address")
        if not self._admits():
            return _answer(HTTPStatus.TOO_MANY_REQUESTS, _PAUSE, error="too many requests")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body_of(request)
        except TimeoutError:
            return _answer(HTTPStatus.REQUEST_TIMEOUT, _CLOSE, error="the body did not come in time")
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        if body is None:
            return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _CLOSE, error=f"a push has at most {MOST_BYTES} bytes")
        return await self._store(body)

    async def _store(self, body: bytes) -> Response:
        try:
            rules = PushRules(self.options.numbers(), self.options.default_app, self.now())
            lines = [line_of(element, rules) for element in decode_push(body)]
        except NotAPushError as error:
            return _answer(HTTPStatus.BAD_REQUEST, error=f"the body {error}")
        except LakeError:  # which numbers were erased is not known
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, _PAUSE, error="can't be stored now")
        taken = sum(is_usable for _, is_usable in lines)
        if not taken:
            return _answer(HTTPStatus.UNPROCESSABLE_ENTITY, error="no report with appId, msgid and status")
        try:
            await self.journal.store(b"".join(line for line, _ in lines))
        except CannotStoreError:
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, _PAUSE, error="can't be stored now")
        return _answer(HTTPStatus.OK, taken=taken, rejected=len(lines) - taken)

    def _admits(self) -> bool:
        """Count a request; say whether it is within the limit."""
        rate, moment = self.options.max_requests_per_second, time.monotonic()
        if not rate:
            return True
        room = self._room + (moment - self._counted_at) * rate if self._counted_at else rate
        self._room, self._counted_at = min(rate, room), moment
        if self._room < 1:
            return False
        self._room -= 1
        return True


def _answer(code: HTTPStatus, headers: dict[str, str] | None = None, **content: object) -> Response:
    return JSONResponse(content, status_code=code, headers=headers)


async def _body_of(request: Request) -> bytes | None:
    """Return the body; None if it is too large.

    Of a large one as much again is read and dropped: who is still sending meets a closed connection, no answer.
    """
    body = bytearray()
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > 2 * MOST_BYTES:
            return None
        if received <= MOST_BYTES:
            body += chunk
    return bytes(body) if received <= MOST_BYTES else None
