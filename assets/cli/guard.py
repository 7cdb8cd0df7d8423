"""Which requests the UI takes: those of its own pages and of programs, none that another web page makes.

Belongs here: the rule, and the ASGI application that holds it. Does not: starting the UI (`ui.py`, `guarded_ui.py`).

Dagster's webserver takes `launchRun` from any web page that a browser on this machine shows: its GraphQL takes GET, and
it looks neither at `Host` nor at `Origin`. `Host` must name this machine, since another name may be bound to its
address (DNS rebinding). What a browser says of the page that asks must be this UI, but for links that are followed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound
_GRAPHQL: Final = "graphql"
_POLICY_VIOLATION: Final = 1008


def guarded(app: App, *, host: str) -> App:
    """Return an application that refuses what `refusal` does; `host` is what it listens on."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        why = refusal(scope, host=host) if scope["type"] in {"http", "websocket"} else None
        if why is None:
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": why})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": f"{why}\n".encode()})

    return answer


def refusal(scope: Mapping[str, Any], *, host: str) -> str | None:
    """Return why a request is refused; None if it is taken."""
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    if any(len(headers.get(name, [])) > 1 for name in ("host", "origin", "sec-fetch-site", "content-type")):
        return "a header stands twice"
    one = {name: values[0] for name, values in headers.items()}
    asked = one.get("host", "")
    if not _is_ours(asked, host):
        return "the Host is not this machine's; open the address that `sms-delivery ui` printed"
    if "origin" in one and one["origin"].lower() not in {f"http://{asked}".lower(), f"https://{asked}".lower()}:
        return "the Origin is another web page"
    if one.get("sec-fetch-site", "none") not in {"none", "same-origin"} and not _is_followed_link(scope, one):
        return "another web page asks"
    return _wrong_graphql(scope, one)


def _is_ours(asked: str, host: str) -> bool:
    """Say whether a `Host` names this machine: loopback, what was given, or any address if all are listened on."""
    try:
        name = (urlsplit(f"//{asked}").hostname or "").lower()
    except ValueError:
        return False
    return name in LOOPBACK or name == host.lower() or (host in ANY_ADDRESS and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_followed_link(scope: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    """Say whether a person followed a link to a page of the UI, as those of an alert are."""
    opens_page = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return opens_page and scope.get("method") == "GET" and not _is_graphql(scope)


def _is_graphql(scope: Mapping[str, Any]) -> bool:
    return _GRAPHQL in str(scope["path"]).lower()


def _wrong_graphql(scope: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """Refuse what a page can send without asking the browser first: GET, and POST of forms and plain text."""
    if scope["type"] == "websocket" or not _is_graphql(scope):
        return None
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    if scope["method"] == "POST" and not is_json:
        return "GraphQL is asked by POST of application/json"
    if scope["method"] != "POST" and scope["query_string"]:
        return "GraphQL is asked by POST"
    return None
