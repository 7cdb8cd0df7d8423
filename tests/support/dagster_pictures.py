"""The pictures of `docs/dagster.md`, of a demo's last days: `python -m tests.support.dagster_pictures` takes them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Browser, Locator

from tests.support.browser import running_browser
from tests.support.dagster_ui import SECONDS, waited_for
from tests.support.places import without_settings
from tests.support.readme import DOCS

COMMAND: Final = str(Path(sys.executable).with_name("sms-delivery"))
SIZE: Final = {"width": 1600, "height": 1500}
"""So high that the buttons of the graph are below it."""
DAYS: Final = 4
"""All that a demo records in Dagster: of more days the graph would show that some are missing there."""
_MARGIN: Final = 12


def main() -> None:
    """Run the demo, open its UI, take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        demo = [COMMAND, "demo", "--days", str(DAYS), "--messages", "4000", "--dir", folder]
        subprocess.run(demo, env=without_settings(), check=True)
        with _running_ui(Path(folder)) as url, running_browser() as browser:
            _take(browser, f"{url}/asset-groups/", "dagster-graph.png", _graph)
            _take(browser, f"{url}/assets/analytics_db", "dagster-published.png", _published)


@contextmanager
def _running_ui(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command, url = [COMMAND, "ui", "--port", str(port)], f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, cwd=folder, env=without_settings(), start_new_session=True)
    try:
        waited_for(lambda: _answers(url))
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _answers(url: str) -> bool | None:
    try:
        return httpx.get(f"{url}/server_info", timeout=5).is_success or None
    except httpx.HTTPError:
        return None


def _take(browser: Browser, url: str, name: str, shown: Any) -> None:
    """Take a picture of the parts of a page that `shown` gives, with a margin."""
    with browser.new_context(viewport=SIZE) as context:  # type: ignore[arg-type] # a plain dictionary
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        page.goto(url)
        parts: list[Locator] = shown(page)
        page.wait_for_timeout(5000)  # it draws itself anew
        boxes = [box for part in parts if (box := part.bounding_box())]
        left, top = min(box["x"] for box in boxes) - _MARGIN, min(box["y"] for box in boxes) - _MARGIN
        right = max(box["x"] + box["width"] for box in boxes) + _MARGIN
        bottom = max(box["y"] + box["height"] for box in boxes) + _MARGIN
        clip: Any = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        page.screenshot(path=DOCS / name, clip=clip)


def _graph(page: Any) -> list[Locator]:
    nodes = page.locator("foreignObject")
    nodes.get_by_text("delivery_page", exact=True).first.wait_for()
    found: list[Locator] = nodes.all()
    return found


def _published(page: Any) -> list[Locator]:
    page.get_by_alt_text("delivery rate by day").scroll_into_view_if_needed()
    rows = [
        page.locator("tr", has=page.get_by_text(name, exact=True)).last for name in ("delivery_rate_by_day", "this_run")
    ]
    rows[-1].scroll_into_view_if_needed()
    return rows


if __name__ == "__main__":
    main()
