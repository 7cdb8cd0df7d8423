"""The README's pictures of the page, from the demo's messages: `python -m tests.support.screenshots` takes them."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipeline.model.settings import given_settings
from pipeline.publish.page.writing import write_page
from tests.support.browser import DESKTOP, PHONE, opened, running_browser
from tests.support.readme import DOCS, published_world

NOW: Final = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
DAYS: Final = [NOW.date() - timedelta(days=step) for step in reversed(range(42))]
MESSAGES: Final = 8_000
SHOTS: Final[dict[str, dict[str, Any]]] = {
    "page-desktop.png": {"size": DESKTOP | {"height": 1240}, "color_scheme": "light"},
    "page-phone-dark.png": {"size": PHONE | {"height": 1240}, "color_scheme": "dark"},
}


def main() -> None:
    """Take the pictures, one window high each, to keep the files small."""
    with tempfile.TemporaryDirectory() as folder:
        page = _page(Path(folder))  # before the browser starts: the API client calls asyncio.run
        with running_browser() as browser:
            for name, options in SHOTS.items():
                with opened(browser, page, **options) as shown:
                    shown.page.screenshot(path=DOCS / name)


def _page(folder: Path) -> Path:
    published = published_world(folder, messages=MESSAGES, days=DAYS, now=NOW)
    return write_page(settings=given_settings(folder, duckdb=published, report=folder / "report.html"))


if __name__ == "__main__":
    main()
