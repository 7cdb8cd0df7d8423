"""Connections to the platform: httpx's own transports, one per worker and proxy.

What belongs here: which way a request goes out. What does not: what is asked, how often, and what a response means
(`client.py`, `responses.py`). The transport alone, without httpx's client, follows no redirect and keeps no cookie.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpx

from pipeline.model.errors import SettingsError
from pipeline.model.settings import LOOPBACK_HOSTS

KEPT_SECONDS: Final = 15.0
"""How long an idle connection is kept."""


class Connections(httpx.AsyncBaseTransport):
    """Carries requests directly or by the proxy that the environment names for a host (`HTTPS_PROXY`, `NO_PROXY`).

    The extension `target` of a request is its path and query, already encoded: httpx spends most of its time on a
    query of 4 kB otherwise. Certificates are verified; a failed request is not repeated. Each worker (a task) has a
    connection of its own: in a shared pool httpx looks at all connections for each request, a seventh of its time.
    """

    def __init__(self) -> None:
        self._limits = httpx.Limits(max_connections=1, keepalive_expiry=KEPT_SECONDS)
        self._proxies: dict[str, str | None] = {}
        self._transports: dict[tuple[str | None, object], httpx.AsyncHTTPTransport] = {}

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        return tls_context()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request without a body; the response's own is read as it is asked for.

        Raises:
            httpx.TransportError: no response came.
        """
        proxy = self._proxy_of(request.url)
        key = (proxy, asyncio.current_task())
        if key not in self._transports:
            self._transports[key] = httpx.AsyncHTTPTransport(verify=self._tls, limits=self._limits, proxy=proxy)
        return await self._transports[key].handle_async_request(request if proxy is None else _for_proxy(request))

    async def aclose(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    def _proxy_of(self, url: httpx.URL) -> str | None:
        if url.host not in self._proxies:
            self._proxies[url.host] = proxy_of(url)
        return self._proxies[url.host]


def tls_context() -> ssl.SSLContext:
    """Return what verifies certificates, by those of the environment if it names some.

    Raises:
        SettingsError: these can't be read.
    """
    try:
        return httpx.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or "is no PEM file of certificates"
        raise SettingsError(f"SSL_CERT_FILE: the file or folder that it names can't be used: {why}") from None


def proxy_of(url: httpx.URL) -> str | None:
    """Return the proxy that the environment names for a URL; none sees the credentials of a loopback host."""
    is_direct = url.host in LOOPBACK_HOSTS or bool(proxy_bypass(url.host))
    return None if is_direct else getproxies().get(url.scheme)


def _for_proxy(request: httpx.Request) -> httpx.Request:
    """Move the target into the URL: the extension would also replace what a proxy is asked for."""
    target = request.extensions.get("target", request.url.raw_path)
    return httpx.Request(request.method, request.url.copy_with(raw_path=target), headers=request.headers.raw)
