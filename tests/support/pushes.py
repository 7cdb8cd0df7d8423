"""The real receiver of pushes in a process of its own, and who posts to it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.support.places import COMMAND, without_settings

TOKEN = "token-of-tests-27182818"
NUMBER = "919856321412"


@dataclass(frozen=True)
class Receiver:
    """A receiver that is up: its process, its address with the token, the folder of what it took."""

    process: subprocess.Popen[str]
    base: str
    folder: Path

    @property
    def url(self) -> str:
        """Where pushes are posted."""
        return f"{self.base}/reports/{TOKEN}"

    def lines(self) -> list[dict[str, Any]]:
        """Return what is in its files; an unfinished line at the end of one is left out."""
        texts = [path.read_bytes().rpartition(b"\n")[0] for path in sorted(self.folder.glob("*.jsonl"))]
        return [json.loads(line) for text in texts for line in text.splitlines()]

    def ids(self) -> list[str]:
        """Return the ids of the reports in its files."""
        return [line["msg_id"] for line in self.lines() if "msg_id" in line]


@contextmanager
def receiving(folder: Path, *options: str, **environment: str) -> Iterator[Receiver]:
    """Run `sms-delivery listen` in a folder for the block."""
    given = {"SMS_PUSH_TOKEN": TOKEN, "SMS_PUSHED_REPORTS": "pushed", **environment}
    process = subprocess.Popen(
        [COMMAND, "listen", "--port", "0", *options], cwd=folder, env=without_settings() | given, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("POST "):
            raise AssertionError(process.communicate())
        yield Receiver(process, line.split()[1].partition("/reports/")[0], folder / "pushed")
    finally:
        process.kill()
        process.communicate()


def report(number: int = 1, **fields: object) -> dict[str, object]:
    """Return a push as the platform makes it; `number` tells reports apart."""
    return {
        "appId": "app1", "msgid": f"{260302100000:d}{number:07d}", "mobile": NUMBER, "status": 0, "reason": "",
        "timestamp": 1772445600000, "mcc": "404", "mnc": "45",
    } | fields  # fmt: skip


def post(receiver: Receiver, body: object, *, path: str = f"/reports/{TOKEN}") -> int:
    """Post a body, JSON unless it is bytes; return the status."""
    return status_of(receiver, path, body if isinstance(body, bytes) else json.dumps(body).encode())


def status_of(receiver: Receiver, path: str, body: bytes | None = None) -> int:
    """Make a request, GET without a body; return the status. A client of httpx takes half a second to make."""
    connection = HTTPConnection(receiver.base.removeprefix("http://"), timeout=20)
    with contextlib.closing(connection):
        connection.request("GET" if body is None else "POST", path, body)
        return connection.getresponse().status
