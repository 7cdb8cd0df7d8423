"""The simulator as an ASGI application: from a request to its answer.

It serves getReport, and beside it getSentRcd and getBalance.

What belongs here: routes, the clock's header, the order of steps of one call.
What does not: sockets and threads (`server`), verdicts (`gate`), JSON (`envelope`), faults.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
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
from pipeline.api.simulator.gate import RateLimit, Request, refused_account, refused_app, refused_status
from pipeline.api.simulator.record import record
from pipeline.api.simulator.tampering import tamper, tamper_record
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
    """Return the application; it answers GET on every path that ends in the name of a call.

    Args:
        options: how it behaves.
        clock: true time; decides the states, and with the faults' skew `Date` and the window.
        on_call: gets each call, complete, just before its answer is sent.
    """
    desk = _Desk(options, clock, on_call)
    served = {"getReport": desk.get_report, "getSentRcd": desk.get_record, "getBalance": desk.get_balance}
    routes = [
        Route(path, answer_call)
        for name, answer_call in served.items()
        for path in (f"/{name}", f"/{{base:path}}/{name}")
    ]
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
    numbers: defaultdict[str, itertools.count[int]] = field(
        default_factory=lambda: defaultdict(lambda: itertools.count(1))
    )
    limit: RateLimit = field(init=False)

    def __post_init__(self) -> None:
        self.limit = RateLimit(self.options.max_requests_per_second)

    def server_now(self) -> datetime:
        """Return what the server's own clock shows (UTC)."""
        return self.clock().astimezone(UTC) + timedelta(seconds=self.options.faults.skew_seconds)

    async def get_report(self, http: HttpRequest) -> Response:
        """Answer a call of getReport."""
        return await self._answer(http, "getReport", _request_of(http), self._reports)

    async def get_record(self, http: HttpRequest) -> Response:
        """Answer a call of getSentRcd."""
        return await self._answer(http, "getSentRcd", _request_of(http), self._sent_record)

    async def get_balance(self, http: HttpRequest) -> Response:
        """Answer a call of getBalance."""
        return await self._answer(http, "getBalance", _request_of(http), self._balance)

    async def _answer(
        self, http: HttpRequest, name: str, request: Request, judged: Callable[[HttpRequest, Request, Call], Json]
    ) -> Response:
        """Answer one call: number it, let a fault strike, judge it, hold it, send it."""
        call = Call(
            next(self.numbers[name]), request.app_id, request.joined_ids, request.timestamp, time.monotonic(), name=name
        )
        call = replace(call, fault=self.options.faults.strike(call))
        is_refused = call.fault is not None and CODE_FAULT.fullmatch(call.fault)
        envelope = refusal(call.fault or "") if is_refused else judged(http, request, call)
        response = respond(envelope, call.fault)
        self._record(call, envelope, response)
        await self._hold(http, call)
        return response

    def _reports(self, http: HttpRequest, request: Request, call: Call) -> Json:
        del http
        refused = refused_status(request, self.options, now=self.server_now(), admits=self._admits(call))
        if refused is not None:
            return refusal(refused)
        options = self.options
        envelope = answer(
            call.msg_ids, now=self.clock(), price_details=options.price_details, incidents=options.incidents
        )
        return tamper(call.fault, envelope, call.msg_ids) if call.fault in ROW_FAULTS else envelope

    def _sent_record(self, http: HttpRequest, request: Request, call: Call) -> Json:
        refused = refused_app(request, self.options, now=self.server_now(), admits=self._admits(call))
        if refused is not None:
            return refusal(refused)
        envelope = record(dict(http.query_params), self.options, now=self.clock())
        if call.fault not in ROW_FAULTS or envelope["status"] != "0" or not envelope["array"]:
            return envelope
        return tamper_record(call.fault, envelope)

    def _balance(self, http: HttpRequest, request: Request, call: Call) -> Json:
        del http
        refused = refused_account(request, self.options, now=self.server_now(), admits=self._admits(call))
        return refusal(refused) if refused else {"status": "0", "reason": "success", **self.options.balance}

    def _admits(self, call: Call) -> Callable[[], bool]:
        return lambda: self.limit.admits(call.arrived)

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
