"""The page in a real Chromium: its text and its marks say what DuckDB says, and nothing is asked of elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from playwright.sync_api import Browser, Locator, Page

from pipeline.model.settings import given_settings
from pipeline.publish.page.writing import write_page
from tests.support.browser import DESKTOP, PHONE, opened
from tests.support.publications import HOSTILE, publication_by_hand

pytestmark = pytest.mark.slow

COUNTRIES: Final = [a + b for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJKLMNOPQRST"]
WORLDS: Final[dict[str, dict[str, Any]]] = {
    "usual": {"days": 70, "countries": ["IN", "BR", "NG", None], "senders": ["ACME", "Kiosk24"]},
    "nothing": {"days": 0},
    "one": {"days": 1},
    "long": {"days": 400, "countries": COUNTRIES, "senders": ["ACME", "Kiosk24"]},
    "hostile": {"days": 40, "countries": ["IN", *HOSTILE[:3]], "senders": HOSTILE},
}
CHARTS: Final = {"delivery_rate", "outcomes", "countries", "senders", "latency", "backlog", "failures", "changes"}
MARKS: Final = """
place => {
  const scale = {...Object.fromEntries(['x', 'y'].map(name => {
    try { return [name, place.view.scale(name)]; } catch { return [name, null]; }
  }))};
  return [...place.querySelectorAll('svg .points_marks path, svg .bars_marks path')].map(path => {
    const [, x, y] = /translate\\(([-\\d.]+),([-\\d.]+)\\)/.exec(path.getAttribute('transform') ?? '') ?? [];
    const invert = (name, at) => at && scale[name]?.invert ? Number(scale[name].invert(Number(at))) : null;
    return {
      says: path.getAttribute('aria-label'), x: invert('x', x), y: invert('y', y),
      fill: path.getAttribute('fill'), shape: path.getAttribute('d').includes('A') ? 'circle' : 'straight',
    };
  });
}
"""
"""Reads the marks of a chart off the SVG: what they say to a screen reader, and the values at which they stand."""


class World:
    """A published file and its page."""

    def __init__(self, folder: Path, **world: Any) -> None:
        self.duckdb = publication_by_hand(folder / "by-hand.duckdb", **world)
        self.page = write_page(settings=given_settings(folder, duckdb=self.duckdb, report=folder / "report.html"))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.duckdb, read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    return {name: World(tmp_path_factory.mktemp(name), **world) for name, world in WORLDS.items()}


@pytest.fixture(scope="module")
def usual(browser: Browser, worlds: dict[str, World]) -> Iterator[Page]:
    # A zone far from UTC would put days elsewhere, if the page took them for instants.
    with opened(browser, worlds["usual"].page, timezone_id="America/Los_Angeles") as shown:
        yield shown.page
        assert (shown.complaints, shown.requests) == ([], [])


def chart(page: Page, name: str) -> Locator:
    return page.locator(f"[data-chart={name}]")


def marks(page: Page, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = chart(page, name).evaluate(MARKS)
    return found


def table(page: Page, caption: str) -> list[list[str]]:
    """Read the rows of a table as a person would, headings of rows too."""
    rows = page.locator("table", has=page.locator("caption", has_text=re.compile(caption))).locator("tbody tr")
    read: list[list[str]] = rows.evaluate_all("rows => rows.map(row => [...row.cells].map(c => c.textContent.trim()))")
    return read


def test_days_stand_at_their_rates_and_open_ones_look_otherwise(usual: Page, worlds: dict[str, World]) -> None:
    days = worlds["usual"].ask("SELECT sent_date, delivery_rate, sent, is_mature FROM delivery_by_day ORDER BY ALL")
    found = marks(usual, "delivery_rate")
    assert [mark["says"] for mark in found] == [
        f"{day}: {rate:.2%} of {sent:,} delivered, {'mature' if mature else 'still open'}"
        for day, rate, sent, mature in days
    ]
    assert [mark["y"] for mark in found] == pytest.approx([rate for _, rate, _, _ in days])
    looks = {(mature, mark["shape"], mark["fill"]) for (*_, mature), mark in zip(days, found, strict=True)}
    assert looks == {(True, "circle", "var(--delivered)"), (False, "straight", "var(--card)")}


def test_a_day_is_the_same_day_in_every_zone(usual: Page, worlds: dict[str, World]) -> None:
    days = worlds["usual"].ask("SELECT epoch_ms(sent_date::TIMESTAMP) FROM delivery_by_day ORDER BY sent_date")
    noon = 12 * 3600 * 1000
    assert [mark["x"] for mark in marks(usual, "delivery_rate")] == pytest.approx([day + noon for (day,) in days])


def test_outcomes_are_the_counts_of_each_day(usual: Page, worlds: dict[str, World]) -> None:
    outcomes = worlds["usual"].ask("""
        FROM (UNPIVOT (SELECT sent_date, sent AS of, delivered, failed, outstanding FROM delivery_by_day)
              ON delivered, failed, outstanding INTO NAME outcome VALUE messages)
        SELECT sent_date, messages, of, outcome WHERE messages > 0
    """)
    assert {mark["says"] for mark in marks(usual, "outcomes")} == {
        f"{day}: {messages:,} of {sent:,} {outcome}" for day, messages, sent, outcome in outcomes
    }


@pytest.mark.parametrize(("name", "column"), [("countries", "country"), ("senders", "sender_id")])
def test_names_stand_at_their_rates_most_messages_first(
    name: str, column: str, usual: Page, worlds: dict[str, World]
) -> None:
    rows = worlds["usual"].ask(f"""
        SELECT coalesce({column}, 'not known'), delivery_rate, sent, is_mature
        FROM delivery_by_{column.removesuffix("_id")} WHERE days = 28 ORDER BY sent DESC
    """)
    found = marks(usual, name)
    assert [mark["says"] for mark in found] == [
        f"{label}: {rate:.2%} of {sent:,} delivered, {'mature' if mature else 'still open'}"
        for label, rate, sent, mature in rows
    ]
    assert [mark["x"] for mark in found] == pytest.approx([rate for _, rate, _, _ in rows])


def test_latency_stands_at_its_percentiles(usual: Page, worlds: dict[str, World]) -> None:
    percentiles = {"median": 50, "95 of 100 within": 95, "99 of 100 within": 99}
    found = marks(usual, "latency")
    for words, number in percentiles.items():
        days = worlds["usual"].ask(f"SELECT sent_date, latency_p{number}_seconds FROM delivery_by_day ORDER BY ALL")
        of_these = [mark for mark in found if f": {words} " in mark["says"]]
        assert [mark["says"].rpartition(",")[0] for mark in of_these] == [
            f"{day}: {words} {seconds:,.1f} s" for day, seconds in days
        ]
        assert [mark["y"] for mark in of_these] == pytest.approx([seconds for _, seconds in days])


def test_the_backlog_is_that_of_the_file(usual: Page, worlds: dict[str, World]) -> None:
    backlog = worlds["usual"].ask("SELECT age, messages, replace(delivery_status, '_', ' ') FROM backlog")
    assert len(backlog) > 4
    assert {mark["says"] for mark in marks(usual, "backlog")} == {f"{age}: {n:,} {state}" for age, n, state in backlog}
    assert sorted((age, state, f"{n:,}") for age, n, state in backlog) == sorted(
        (age, state, n) for age, state, n, _ in table(usual, "without a final answer")
    )


def test_failures_are_those_of_the_last_28_days(usual: Page, worlds: dict[str, World]) -> None:
    failures = worlds["usual"].ask("""
        SELECT coalesce(country, 'not known'), sender_id, sum(failed)::BIGINT, sum(sent)::BIGINT
        FROM delivery_rates_daily WHERE sent_date > DATE '2026-10-27' - 28
        GROUP BY ALL ORDER BY 3 DESC, 4
    """)
    assert [mark["says"] for mark in marks(usual, "failures")] == [
        f"{country} · \u2068{sender}\u2069: {failed:,} of {sent:,} failed" for country, sender, failed, sent in failures
    ]
    assert [row[2:4] for row in table(usual, "Failed messages by country")] == [
        [f"{failed:,}", f"{sent:,}"] for _, _, failed, sent in failures
    ]


def test_changes_are_against_the_same_weekday_of_four_weeks(usual: Page, worlds: dict[str, World]) -> None:
    rates = {
        (dimension, value, day): rate
        for dimension, value, day, rate in worlds["usual"].ask(
            "SELECT dimension, coalesce(value, 'not known'), sent_date, delivery_rate FROM delivery_rollups_daily "
            "WHERE is_mature AND sent >= 250"
        )
    }
    newest = max(day for _, _, day in rates)
    title_of = {"all": "all messages", "country": "country \u2068{}\u2069", "sender_id": "sender \u2068{}\u2069"}
    expected = {}
    for (dimension, value, day), rate in rates.items():
        if day == newest:
            weeks = [rates[dimension, value, day - timedelta(weeks=week)] for week in (1, 2, 3, 4)]
            expected[title_of[dimension].format(value)] = rate, sum(weeks) / 4
    found = marks(usual, "changes")
    assert {mark["says"] for mark in found} == {
        f"{label}: {rate:.2%} on {newest}, usually {usual_rate:.2%}" for label, (rate, usual_rate) in expected.items()
    }
    for row in table(usual, "Largest changes"):
        rate, usual_rate = expected[row[0]]
        assert row[-2:] == [f"{rate / usual_rate - 1:+.1%}", "4"]


def test_the_headline_is_of_mature_days_alone_and_says_as_of_when(usual: Page, worlds: dict[str, World]) -> None:
    ((sent, failed, days, rate, before),) = worlds["usual"].ask("""
        FROM (SELECT *, max(sent_date) OVER () - sent_date AS ago FROM delivery_by_day)
        SELECT sum(sent) FILTER (ago < 28), sum(failed) FILTER (ago < 28), count(*) FILTER (ago < 28 AND is_mature),
          sum(delivered) FILTER (ago < 28 AND is_mature) / sum(sent) FILTER (ago < 28 AND is_mature),
          sum(delivered) FILTER (ago BETWEEN 28 AND 55) / sum(sent) FILTER (ago BETWEEN 28 AND 55)
    """)
    figures = usual.locator(".figure").all_inner_texts()
    assert figures == [f"{rate:.1%}", f"{sent:,}", f"{failed:,}", "4"]
    assert (
        usual.locator(".card")
        .first.inner_text()
        .endswith(f"{days} mature of the last 28 days; {before:.1%} in the 28 before")
    )
    assert "2026-10-27 12:00 UTC" in usual.locator("header").inner_text()


def test_each_table_of_rates_says_what_the_file_says(usual: Page, worlds: dict[str, World]) -> None:
    columns = "sent, delivered, failed, outstanding, unknown, invalid_id, delivery_rate, delivery_rate_final"
    for caption, sql in (
        ("by day", f"SELECT sent_date::VARCHAR, {columns} FROM delivery_by_day ORDER BY ALL"),
        ("by country", f"SELECT country, {columns} FROM delivery_by_country WHERE days = 28 ORDER BY sent DESC"),
        ("by sender", f"SELECT sender_id, {columns} FROM delivery_by_sender WHERE days = 28 ORDER BY sent DESC"),
    ):
        assert [[row[0].partition(" still")[0], *row[1:]] for row in table(usual, f"^{caption}")] == [
            [label or "not known", *(f"{n:,}" for n in counts), f"{rate:.2%}", f"{final:.2%}"]
            for label, *counts, rate, final in worlds["usual"].ask(sql)
        ]


def test_the_reader_chooses_how_many_days_the_charts_show(browser: Browser, worlds: dict[str, World]) -> None:
    with opened(browser, worlds["usual"].page) as shown:
        for name, count in (("28 days", 28), ("all", 70)):
            shown.page.get_by_role("radio", name=name).check()
            shown.page.wait_for_function(
                "count => document.querySelectorAll('[data-chart=delivery_rate] .points_marks path').length === count",
                arg=count,
            )
        assert shown.complaints == []


def test_a_day_under_the_pointer_tells_its_numbers(browser: Browser, worlds: dict[str, World]) -> None:
    ((day, rate, sent),) = worlds["usual"].ask(
        "SELECT sent_date, delivery_rate, sent FROM delivery_by_day WHERE sent_date = DATE '2026-10-10'"
    )
    with opened(browser, worlds["usual"].page) as shown:
        point = shown.page.locator(f"[data-chart=delivery_rate] [aria-label^='{day}']")
        point.scroll_into_view_if_needed()
        box = point.bounding_box()
        assert box
        shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
        tooltip = shown.page.locator("#vg-tooltip-element.visible")
        tooltip.wait_for()
        assert f"day {day} delivery rate {rate:.2%}" in re.sub(r"\s+", " ", tooltip.inner_text())
        assert f"{sent:,}" in tooltip.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("name", list(WORLDS))
def test_every_world_fits_its_window_and_breaks_nothing(
    name: str, size: dict[str, int], scheme: str, browser: Browser, worlds: dict[str, World]
) -> None:
    with opened(browser, worlds[name].page, size=size, color_scheme=scheme) as shown:
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        for section in shown.page.locator("section").all():
            assert section.evaluate("section => section.scrollWidth <= section.clientWidth + 1"), section.inner_text()
        drawn = shown.page.locator("[data-chart]:has(svg)").evaluate_all("all => all.map(p => p.dataset.chart)")
        without = {"nothing": CHARTS, "one": {"changes"}}.get(name, set())
        assert set(drawn) == CHARTS - without
        assert (shown.complaints, shown.requests) == ([], [])


def test_two_hundred_countries_are_fifteen_dots_and_all_in_the_table(
    browser: Browser, worlds: dict[str, World]
) -> None:
    with opened(browser, worlds["long"].page) as shown:
        ((sent,),) = worlds["long"].ask("SELECT sum(sent)::BIGINT FROM delivery_by_country WHERE days = 28")
        found, rows = marks(shown.page, "countries"), table(shown.page, "^by country")
        assert len(found) == 15
        assert found[-1]["says"].startswith("186 others: ")
        assert sorted(row[0].partition(" still")[0] for row in rows) == COUNTRIES
        assert sum(int(row[1].replace(",", "")) for row in rows) == sent
        assert sum(int(re.findall(r"of ([\d,]+)", mark["says"])[0].replace(",", "")) for mark in found) == sent
        assert len(table(shown.page, "^by day")) == 400


def test_hostile_names_are_shown_as_text(browser: Browser, worlds: dict[str, World]) -> None:
    with opened(browser, worlds["hostile"].page) as shown:
        rows = shown.page.locator("table", has=shown.page.locator("caption", has_text=re.compile("^by sender")))
        names = rows.locator("tbody bdi").evaluate_all("all => all.map(name => name.textContent)")
        assert sorted(names) == sorted([*(name for name in HOSTILE if name), "not known (2)"])
        assert shown.page.locator("table script, table img, table svg, .chart img, .chart script").count() == 0
        labels = " ".join(mark["says"] for mark in marks(shown.page, "senders"))
        assert "<img src=x onerror=alert(1)>" in labels


def test_the_page_of_no_messages_says_so(browser: Browser, worlds: dict[str, World]) -> None:
    with opened(browser, worlds["nothing"].page) as shown:
        assert shown.page.get_by_text("No message yet.").count() == 5
        assert shown.page.locator(".figure").all_inner_texts() == ["-", "0", "0", "0"]


def test_without_scripts_every_number_is_still_there(browser: Browser, worlds: dict[str, World]) -> None:
    with opened(browser, worlds["usual"].page, java_script_enabled=False) as shown:
        shown.page.locator("details").first.locator("summary").click()
        assert shown.page.locator("details").first.locator("tbody tr").count() == 70
        assert shown.complaints == []


def test_charts_have_a_name_for_those_who_hear_the_page(usual: Page) -> None:
    for name in CHARTS:
        heard = usual.locator(f"[data-chart={name}][role=graphics-document][aria-label]")
        assert heard.count() == 1, name
    assert usual.locator("html").get_attribute("lang") == "en"
    assert usual.locator("h1").count() == 1
