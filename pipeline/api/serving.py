"""A small HTTP server in the foreground: its socket, its signals, no log.

What belongs here: what the simulator and the receiver of pushes share. What does not: what they answer.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import uvicorn

if TYPE_CHECKING:
    from starlette.applications import Starlette

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def listen(host: str, port: int, *, backlog: int | None = None) -> socket.socket:
    """Return a listening socket; connections queue from here on.

    Raises:
        OSError: the address can't be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    # asyncio does not set this for a listener made here; without it each answer waits some 40 ms for the client.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def host_of(listener: socket.socket) -> str:
    """Return host and port of a listening socket as they stand in a URL."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def quiet_server(app: Starlette, *, loop: Any = "asyncio", **options: Any) -> uvicorn.Server:
    """Return a server that logs nothing: a path may hold a secret."""
    config = uvicorn.Config(
        app, loop=loop, ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False, **options
    )
    return uvicorn.Server(config)


@contextmanager
def stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let the signals end the server and nothing else: uvicorn raises them again when it is done."""

    def stop(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
