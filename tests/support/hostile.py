"""A platform that answers whatever a test wants, on a socket."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as the platform got it: its target, and its headers by capitalised name."""

    target: str
    headers: dict[str, str]

    @property
    def msg_ids(self) -> tuple[str, ...]:
        """The ids asked for."""
        return tuple(",".join(parse_qs(urlsplit(self.target).query)["msgIds"]).split(","))


Answerer = Callable[[Seen], tuple[int, dict[str, str], bytes]]
"""Makes HTTP status, headers and body."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        pass  # a client that hangs up is part of the tests


@contextlib.contextmanager
def serving(answer: Answerer, *, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[Seen]]]:
    """Give the base URL of a platform that answers by a function, and its requests; no `Date` unless answered."""
    seen: list[Seen] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append(Seen(self.path, {name.title(): value for name, value in self.headers.items()}))
            status, headers, body = answer(seen[-1])
            self.send_response_only(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a client that has read enough hangs up
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}/sms", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
