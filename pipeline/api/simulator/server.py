"""The simulator on a socket: in the foreground for people, in a thread for demo and tests."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvicorn

from pipeline.api.simulator.app import Clock, build_app, utc_now
from pipeline.api.simulator.calls import Call
from pipeline.api.simulator.options import SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

__all__ = ["Call", "Clock", "Running", "SimulatorOptions", "build_app", "running", "serve", "utc_now"]

_START_SECONDS = 10.0
_STOP_SECONDS = 1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Running:
    """A simulator that is up.

    Attributes:
        base_url: what clients are to be given as the API's base.
        calls: every call so far, in the order of their answers; complete before its answer is sent.
    """

    base_url: str
    calls: list[Call] = field(default_factory=list)


def serve(
    options: SimulatorOptions,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then return. Only the main thread can.

    Args:
        options: how the simulator behaves.
        host: address to listen on.
        port: port to listen on, 0 = any free one.
        announce: gets the base URL as soon as connections are taken.

    Raises: OSError where the address can't be had.
    """
    server = _server(build_app(options))
    with _listen(host, port) as listener, _stopped_by_signals(server):
        if announce is not None:
            announce(_base_url(listener))
        server.run(sockets=[listener])


@contextmanager
def running(
    options: SimulatorOptions, *, clock: Clock = utc_now, port: int = 0, record: bool = True
) -> Iterator[Running]:
    """Run the simulator on 127.0.0.1 in a thread for as long as the block lasts.

    Args:
        options: how the simulator behaves.
        clock: true time, see `build_app`.
        port: port to listen on, 0 = any free one.
        record: keep the calls (about 4 KB for one of 200 ids); without it `calls` stays empty.
    """
    with _listen("127.0.0.1", port) as listener:
        handle = Running(_base_url(listener))
        app = build_app(options, clock=clock, on_call=handle.calls.append if record else None)
        with _in_thread(_server(app), listener):
            yield handle


@contextmanager
def _in_thread(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    """Run the server in a thread of its own, and end both with the block."""
    thread = threading.Thread(target=server.run, args=([listener],), name="simulator", daemon=True)
    thread.start()
    try:
        _await_start(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join()


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; connections queue from here on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    # asyncio does not set this for a listener made here; without it each answer waits some 40 ms for the client.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/sms" if ":" in host else f"http://{host}:{port}/sms"


def _server(app: Starlette) -> uvicorn.Server:
    """Return a server that logs nothing and leaves the header `Date` to the application."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",  # what a cut connection looks like must not depend on what else is installed
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    return uvicorn.Server(config)


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let the signals end the server and nothing else: uvicorn raises them again when it is done."""

    def stop(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Return once the server takes connections. Raises: RuntimeError where it does not come up."""
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the simulator did not start")
        time.sleep(0.002)
