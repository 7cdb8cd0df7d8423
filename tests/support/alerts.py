"""A receiver of alerts on a socket, and a sensor that remembers between ticks."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg

PATH = "/services/T0/B0/token-of-tests-2718"


@dataclass
class Receiver:
    """What was posted, and the status that is answered."""

    url: str
    status: int = 200
    posted: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    kept = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.posted.append(json.loads(body))
            self.send_response(kept.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base names it
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        kept.url = f"http{'s' if context else ''}://localhost:{server.server_port}{PATH}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield kept
        server.shutdown()
        thread.join()


class Watch:
    """A sensor that remembers, as the daemon lets it."""

    def __init__(self, instance: dg.DagsterInstance, sensor: dg.SensorDefinition) -> None:
        self._sensor, self._instance = sensor, instance
        self._cursor: str | None = None
        self.tick()

    def tick(self) -> str:
        with dg.build_sensor_context(
            instance=self._instance, cursor=self._cursor, sensor_name=self._sensor.name
        ) as context:
            data = self._sensor.evaluate_tick(context)
        self._cursor = data.cursor
        return data.skip_message or ""

    def an_hour_later(self) -> None:
        """Shift what is remembered an hour back, and half a minute."""
        memory = json.loads(self._cursor or "{}")
        memory["said"] = {subject: at - 3630 for subject, at in memory.get("said", {}).items()}
        self._cursor = json.dumps(memory)

    def remember(self, memory: dict[str, Any]) -> None:
        """Replace what is remembered, as an earlier version or another history left it."""
        self._cursor = json.dumps(memory)
