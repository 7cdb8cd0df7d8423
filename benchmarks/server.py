"""A fast getReport for benchmarks: a process of its own that takes little of the machine from what is measured.

    python -m benchmarks.server [--port P] [--latency MS]

It prints its base URL. Each answer follows from the ids alone (`rule`), so nothing is kept but a count, which
`GET /tally` tells: `calls` of getReport answered, `ids` in them, `refused` ones (no or a wrong `Sign`, or not 1
to 200 ids). One request at a time a connection; no pipelining.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import cast

import uvloop

from benchmarks.rule import (
    API_KEY,
    API_SECRET,
    ENDINGS,
    HEADS,
    MOST_IDS,
    PLATFORM_ZONE,
    is_failed,
    second_received,
)

END_OF_HEAD = b"\r\n\r\n"
_SIGN = re.compile(rb"^sign: *(\S+)\r$", re.IGNORECASE | re.MULTILINE)
_TIMESTAMP = re.compile(rb"^timestamp: *(\d+)\r$", re.IGNORECASE | re.MULTILINE)
_API_KEY = re.compile(rb"^api-key: *([^\r]+)\r$", re.IGNORECASE | re.MULTILINE)
_HEADS = {str(number): head for number, head in enumerate(HEADS)}
_ENDS = {
    f"{ending:03}": f':{second_received(ending):02}+08:00","status":"{int(is_failed(ending))}"}}'
    for ending in range(ENDINGS)
}


class _NextMinutes(dict[str, str]):
    """`yymmddHHMM` to the minute after it in ISO 8601."""

    def __missing__(self, minute: str) -> str:
        sent = datetime.strptime(minute, "%y%m%d%H%M").replace(tzinfo=PLATFORM_ZONE)
        self[minute] = f"{sent + timedelta(minutes=1):%Y-%m-%dT%H:%M}"
        return self[minute]


_NEXT_MINUTES = _NextMinutes()


class Platform:
    """What answers requests, and counts them."""

    def __init__(self) -> None:
        """Begin to count."""
        self.calls = self.ids = self.refused = 0

    def answer(self, request: bytes) -> bytes:
        """Return the response to a whole request."""
        target, _, head = request.partition(b"\r\n")
        if target.startswith(b"GET /tally "):
            return response(json.dumps({"calls": self.calls, "ids": self.ids, "refused": self.refused}))
        if b"/getBalance" in target:
            return response('{"status":"0","reason":"success","balance":"1","gift":"0","credit":"0"}')
        self.calls += 1
        _, _, listed = target[: target.rfind(b" ")].partition(b"msgIds=")
        msg_ids = listed.partition(b"&")[0].replace(b"%2C", b",").decode().split(",")
        status = "-1" if not is_signed(head) else "-14" if not listed or len(msg_ids) > MOST_IDS else "0"
        if status != "0":
            self.refused += 1
            return response(f'{{"status":"{status}","reason":"refused"}}')
        self.ids += len(msg_ids)
        return response(reported(msg_ids))


class Connection(asyncio.Protocol):
    """One connection: gathers a request, has it answered, waits, sends."""

    def __init__(self, platform: Platform, latency_seconds: float) -> None:
        """Answer from this platform, so much later."""
        self.platform, self.latency_seconds = platform, latency_seconds
        self.gathered = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self.gathered += data
        if not self.gathered.endswith(END_OF_HEAD):
            return
        request, self.gathered = self.gathered, b""
        answer = self.platform.answer(request)
        if self.latency_seconds:
            asyncio.get_running_loop().call_later(self.latency_seconds, self.transport.write, answer)
        else:
            self.transport.write(answer)


def reported(msg_ids: list[str]) -> str:
    """Return the envelope with a row for each id, in the order asked."""
    rows = ",".join(
        [
            f'{{"msgId":"{i}","number":"{_HEADS[i[-4]]}{i[-6:]}","receiveTime":"{_NEXT_MINUTES[i[:10]]}{_ENDS[i[-3:]]}'
            for i in msg_ids
        ]
    )
    failed = rows.count('"status":"1"')
    return (
        f'{{"status":"0","reason":"success","success":"{len(msg_ids) - failed}","fail":"{failed}",'
        f'"sending":"0","nofound":"0","array":[{rows}]}}'
    )


def response(body: str) -> bytes:
    """Return an HTTP response with this JSON."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def is_signed(head: bytes) -> bool:
    """Tell whether the headers carry key, time and the signature that belongs to them."""
    sign, timestamp, key = _SIGN.search(head), _TIMESTAMP.search(head), _API_KEY.search(head)
    if not (sign and timestamp and key):
        return False
    return key[1] == API_KEY.encode() and sign[1] == _signature(timestamp[1])


@lru_cache(maxsize=16)
def _signature(timestamp: bytes) -> bytes:
    signed = f"{API_KEY}{API_SECRET}".encode() + timestamp
    return hashlib.md5(signed, usedforsecurity=False).hexdigest().encode()


async def serve(port: int, latency_seconds: float) -> None:
    """Serve until stopped."""
    platform = Platform()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(platform, latency_seconds), "127.0.0.1", port
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/sms", flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--latency", type=float, default=0, help="milliseconds by which each answer is delayed")
    chosen = parser.parse_args()
    uvloop.run(serve(chosen.port, chosen.latency / 1000))


if __name__ == "__main__":
    main()
