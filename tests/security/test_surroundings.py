"""What surrounds a run: proxies, certificates, and logs that are swapped or hollow."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from pipeline.api.connections import Connections, proxy_of
from pipeline.collect.files import LogFile, LogFileUnreadable, find_log_files
from pipeline.collect.log_heads import head_of
from pipeline.collect.reading import read_sent_log
from pipeline.lake.store import Store
from pipeline.maintain.alerts import post
from pipeline.maintain.surroundings import remarks
from pipeline.model.errors import AlertFailed, SettingsError
from pipeline.model.settings import Settings
from tests.support.sent_logs import GOOD, rules


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_no_proxy_sees_the_credentials_of_a_loopback_host(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    assert proxy_of(httpx.URL(f"http://{host}:8765/sms")) is None
    assert proxy_of(httpx.URL("https://platform.example/sms")) == "http://proxy.example:3128"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_no_proxy_sees_the_requests_to_a_loopback_store(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Before, one saw what requests are signed with, and over plain http the lake."""
    with listening("127.0.0.1") as proxy, listening(host.strip("[]")) as store:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{store.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            monkeypatch.setenv(name, "x")
        assert Store("s3://bucket/lake").read("settings.json") is None
    assert (proxy.asked, store.asked) == ([], ["/bucket/lake/settings.json"])


class Listener(ThreadingHTTPServer):
    """A server that has nothing, and notes what it was asked for."""

    def __init__(self, host: str) -> None:
        """Listen on a free port of a host."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.asked: list[str] = []
        super().__init__((host, 0), NotFound)


class NotFound(BaseHTTPRequestHandler):
    """Answers each request with 404."""

    def do_GET(self) -> None:
        """Note the request, and answer."""
        assert isinstance(self.server, Listener)
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def listening(host: str) -> Iterator[Listener]:
    """Run a listener on a host for the block."""
    with Listener(host) as listener:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        yield listener
        listener.shutdown()
        thread.join()


def test_doctor_says_that_a_proxy_is_used(monkeypatch: pytest.MonkeyPatch, settings: Callable[..., Settings]) -> None:
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.example:3128")
    (said,) = [remark for remark in remarks(settings()) if remark.subject == "proxy"]
    assert said.is_advice
    assert "NO_PROXY=api.itniotech.com" in said.text
    assert "secret" not in said.text


@pytest.mark.parametrize("content", [None, b"no PEM\n"])
def test_a_broken_file_of_certificates_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "certificates.pem").write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificates.pem"))

    async def ask() -> None:
        async with Connections() as transport:
            await transport.handle_async_request(httpx.Request("GET", "https://platform.example"))

    said = r"^SSL_CERT_FILE: the file or folder that it names can't be used: "
    with pytest.raises(SettingsError, match=said):
        asyncio.run(ask())
    with pytest.raises(AlertFailed, match=said):
        post(SecretStr("https://chat.example"), {})


@pytest.fixture
def log(tmp_path: Path) -> LogFile:
    """Return a log as it was listed."""
    (tmp_path / "sent.jsonl").write_bytes(GOOD + b"\n")
    (log,) = find_log_files([str(tmp_path / "sent.jsonl")], None)
    return log


def test_a_fifo_that_took_the_place_of_a_log_is_not_waited_for(log: LogFile) -> None:
    log.path.unlink()
    os.mkfifo(log.path)
    with pytest.raises(LogFileUnreadable, match="is not a regular file"):
        list(read_sent_log(log, rules()))
    assert head_of(log) is None


def read_by_this_process() -> int:
    """Return how many bytes were read so far."""
    (line,) = [line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar:")]
    return int(line.split()[1])


@pytest.mark.parametrize("name", ["sent.jsonl", "sent.csv"])
def test_a_hole_of_20_gb_costs_no_time(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as sparse:
        sparse.write(GOOD + b"\n")
        sparse.seek(20 << 30)
        sparse.write(b"\n" + GOOD)
    (log,) = find_log_files([str(tmp_path / name)], None)
    before = read_by_this_process()
    chunks = list(read_sent_log(log, rules()))
    assert read_by_this_process() - before < 100 << 20
    if name == "sent.jsonl":
        assert sum(chunk.messages.num_rows for chunk in chunks) == 2
