"""Envelopes as HTTP, right or broken on purpose: what `faults.TRANSPORT_FAULTS` and HTTP codes do."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Receive, Scope, Send

    from pipeline.api.simulator.envelope import Json

JSON_TYPE = "application/json;charset=UTF-8"
"""The media type of every envelope."""

HUGE_BYTES = 50_000_000
"""Blanks that `huge` sends after the answer."""

ELSEWHERE = "https://elsewhere.invalid/sms/getReport"
"""Where `redirect` leads: a host that never resolves (RFC 6761)."""

_CHUNK = b" " * 1_000_000
_PAGE = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>Please sign in.</body></html>"


class CutResponse(Response):
    """Promises a whole body, sends half of it; the server then closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's form
        """Send the headers and half of the body, and leave the rest owing."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


def respond(envelope: Json, fault: str | None) -> Response:
    """Return the envelope as a response, as the fault (None, or any name) leaves it."""
    fault = fault or ""
    if fault.startswith("http-"):
        return _http_error(int(fault.removeprefix("http-")))
    body = json.dumps(envelope, separators=(",", ":")).encode()
    return BROKEN.get(fault, _whole)(body)


def shows_envelope(fault: str | None) -> bool:
    """Tell whether a client can read the whole envelope in spite of the fault."""
    broken = {"reset", "truncated", "html", "redirect"}
    return fault is None or not (fault in broken or fault.startswith("http-"))


def _http_error(status: int) -> Response:
    """Return a bare HTTP error; 429 says when to come back."""
    headers = {"Retry-After": "1"} if status == 429 else {}  # noqa: PLR2004 - an HTTP status says its name
    return PlainTextResponse("The server can't answer now.", status_code=status, headers=headers)


async def _padded(body: bytes) -> AsyncIterator[bytes]:
    """Yield the body, then `HUGE_BYTES` of blanks: JSON to whoever reads it all."""
    yield body
    for _ in range(HUGE_BYTES // len(_CHUNK)):
        yield _CHUNK


def _whole(body: bytes) -> Response:
    return Response(body, media_type=JSON_TYPE)


def _packed(body: bytes) -> Response:
    return Response(gzip.compress(body, mtime=0), media_type=JSON_TYPE, headers={"Content-Encoding": "gzip"})


def _huge(body: bytes) -> Response:
    length = str(len(body) + HUGE_BYTES)
    return StreamingResponse(_padded(body), media_type=JSON_TYPE, headers={"Content-Length": length})


BROKEN: dict[str, Callable[[bytes], Response]] = {
    "reset": lambda body: CutResponse(body, media_type=JSON_TYPE),
    "truncated": lambda body: _whole(body[: len(body) // 2]),
    "html": lambda _: HTMLResponse(_PAGE),
    "redirect": lambda _: RedirectResponse(ELSEWHERE, status_code=302),
    "gzip": _packed,
    "huge": _huge,
}
"""Name of the fault -> how it sends the bytes of an envelope."""
