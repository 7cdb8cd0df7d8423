"""A platform that answers whatever a test wants, on a socket."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as the platform got it: its ids, and its headers by capitalised name."""

    msg_ids: tuple[str, ...]
    headers: dict[str, str]


Answerer = Callable[[Asked], tuple[int, dict[str, str], bytes]]
"""Makes HTTP status, headers and body."""


@contextlib.contextmanager
def hostile_platform(answer: Answerer) -> Iterator[tuple[str, list[Asked]]]:
    """Give the base URL of a platform that answers by a function, and the list of requests that it got."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            headers = {name.title(): value for name, value in self.headers.items()}
            asked.append(Asked(tuple(",".join(query["msgIds"]).split(",")), headers))
            status, more, body = answer(asked[-1])
            self.send_response(status)
            for name, value in (more | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a client that has read enough hangs up
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/sms", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
