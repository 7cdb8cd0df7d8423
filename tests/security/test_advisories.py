"""The audit of pinned versions in `make check`: a finding fails, an index that can't be reached is said and passes."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.advisories import PINNED, audit

ADVISORY = {
    "id": "PYSEC-2026-1",
    "summary": "made up",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "six", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "9.9"}]}],
        }
    ],
}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Serve an index of advisories; it is told which package has one."""
    bad = [""]

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"vulns": [ADVISORY]} if asked["package"]["name"] == bad[0] else {}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_port}/query")
        yield lambda name: bad.__setitem__(0, name)
        server.shutdown()


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    """Pin two packages."""
    path = tmp_path / "constraints.txt"
    path.write_text("# two\nrequests==2.34.2\nsix==1.17.0\n")
    return path


@pytest.mark.slow
def test_a_version_with_an_advisory_fails_the_check(index: Callable[[str], None], pinned: Path) -> None:
    assert audit(pinned) == (0, "advisories: 2 of 2 pinned versions audited, 0 with one")
    index("six")
    status, said = audit(pinned)
    assert status == 1
    assert said.splitlines()[1:] == ["six 1.17.0: PYSEC-2026-1 (fixed in 9.9)"]


@pytest.mark.slow
def test_where_no_index_answers_nothing_is_audited_and_that_is_said(
    pinned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/query")
        began = time.monotonic()
        status, said = audit(pinned)
    assert (status, said) == (
        0,
        "advisories: nothing was audited, since no index of advisories answers for requests==2.34.2",
    )
    assert time.monotonic() - began < 40


def test_every_pin_can_be_audited() -> None:
    lines = [line for line in PINNED.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if line.count("==") != 1] == []
    assert any(line.startswith("pip_audit==") for line in lines)
