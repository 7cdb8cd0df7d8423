"""The simulator on a socket: in the foreground for people, in a thread for demo and tests."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvicorn

from pipeline.api.serving import host_of, listen, quiet_server, stopped_by_signals
from pipeline.api.simulator.app import Clock, build_app, utc_now
from pipeline.api.simulator.calls import Call
from pipeline.api.simulator.options import SimulatorOptions
from pipeline.api.simulator.pushing import pushing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.applications import Starlette

__all__ = ["Call", "Clock", "Running", "SimulatorOptions", "build_app", "running", "serve", "utc_now"]

_START_SECONDS = 10.0
_STOP_SECONDS = 1


@dataclass(frozen=True)
class Running:
    """A simulator that is up.

    Attributes:
        base_url: what clients are to be given as the API's base.
        calls: every call of getReport so far, in the order of their answers; complete before its answer is sent.
        others: every other call, likewise.
    """

    base_url: str
    calls: list[Call] = field(default_factory=list)
    others: list[Call] = field(default_factory=list)

    def note(self, call: Call) -> None:
        """Take a call."""
        (self.calls if call.name == "getReport" else self.others).append(call)


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
    with (
        pushing(options.push, options.sent, options.incidents, utc_now) as learn,
        listen(host, port) as listener,
        stopped_by_signals(server := _server(build_app(options, on_call=learn))),
    ):
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
        record: keep the calls (about 4 KB for one of 200 ids); without it `calls` and `others` stay empty.
    """
    with listen("127.0.0.1", port) as listener, pushing(options.push, options.sent, options.incidents, clock) as learn:
        handle = Running(_base_url(listener))

        def note(call: Call) -> None:
            learn(call)
            if record:
                handle.note(call)

        app = build_app(options, clock=clock, on_call=note)
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


def _base_url(listener: socket.socket) -> str:
    return f"http://{host_of(listener)}/sms"


def _server(app: Starlette) -> uvicorn.Server:
    """Return a server that leaves the header `Date` to the application."""
    return quiet_server(
        app,
        http="h11",  # what a cut connection looks like must not depend on what else is installed
        date_header=False,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Return once the server takes connections. Raises: RuntimeError where it does not come up."""
    deadline = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the simulator did not start")
        time.sleep(0.002)
