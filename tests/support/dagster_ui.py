"""`dagster dev` on a place, as an operator runs it: queried through GraphQL, opened in Chromium."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.support.places import Place, without_settings

WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"
SECONDS = 150.0
"""Timeout of every wait, for a loaded machine."""
expect.set_options(timeout=SECONDS * 1000)
_T = TypeVar("_T")
_RUNS = "{runsOrError{... on Runs{results{runId status jobName}}}}"
_LOADED = "{repositoriesOrError{... on RepositoryConnection{nodes{name}}}}"
_PARTITIONS = """
query ($asset: AssetKeyInput!) {
  assetOrError(assetKey: $asset) {
    ... on Asset {
      assetMaterializations(limit: 100) {
        partition
        metadataEntries { label ... on IntMetadataEntry { intRepr } ... on FloatMetadataEntry { floatRepr } }
      }
    }
  }
}"""


@dataclass(frozen=True)
class DagsterUi:
    """A running UI, and the browser that opens its pages, if any."""

    url: str
    browser: Browser | None

    def ask(self, query: str, **variables: Any) -> Any:
        """Return the data of a GraphQL query."""
        answer = httpx.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=SECONDS
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def runs(self) -> dict[str, str]:
        """Return the status of each run, newest first."""
        return {run["runId"]: run["status"] for run in self.ask(_RUNS)["runsOrError"]["results"]}

    def ended_run(self, *, besides: set[str]) -> tuple[str, str]:
        """Wait until the one new run has ended; return its id and status."""
        ((run, status),) = self.ended_runs(1, besides=besides).items()
        return run, status

    def ended_runs(self, count: int, *, besides: set[str]) -> dict[str, str]:
        """Wait until so many new runs have ended; return the status of each."""

        def ended() -> dict[str, str] | None:
            new = {run: status for run, status in self.runs().items() if run not in besides}
            assert len(new) <= count
            are_over = all(status in {"SUCCESS", "FAILURE", "CANCELED"} for status in new.values())
            return new if len(new) == count and are_over else None

        return waited_for(ended)

    def numbers(self, asset: str) -> dict[str, dict[str, float]]:
        """Return the numeric metadata of the newest materialization of each partition."""
        found: dict[str, dict[str, float]] = {}
        asked = self.ask(_PARTITIONS, asset={"path": [asset]})["assetOrError"]["assetMaterializations"]
        for event in asked:  # newest first
            numbers = {
                entry["label"]: float(entry.get("intRepr") or entry.get("floatRepr"))
                for entry in event["metadataEntries"]
                if entry.get("intRepr") or entry.get("floatRepr")
            }
            found.setdefault(event["partition"], numbers)
        return found

    @staticmethod
    def wait_for_text(page: Page, text: str) -> None:
        """Reload a page until it shows a text: some parts of it don't refresh themselves."""
        waited_for(lambda: _reloaded_shows(page, text))

    @contextmanager
    def page(self, path: str) -> Iterator[Page]:
        """Open a page of the UI in a new window."""
        assert self.browser
        with self.browser.new_context(viewport={"width": 1440, "height": 1000}) as context:
            context.set_default_timeout(SECONDS * 1000)
            page = context.new_page()
            page.goto(f"{self.url}{path}")
            yield page


def _reloaded_shows(page: Page, text: str) -> bool | None:
    if page.get_by_text(text).first.is_visible():
        return True
    page.wait_for_timeout(5000)
    page.reload(wait_until="networkidle")
    return None


def waited_for(look: Callable[[], _T | None]) -> _T:
    """Call `look` until it returns a value; return that value."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if (found := look()) is not None:
            return found
        time.sleep(0.5)
    raise TimeoutError(f"nothing found in {SECONDS:g} s")


@contextmanager
def running_ui(place: Place, browser: Browser | None = None) -> Iterator[DagsterUi]:
    """Start `dagster dev`, which ends with the block.

    It runs in the place's folder, whose `.env` Dagster copies into its environment when it starts.
    """
    home = place.folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dagster = str(Path(sys.executable).with_name("dagster"))
    command = [dagster, "dev", "-w", str(WORKSPACE), "-h", "127.0.0.1", "-p", str(port)]
    environment = without_settings() | {"DAGSTER_HOME": str(home)}
    with (place.folder / "dev.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=place.folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        ui = DagsterUi(f"http://127.0.0.1:{port}", browser)
        waited_for(lambda: _loaded(ui))
        yield ui
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _loaded(ui: DagsterUi) -> bool | None:
    try:
        return bool(ui.ask(_LOADED)["repositoriesOrError"]["nodes"]) or None
    except (httpx.HTTPError, ValueError):
        return None
