"""The simulator as an ASGI application: from a request to its answer.

What belongs here: routes, the clock's header, the order of steps of one call.
What does not: sockets and threads (`server`), verdicts (`gate`), JSON (`envelope`), faults.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.routing import Route

from pipeline.api.simulator.calls import Call
from pipeline.api.simulator.envelope import Json, answer, refusal
from pipeline.api.simulator.faults import CODE_FAULT, ROW_FAULTS
from pipeline.api.simulator.gate import RateLimit, Request, refused_status
from pipeline.api.simulator.tampering import tamper
from pipeline.api.simulator.transport import respond, shows_envelope

if TYPE_CHECKING:
    from starlette.requests import Request as HttpRequest
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pipeline.api.simulator.options import SimulatorOptions

Clock = Callable[[], datetime]
"""Returns the present time, aware."""

_HOLD_STEP_SECONDS = 0.05


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def build_app(
    options: SimulatorOptions, *, clock: Clock = utc_now, on_call: Callable[[Call], None] | None = None
) -> Starlette:
    """Return the application; it answers GET on every path that ends in `/getReport`.

    Args:
        options: how it behaves.
        clock: true time; decides the states, and with the faults' skew `Date` and the window.
        on_call: gets each call, complete, just before its answer is sent.
    """
    desk = _Desk(options, clock, on_call)
    routes = [Route("/getReport", desk.get_report), Route("/{base:path}/getReport", desk.get_report)]
    for route in routes:
        route.methods = {"GET"}  # Starlette adds HEAD
    app = Starlette(routes=routes, middleware=[Middleware(_DateHeader, clock=desk.server_now)])
    app.router.redirect_slashes = False
    return app


@dataclass
class _Desk:
    """Where the calls of one simulator are answered: it numbers them and counts how fast they come."""

    options: SimulatorOptions
    clock: Clock
    on_call: Callable[[Call], None] | None
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    limit: RateLimit = field(init=False)

    def __post_init__(self) -> None:
        self.limit = RateLimit(self.options.max_requests_per_second)

    def server_now(self) -> datetime:
        """Return what the server's own clock shows (UTC)."""
        return self.clock().astimezone(UTC) + timedelta(seconds=self.options.faults.skew_seconds)

    async def get_report(self, http: HttpRequest) -> Response:
        """Answer one call: number it, let a fault strike, judge it, hold it, send it."""
        request = _request_of(http)
        call = Call(next(self.numbers), request.app_id, request.joined_ids, request.timestamp, time.monotonic())
        call = replace(call, fault=self.options.faults.strike(call))
        envelope = self._envelope(request, call)
        response = respond(envelope, call.fault)
        self._record(call, envelope, response)
        await self._hold(http, call)
        return response

    def _envelope(self, request: Request, call: Call) -> Json:
        if call.fault is not None and CODE_FAULT.fullmatch(call.fault):
            return refusal(call.fault)
        refused = refused_status(
            request, self.options, now=self.server_now(), admits=lambda: self.limit.admits(call.arrived)
        )
        if refused is not None:
            return refusal(refused)
        options = self.options
        envelope = answer(
            call.msg_ids, now=self.clock(), price_details=options.price_details, incidents=options.incidents
        )
        return tamper(call.fault, envelope, call.msg_ids) if call.fault in ROW_FAULTS else envelope

    def _record(self, call: Call, envelope: Json, response: Response) -> None:
        if self.on_call is not None:
            status = str(envelope["status"]) if shows_envelope(call.fault) else None
            self.on_call(replace(call, http_status=response.status_code, status=status))

    async def _hold(self, http: HttpRequest, call: Call) -> None:
        """Wait for the latency, and for `timeout` as long as the client does."""
        await asyncio.sleep(self.options.latency_ms / 1000)
        if call.fault == "timeout":
            until = time.monotonic() + self.options.faults.hold_seconds
            while time.monotonic() < until and not await http.is_disconnected():  # noqa: ASYNC110 - can only be polled
                await asyncio.sleep(_HOLD_STEP_SECONDS)


@dataclass
class _DateHeader:
    """Puts the server's clock into the header `Date` of every response."""

    app: ASGIApp
    clock: Clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Date"] = format_datetime(self.clock(), usegmt=True)
            await send(message)

        await self.app(scope, receive, send_dated)


def _request_of(http: HttpRequest) -> Request:
    """Take out of the HTTP request what the simulator looks at."""
    return Request(
        peer=http.client.host if http.client else "",
        app_id=http.query_params.get("appId", ""),
        joined_ids=http.query_params.get("msgIds", ""),
        timestamp=http.headers.get("Timestamp", ""),
        api_key=http.headers.get("Api-Key", ""),
        sign=http.headers.get("Sign", ""),
    )
