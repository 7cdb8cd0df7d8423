"""What carries requests, against raw sockets: each request goes out once, errors are httpx's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from threading import Thread

import httpx
import pytest

from pipeline.api.connections import Connections

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: seen=1\r\n\r\n{}"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
TARGET = b"/sms/getReport?appId=a%2Fb%20c&msgIds=1,2"
NO_HTTP = b"220 mail.example.org ESMTP\r\n\r\n"


@contextlib.contextmanager
def raw_server(connections: Sequence[Sequence[bytes]]) -> Iterator[tuple[str, list[bytes]]]:
    """Answer the requests of each connection with the bytes given for it, then close it; give URL and requests."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answers in connections:
                with contextlib.suppress(OSError):
                    taken, _ = listener.accept()
                    with taken:
                        for answer in answers:
                            requests.append(taken.recv(65536))
                            taken.sendall(answer)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends an accept that waits
            thread.join(10)


def fetch(url: str, *, times: int = 1, target: bytes | None = None) -> list[bytes | type[Exception]]:
    """Ask so many times, one after another; return each body, or the kind of the error."""

    async def once(transport: Connections) -> bytes | type[Exception]:
        extensions = {} if target is None else {"target": target}
        try:
            response = await transport.handle_async_request(httpx.Request("GET", url, extensions=extensions))
            try:
                return await response.aread()
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            return type(error)

    async def all_of_them() -> list[bytes | type[Exception]]:
        async with Connections() as transport:
            return [await once(transport) for _ in range(times)]

    return asyncio.run(all_of_them())


def test_a_request_whose_kept_connection_is_closed_goes_out_once() -> None:
    with raw_server([[OK, b""], [OK]]) as (url, requests):
        assert fetch(url, times=2) == [b"{}", httpx.RemoteProtocolError]
        assert len(requests) == 2


def test_a_kept_connection_is_used_again_and_cookies_are_not_sent_back() -> None:
    with raw_server([[OK, OK]]) as (url, requests):
        assert fetch(url, times=2) == [b"{}", b"{}"]
        assert len(requests) == 2
        assert b"cookie" not in requests[1].lower()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (CUT, httpx.RemoteProtocolError),
        (NO_HTTP, httpx.RemoteProtocolError),
        (b"", httpx.RemoteProtocolError),
    ],
)
def test_what_is_no_answer_is_an_error_of_httpx(answer: bytes, kind: type[Exception]) -> None:
    with raw_server([[answer]]) as (url, _):
        assert fetch(url) == [kind]


def test_a_server_that_is_not_there_is_an_error_of_httpx() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert fetch(f"http://127.0.0.1:{port}") == [httpx.ConnectError]


def test_the_target_goes_on_the_wire_as_it_is() -> None:
    with raw_server([[OK]]) as (url, requests):
        fetch(url, target=TARGET)
        assert requests[0].startswith(b"GET " + TARGET + b" HTTP/1.1\r\n")


def test_a_proxy_of_the_environment_is_used_unless_the_host_is_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server([[OK]]) as (proxy, seen_by_proxy):
        monkeypatch.setenv("http_proxy", proxy)
        assert fetch("http://platform.example/sms") == [b"{}"]
        assert seen_by_proxy[0].startswith(b"GET http://platform.example/sms HTTP/1.1\r\n")
    with raw_server([[OK]]) as (proxy, seen_by_proxy):
        monkeypatch.setenv("http_proxy", proxy)
        assert fetch("http://platform.example/sms", target=TARGET) == [b"{}"]
        assert seen_by_proxy[0].startswith(b"GET http://platform.example" + TARGET + b" HTTP/1.1\r\n")
    with raw_server([[REFUSED]]) as (proxy, seen_by_proxy):
        monkeypatch.setenv("https_proxy", proxy)
        assert fetch("https://platform.example/sms", target=TARGET) == [httpx.ProxyError]
        assert seen_by_proxy[0].startswith(b"CONNECT platform.example:443 HTTP/1.1\r\n")
    with raw_server([[OK]]) as (url, requests):
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert fetch(url) == [b"{}"]
        assert len(requests) == 1
