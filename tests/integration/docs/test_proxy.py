"""`docs/production.md`: the lines for nginx bring pushes to `listen` by TLS, and tell nobody the token."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.pushes import TOKEN, receiving, report

PAGE = Path(__file__).parents[3] / "docs" / "production.md"
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/server-error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        {location}
    }}
}}
"""


def lines_of_the_page(folder: Path, receiver_port: str) -> str:
    """Return the lines between the marks, with the port of the receiver and a log in a folder."""
    found = re.search(r"<!-- nginx -->\n```nginx\n(.*?)```\n<!-- /nginx -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    assert "127.0.0.1:8766" in found[1]
    return found[1].replace("127.0.0.1:8766", f"127.0.0.1:{receiver_port}").replace("/var/log/nginx", str(folder))


@contextlib.contextmanager
def proxy(folder: Path, receiver_port: str) -> Iterator[str]:
    """Run nginx with a certificate of its own for the block; give its URL."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    location = lines_of_the_page(folder, receiver_port)
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, location=location))
    process = subprocess.Popen([str(NGINX), "-e", str(folder / "start.log"), "-c", str(folder / "nginx.conf")])
    try:
        deadline = time.monotonic() + 20
        while not (folder / "nginx.pid").exists() or not (folder / "nginx.pid").read_text():
            assert process.poll() is None, (folder / "start.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"https://127.0.0.1:{port}/reports/"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)


@pytest.mark.slow
@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_pushes_go_through_nginx_with_tls_and_no_log_has_the_token(tmp_path: Path) -> None:
    """What the receiver answers comes back; a receiver that has gone is 502; large bodies are written nowhere."""
    with receiving(tmp_path) as receiver, proxy(tmp_path, receiver.base.rpartition(":")[2]) as url:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        with httpx.Client(verify=trusted, headers={"User-Agent": "Java/1.8.0_392"}, timeout=20) as client:
            (tmp_path / "bodies").rmdir()  # a body that nginx wants to write to a file gets 500
            many = json.dumps([report(n, padding="x" * 1000) for n in range(2, 802)]).encode()
            assert client.post(f"{url}{TOKEN}", json=report(1)).status_code == 200
            assert client.post(f"{url}{TOKEN}", content=many.ljust(2**20)).status_code == 200
            assert client.post(f"{url}{TOKEN}", content=many.ljust(2**20 + 1)).status_code == 413
            assert client.post(f"{url}{TOKEN}x", json=report(900)).status_code == 404
            assert client.post(f"{url}{TOKEN}", content=b"nonsense").status_code == 400
            ids = {str(report(n)["msgid"]) for n in range(1, 802)}
            assert set(receiver.ids()) == ids
            receiver.process.terminate()
            receiver.process.wait(20)
            assert client.post(f"{url}{TOKEN}", json=report(901)).status_code == 502
    assert len(list(tmp_path.glob("*.log"))) >= 3
    assert not [path for path in tmp_path.glob("*.log") if TOKEN in path.read_text()]
