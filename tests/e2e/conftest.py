"""Fixtures of the end-to-end tests: a place to run commands in, a browser, an undisturbed run to compare with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import running_browser
from tests.support.places import COMMAND, Place, opened_place, still_place
from tests.support.processes import MANY, PACE, UNDISTURBED_SQL, Undisturbed, assert_whole, output_until_end, wait_for


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened_place(tmp_path) as place:
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once per module; while it runs, asyncio.run fails in this thread."""
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    with still_place(folder, messages=MANY, batch=50) as (place, answers):
        process = place.start(COMMAND, "run", **PACE)
        wait_for(place.lake.is_dir, process)
        began = time.monotonic()
        output_until_end(process)
        seconds = time.monotonic() - began
        assert_whole(place, answers)
        return Undisturbed(folder / "logs", seconds, place.query(UNDISTURBED_SQL))
