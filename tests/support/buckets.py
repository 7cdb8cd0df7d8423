"""A bucket of its own on a free port of the loopback: an S3 server behind a proxy that counts and plays faults.

The server is moto, in a process of its own. The proxy is in this process, so that a test can change its rules while the
command under test runs.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import duckdb
from botocore.config import Config

from tests.support.places import Place

START_SECONDS = 60.0
Answer = tuple[int, bytes]
"""Status and body that the proxy gives in place of the server's."""


@dataclass(frozen=True)
class Request:
    """A request as the proxy got it."""

    method: str
    path: str
    headers: Mapping[str, str]

    @property
    def kind(self) -> str:
        """Method and path, without what is random in it."""
        return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", f"{self.method} {self.path}")


@dataclass
class Rules:
    """What the proxy does with each request.

    Attributes:
        answer: gives an answer in place of the server's; None lets the request through.
        loses: says whether the response is lost: the server does the work, and the connection is closed.
        without: names of headers that the server does not get.
        seconds: how long each request takes.
    """

    answer: Callable[[Request], Answer | None] = lambda _: None
    loses: Callable[[Request], bool] = lambda _: False
    without: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Bucket:
    """A bucket, and what was asked of it."""

    name: str
    endpoint: str
    server: str
    requests: list[Request] = field(default_factory=list)
    rules: Rules = field(default_factory=Rules)
    conditional_put: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a command reaches it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "key-of-tests",
            "AWS_SECRET_ACCESS_KEY": "store-secret-2718281828",
            "AWS_REGION": "us-east-1",
        }

    @property
    def client(self) -> Any:
        """A client of the server, past the proxy."""
        variables = self.environment
        return boto3.client(
            "s3",
            endpoint_url=self.server,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
            config=Config(retries={"max_attempts": 1}),
        )

    def objects(self) -> dict[str, bytes]:
        """Return the content of every object by its name."""
        client, found = self.client, dict[str, bytes]()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.name):
            for entry in page.get("Contents", []):
                found[entry["Key"]] = client.get_object(Bucket=self.name, Key=entry["Key"])["Body"].read()
        return found

    def newest(self) -> str:
        """Return number and ETag of the newest published file."""
        entries = self.client.list_objects_v2(Bucket=self.name, Prefix="published/").get("Contents", [])
        versions = {entry["Key"]: entry["ETag"] for entry in entries if entry["Key"].endswith(".duckdb")}
        name = max(versions)
        return f"{name.split('/')[-2]}-{versions[name].strip(chr(34))}"


@dataclass(frozen=True)
class BucketPlace(Place):
    """A place whose lake and published file are in a bucket; a machine has copies of its own."""

    bucket: Bucket

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Query the published data as it is fetched: DuckDB here has no extension for buckets."""
        path = self.folder / f"fetched-{self.bucket.newest()}.duckdb"
        if not path.exists():
            self.run("fetch", str(path), "--with-data")
        with duckdb.connect(path, read_only=True) as connection:
            return connection.execute(sql).fetchall()


def in_bucket(place: Place, bucket: Bucket, *, machine: str = "one", path: str = "lake") -> BucketPlace:
    """Return a place with its lake and its published file in a bucket, seen from a machine with copies of its own."""
    mine = {
        "SMS_LAKE": f"s3://{bucket.name}/{path}",
        "SMS_CACHE": str(place.folder / machine / "cache"),
        "SMS_DUCKDB": f"s3://{bucket.name}/published/analytics.duckdb",
        "SMS_REPORT": str(place.folder / machine / "report.html"),
    }
    return BucketPlace(place.folder, place.environment | bucket.environment | mine, place.simulator, bucket)


@contextmanager
def running_store() -> Iterator[str]:
    """Give the URL of a new S3 server that ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the S3 server did not start")


@contextmanager
def opened_bucket(server: str) -> Iterator[Bucket]:
    """Give a new bucket of a server, behind a proxy of its own that ends with the block."""
    with proxied(server) as bucket:
        bucket.client.create_bucket(Bucket=bucket.name)
        yield bucket


@contextmanager
def proxied(server: str) -> Iterator[Bucket]:
    """Give a proxy of a server, and a name for a bucket that is not made; the server need not run."""
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    bucket = Bucket(f"bucket-{uuid.uuid4().hex[:12]}", f"http://127.0.0.1:{proxy.server_address[1]}", server)
    proxy.bucket = bucket  # type: ignore[attr-defined]
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield bucket
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        bucket: Bucket = self.server.bucket  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers.items()))
        bucket.requests.append(request)
        time.sleep(bucket.rules.seconds)
        given = bucket.rules.answer(request)
        if given is not None:
            self._send(given[0], {"Content-Type": "application/xml"}, given[1])
            return
        # moto looks at the condition of a put and then puts, without a lock: a store does both as one.
        with bucket.conditional_put if "If-Match" in self.headers or "If-None-Match" in self.headers else nullcontext():
            status, headers, content = _passed_on(bucket, request, body)
        if bucket.rules.loses(request):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(status, headers, content)

    def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response_only(status)
        kept = {name: value for name, value in headers.items() if name.lower() not in _OWN}
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        for name, value in {**kept, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - the names of http.server


_OWN = {"content-length", "transfer-encoding", "connection"}


def _passed_on(bucket: Bucket, request: Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
    left_out = {name.lower() for name in bucket.rules.without}
    headers = {name: value for name, value in request.headers.items() if name.lower() not in left_out}
    connection = http.client.HTTPConnection(bucket.server.removeprefix("http://"), timeout=60)
    try:
        connection.request(request.method, request.path, body, headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def refusal(status: int, code: str) -> Answer:
    """Return the answer of a store that refuses, with a text that quotes the key as S3 does."""
    fields = "<AWSAccessKeyId>key-of-tests</AWSAccessKeyId><StringToSign>store-secret-2718281828</StringToSign>"
    return status, f"<Error><Code>{code}</Code><Message>no</Message>{fields}</Error>".encode()


def copies(place: Place) -> Iterator[Path]:
    """Yield the files that a machine keeps of a bucket."""
    return (path for path in Path(place.environment["SMS_CACHE"]).rglob("*") if path.is_file())


def listing(bucket: Bucket) -> str:
    """Return what was asked of a bucket, for the message of a failed test."""
    counts: dict[str, int] = {}
    for request in bucket.requests:
        counts[request.kind] = counts.get(request.kind, 0) + 1
    return json.dumps(dict(sorted(counts.items(), key=lambda pair: -pair[1])), indent=1)
