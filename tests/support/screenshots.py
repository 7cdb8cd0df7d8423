"""The README's pictures of the page: `python -m tests.support.screenshots` makes them again, from the demo's data."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipeline.model.settings import given_settings
from pipeline.publish.page import write_page
from tests.support.browser import DESKTOP, PHONE, opened, running_browser
from tests.support.readme import README, published_world

FOLDER: Final = README.parent / "docs"
NOW: Final = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
DAYS: Final = [NOW.date() - timedelta(days=step) for step in reversed(range(42))]
MESSAGES: Final = 60_000
SHOTS: Final[dict[str, dict[str, Any]]] = {
    "page-desktop.png": {"size": DESKTOP | {"height": 1240}, "color_scheme": "light"},
    "page-phone-dark.png": {"size": PHONE | {"height": 1240}, "color_scheme": "dark"},
}


def main() -> None:
    """Take the pictures: the window's height each, so that they stay small."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = _page(Path(folder))  # before the browser runs: it asks the simulator with asyncio.run
        with running_browser() as browser:
            for name, options in SHOTS.items():
                with opened(browser, page, **options) as shown:
                    shown.page.screenshot(path=FOLDER / name)


def _page(folder: Path) -> Path:
    published = published_world(folder, messages=MESSAGES, days=DAYS, now=NOW)
    return write_page(settings=given_settings(folder, duckdb=published, report=folder / "report.html"))


if __name__ == "__main__":
    main()
