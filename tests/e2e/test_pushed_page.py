"""The page where the platform pushes why messages failed and over which network, in a real Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.maintain.retain import retain
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import PUSHED_REPORTS
from pipeline.publish.database import publish
from pipeline.publish.page.writing import write_page
from tests.support.browser import PHONE, Opened, opened
from tests.support.lakes import Row, Said, Sent, store_answers, store_rows, store_sent

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAYS = 60
REASONS = ("Absent subscriber", "Blocked by operator", "Unknown subscriber", None)
NETWORKS = {"NG": ("621", "30"), "IN": ("404", "45"), "DE": ("999", "99")}
WIDE = {"width": 1440, "height": 1000}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, Settings]]:
    """Publish sixty days, each with messages that failed for three known reasons, or for none that was told."""
    folder, before = tmp_path_factory.mktemp("pushed"), os.umask(0o077)
    settings = given_settings(folder, sent_log_labels="campaign")
    lake = Lake.of(settings)
    sent, said, pushed = [], [], []
    for number in range(60 * DAYS):
        sent_at = NOW - timedelta(days=1 + number // 60, minutes=number % 60)
        msg_id, country = str(number), ("NG", "IN", "DE")[number % 3]
        is_failed = number % 5 == 0 or (country == "NG" and number % 7 == 0)
        status, at = "failed" if is_failed else "delivered", sent_at + timedelta(seconds=number % 50)
        reason = REASONS[number // 5 % 4] if is_failed else None
        sent.append(Sent(msg_id, sent_at, country=country, sender_id="ACME", labels={"campaign": f"c{number % 2}"}))
        extra = '{"pricedetail": {"pay": "0.01", "currency": "USD"}}'
        said.append((Said(msg_id, status, at, at, extra=extra), sent_at.date()))
        mcc, mnc = NETWORKS[country]
        row: Row = {"app_id": "app", "msg_id": msg_id, "status": status, "reason": reason, "mcc": mcc, "mnc": mnc}
        pushed.append(row | {"received_at": at, "sent_date": sent_at.date()})
    store_sent(lake, sent)
    store_answers(lake, said)
    store_rows(lake, PUSHED_REPORTS, pushed)
    derive_messages([], lake=lake, settings=settings, now=NOW)
    derive_rates([], lake=lake, settings=settings, now=NOW)
    publish(lake=lake, settings=settings, now=NOW)
    write_page(settings=settings)
    yield lake, settings
    os.umask(before)


def table(shown: Opened, caption: str) -> list[list[str]]:
    found = shown.page.locator(f"table:has(caption:text-is('{caption}')) tbody tr")
    return [row.locator("th, td").all_inner_texts() for row in found.all()]


def ask(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(settings.duckdb, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def reasons(settings: Settings, condition: str) -> dict[str, str]:
    """Return failed messages of the last 28 complete days by reason, as the page writes them."""
    rows = ask(
        settings,
        f"""
        SELECT coalesce(failure_reason, 'other, or none told'), count(*) FROM messages
        WHERE delivery_status = 'failed' AND sent_date >= DATE '2026-10-30' AND {condition} GROUP BY ALL
        """,
    )
    return {name: f"{count:,}" for name, count in rows}


def test_reasons_and_networks_are_rows_that_agree_with_the_file(
    published: tuple[Lake, Settings], browser: Browser
) -> None:
    _, settings = published
    with opened(browser, settings.report, size=WIDE) as shown:
        shown.page.goto(f"{shown.page.url.partition('#')[0]}#span=28")
        assert {row[0]: row[1] for row in table(shown, "by reason")} == reasons(settings, "true")
        networks = ask(
            settings,
            "SELECT network, count(*), count(*) FILTER (delivery_status = 'delivered') / count(*) FROM messages "
            "WHERE sent_date >= DATE '2026-10-30' GROUP BY ALL ORDER BY ALL",
        )
        names = {"404-45": "Airtel IN (404-45)", "621-30": "MTN NG (621-30)", "999-99": "999-99"}
        assert sorted((row[0], row[1], row[2].split()[0]) for row in table(shown, "by network")) == sorted(
            (names[network], f"{count:,}", f"{rate:.1%}") for network, count, rate in networks
        )
        shown.page.get_by_role("button", name="Blocked by operator").click()
        shown.page.locator("#back").wait_for()
        countries = ask(
            settings,
            "SELECT country, count(*) FROM messages WHERE failure_reason = 'Blocked by operator' "
            "AND sent_date >= DATE '2026-10-30' GROUP BY ALL",
        )
        words = {"NG": "Nigeria", "IN": "India", "DE": "Germany"}
        assert {row[0]: row[1] for row in table(shown, "by country")} == {words[c]: f"{n:,}" for c, n in countries}
        assert [row[:2] for row in table(shown, "by reason")] == [
            ["Blocked by operator", f"{sum(n for _, n in countries):,}"]
        ]
        shown.page.locator("#back").click()
        shown.page.get_by_role("button", name="Nigeria").click()
        shown.page.locator("#back").wait_for()
        assert {row[0]: row[1] for row in table(shown, "by reason")} == reasons(settings, "country = 'NG'")
        assert [row[0] for row in table(shown, "by network") if row[1] != "0"] == ["MTN NG (621-30)"]
        assert (shown.complaints, shown.requests) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_it_fits_its_window(
    published: tuple[Lake, Settings], browser: Browser, size: dict[str, int], scheme: str
) -> None:
    _, settings = published
    with opened(browser, settings.report, size=size, color_scheme=scheme) as shown:
        width = shown.page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"]
        assert shown.page.get_by_role("heading", name="Why they failed").is_visible()
        assert shown.page.get_by_role("heading", name="Networks").is_visible()


def test_what_was_dropped_is_told_and_compared_with_nothing(published: tuple[Lake, Settings], browser: Browser) -> None:
    """Rates are of all days; spend and speed of the 28 days before would be of a part of them."""
    lake, settings = published
    retain(lake=lake, settings=settings.model_copy(update={"keep_days": 30}), now=NOW)
    publish(lake=lake, settings=settings, now=NOW)
    write_page(settings=settings)
    with opened(browser, settings.report, size=WIDE) as shown:
        shown.page.goto(f"{shown.page.url.partition('#')[0]}#span=7")
        assert " in the 7 days before" in tile(shown, "Within 30 seconds")
        shown.page.goto(f"{shown.page.url.partition('#')[0]}#span=all")
        words = shown.page.locator("main").first.inner_text()
        assert "Messages sent before 2026-10-28 are no longer kept" in words
        assert f"{60 * DAYS:,}" in tile(shown, "Sent")
        shown.page.goto(f"{shown.page.url.partition('#')[0]}#span=28")
        assert " before" in tile(shown, "Failed")
        assert " before" not in tile(shown, "Within 30 seconds")
        assert (shown.complaints, shown.requests) == ([], [])


def tile(shown: Opened, title: str) -> str:
    return shown.page.locator(".tile", has=shown.page.get_by_role("heading", name=title)).inner_text()
