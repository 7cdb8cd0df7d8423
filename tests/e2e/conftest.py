"""What the tests of the commands and of what people open share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import running_browser
from tests.support.places import Place, opened_place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened_place(tmp_path) as place:
        yield place


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once for a module; not for longer, as no test beside it could use asyncio.run."""
    with running_browser() as browser:
        yield browser
