"""Debian's Chromium, driven by Playwright, without a network: requests of a page are recorded and refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Dialog, Page, Route, sync_playwright

CHROMIUM: Final = Path("/usr/bin/chromium")
PHONE: Final = {"width": 390, "height": 844}
DESKTOP: Final = {"width": 1280, "height": 900}


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Chromium without a window for the block.

    While it runs, an event loop runs in this thread: asyncio.run fails.
    """
    # Its sandbox refuses to start as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Opened:
    """An open page, with its errors and requests so far.

    Attributes:
        page: Playwright's handle.
        complaints: console errors and warnings, uncaught errors, dialogs.
        requests: refused requests, all but the page itself.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def opened(browser: Browser, path: Path, *, size: dict[str, int] | None = None, **options: Any) -> Iterator[Opened]:
    """Open a file in a new window and wait until its charts are drawn.

    Args:
        browser: a running one.
        path: the file.
        size: of the window; DESKTOP if None.
        options: of Playwright's `new_context`, as `color_scheme`, `java_script_enabled`, `timezone_id`.
    """
    chosen: Any = {"viewport": size or DESKTOP, "offline": True} | options
    with browser.new_context(**chosen) as context:
        context.set_default_timeout(30_000)
        shown = Opened(context.new_page())
        own = path.resolve().as_uri()

        def asked(route: Route) -> None:
            if route.request.url == own:
                route.continue_()
            else:
                shown.requests.append(route.request.url)
                route.abort()

        def on_dialog(dialog: Dialog) -> None:
            shown.complaints.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        context.route("**/*", asked)
        shown.page.on("console", lambda message: shown.complaints.append(f"{message.type}: {message.text}"))
        shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        shown.page.on("dialog", on_dialog)
        shown.page.goto(own)
        if options.get("java_script_enabled", True):
            shown.page.wait_for_selector(":root.drawn, :root.broken", state="attached")
        yield shown
