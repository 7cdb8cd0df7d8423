"""Web pages that a browser on this machine shows: none of them starts a run in the UI, or reads it."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from assets.cli.guard import guarded
from tests.support.places import COMMAND, opened_place, without_settings

LAUNCH = 'mutation{launchRun(executionParams:{selector:{repositoryLocationName:"sms_delivery",repositoryName:"__repository__",jobName:"delivery_refresh"},mode:"default",runConfigData:{}}){__typename ... on LaunchRunSuccess{run{runId}}}}'  # noqa: E501
JSON = {"content-type": "application/json"}
ANY = "0.0.0.0"  # noqa: S104 - nothing is bound
CROSS = {"sec-fetch-site": "cross-site"}
FOLLOWED = CROSS | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def status(method: str, path: str, headers: dict[str, str], *, host: str = "127.0.0.1") -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(app=guarded(hello, host=host))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:3000") as client:
            return (await client.request(method, path, headers=headers)).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", f"/graphql?query={LAUNCH}", {}),
        ("GET", f"/graphql/?query={LAUNCH}", {}),
        ("HEAD", f"/graphql?query={LAUNCH}", {}),
        ("POST", f"/graphql?query={LAUNCH}", {}),
        ("POST", "/graphql", {"content-type": "text/plain"}),
        ("POST", "/graphql", {"content-type": "application/graphql"}),
        ("POST", "/graphql", {"content-type": "application/x-www-form-urlencoded"}),
        ("POST", "/graphql", JSON | {"host": "attacker.example:3000"}),
        ("POST", "/graphql", JSON | {"host": "127.0.0.1.attacker.example:3000"}),
        ("POST", "/graphql", JSON | {"host": "localhost@attacker.example"}),
        ("POST", "/graphql", JSON | {"host": ""}),
        ("POST", "/graphql", JSON | {"origin": "https://attacker.example"}),
        ("POST", "/graphql", JSON | {"origin": "null"}),
        ("POST", "/graphql", JSON | {"origin": "http://127.0.0.1:8000"}),
        ("POST", "/graphql", JSON | {"sec-fetch-site": "cross-site"}),
        ("POST", "/graphql", JSON | {"sec-fetch-site": "same-site"}),
        ("POST", "/report_asset_materialization/messages", {"origin": "https://attacker.example"}),
        ("GET", "/runs", {"host": "attacker.example"}),
        ("GET", "/runs", CROSS | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}),
        ("GET", "/runs", CROSS | {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}),
        ("GET", "/graphql", FOLLOWED),
    ],
)  # fmt: skip
def test_what_another_page_can_send_is_refused(method: str, path: str, headers: dict[str, str]) -> None:
    assert status(method, path, headers) == 403


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/graphql", JSON),
        ("POST", "/graphql", JSON | {"origin": "http://127.0.0.1:3000", "sec-fetch-site": "same-origin"}),
        ("POST", "/graphql", JSON | {"host": "localhost:8080", "origin": "http://localhost:8080"}),
        ("GET", "/graphql", {}),
        ("GET", "/runs?status=x", {"sec-fetch-site": "none"}),
        ("GET", "/runs", FOLLOWED),
    ],
)
def test_its_own_pages_programs_and_followed_links_are_taken(method: str, path: str, headers: dict[str, str]) -> None:
    assert status(method, path, headers) == 200


def test_the_host_that_was_given_is_taken_and_any_address_where_all_are_listened_on() -> None:
    assert status("GET", "/", {"host": "pipeline.lan:3000"}, host="Pipeline.lan") == 200
    assert status("GET", "/", {"host": "192.0.2.7:3000"}, host=ANY) == 200
    assert status("GET", "/", {"host": "[2001:db8::1]:3000"}, host="::") == 200
    assert status("GET", "/", {"host": "attacker.example"}, host=ANY) == 403


def test_a_subscription_of_another_page_is_closed() -> None:
    async def closed(headers: list[tuple[bytes, bytes]]) -> list[str]:
        sent: list[str] = []

        async def send(message: Any) -> None:
            sent.append(message["type"])

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        scope = {"type": "websocket", "path": "/graphql", "query_string": b"", "headers": headers}
        await guarded(hello, host="127.0.0.1")(scope, receive, send)
        return sent

    ours, foreign = (b"host", b"localhost:3000"), (b"origin", b"https://attacker.example")
    assert asyncio.run(closed([ours, foreign])) == ["websocket.close"]
    assert asyncio.run(closed([(b"host", b"attacker.example")])) == ["websocket.close"]
    assert "websocket.close" not in asyncio.run(closed([ours, (b"origin", b"http://localhost:3000")]))


def plant_module(folder: Path) -> Path:
    """Put a module into a folder that Dagster's processes would import; return the file that it makes when it runs."""
    (folder / "click.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n", "utf-8")
    return folder / "ran"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Serve the UI by `sms-delivery ui` until the test ends, in a folder with a planted module; give its address."""
    (tmp_path / "place").mkdir()
    plant_module(tmp_path / "place")
    with opened_place(tmp_path / "place") as place, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [COMMAND, "ui", "--port", str(port)], cwd=place.folder, env=place.environment, stdout=log, stderr=log
            )
        try:
            yield _answering(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(60)


def _answering(url: str) -> str:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        with suppress(httpx.HTTPError, KeyError):
            if _ask(url, "{repositoriesOrError{... on RepositoryConnection{nodes{name}}}}")["repositoriesOrError"]:
                return url
        time.sleep(0.5)
    raise TimeoutError(url)


def _ask(url: str, query: str) -> Any:
    return httpx.post(f"{url}/graphql", json={"query": query}, timeout=60).json()["data"]


@pytest.mark.slow
def test_a_cross_site_get_starts_no_run_in_the_real_ui(url: str, tmp_path: Path) -> None:
    foreign = {"host": "attacker.example", "origin": "https://attacker.example"}
    for headers in (foreign, {}, {"host": "attacker.example"}):
        assert httpx.get(f"{url}/graphql", params={"query": LAUNCH}, headers=headers, timeout=60).status_code == 403
    assert _ask(url, "{runsOrError{... on Runs{results{runId}}}}")["runsOrError"]["results"] == []
    assert httpx.get(url, timeout=60).status_code == 200
    assert not (tmp_path / "place" / "ran").exists()


def test_no_module_of_the_working_directory_runs_before_the_demo(tmp_path: Path) -> None:
    ran = plant_module(tmp_path)
    (tmp_path / "data").touch()  # ends the demo before it simulates anything
    subprocess.run([COMMAND, "ui"], cwd=tmp_path, env=without_settings(), capture_output=True, check=False, timeout=120)
    assert not ran.exists()


def test_dagster_does_not_start_an_unguarded_webserver_if_it_changes_its_way() -> None:
    code = (
        "import sys\nfrom dagster._cli import dev\nstarted = []\n"
        "vars(dev)['open_ipc_subprocess'] = lambda parts, **_: started.append(parts)\n"
        "vars(dev)['dev_command'] = lambda _: None\n"
        "from assets.internals import run_dev\nrun_dev([])\nimport json\n"
        "dev.open_ipc_subprocess([sys.executable, '-m', 'dagster_webserver', '--port', '1'])\n"
        "try:\n    dev.open_ipc_subprocess(['dagster-webserver'])\n"
        "except RuntimeError as error:\n    started.append([str(error)])\nprint(json.dumps(started))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    guarded_one, (refused,) = json.loads(done.stdout)
    assert guarded_one[1:5] == ["-P", "-m", "assets.cli.guarded_ui", "webserver"]
    assert "has no guard" in refused
