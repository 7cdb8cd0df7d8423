"""The page in a real Chromium: its words and figures say what DuckDB says, one click filters everything, and nothing
is asked of elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from playwright.sync_api import Browser, Page

from pipeline.model.settings import given_settings
from pipeline.publish.page.names import country_names
from pipeline.publish.page.writing import write_page
from tests.support.browser import PHONE, opened
from tests.support.publications import HOSTILE, publication_by_hand
from tests.support.readme import published_world
from tests.support.screenshots import DAYS, MESSAGES, NOW

pytestmark = pytest.mark.slow

COUNTRIES: Final = [a + b for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJKLMNOPQRST"]
WORLDS: Final[dict[str, dict[str, Any]]] = {
    "usual": {"days": 70, "countries": ["IN", "BR", "NG", None], "senders": ["ACME", "Kiosk24"]},
    "nothing": {"days": 0},
    "three": {"days": 3},
    "long": {"days": 400, "countries": COUNTRIES, "senders": ["ACME", "Kiosk24"]},
    "senders": {"days": 30, "countries": ["IN", "BR"], "senders": [f"S{n:04}" for n in range(2000)]},
    "hostile": {"days": 40, "countries": ["IN", *HOSTILE[:3]], "senders": HOSTILE},
}
TABLE: Final = """
caption => {
  const found = [...document.querySelectorAll('table')].filter(t => t.caption && t.caption.textContent === caption);
  return found.map(t => [...t.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.innerText.trim())))[0];
}
"""
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
WIDE: Final = {"width": 1440, "height": 1000}


class World:
    """A published file and its page."""

    def __init__(self, folder: Path, published: Path) -> None:
        self.duckdb = published
        self.page = write_page(settings=given_settings(folder, duckdb=published, report=folder / "report.html"))

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.duckdb, read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("demo")
    # Before the browser starts: the API client calls asyncio.run.
    return World(folder, published_world(folder, messages=MESSAGES, days=DAYS, now=NOW))


@pytest.fixture(scope="module")
def worlds(demo: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    found = {"demo": demo}
    for name, world in WORLDS.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = World(folder, publication_by_hand(folder / "by-hand.duckdb", **world))
    return found


@pytest.fixture(scope="module")
def usual(worlds: dict[str, World], browser: Browser) -> Iterator[Page]:
    # A zone far from UTC would put days elsewhere, if the page took them for instants.
    with opened(browser, worlds["usual"].page, timezone_id="America/Los_Angeles") as shown:
        yield shown.page
        assert (shown.complaints, shown.requests) == ([], [])


@pytest.fixture
def demo_page(demo: World, browser: Browser) -> Iterator[Page]:
    with opened(browser, demo.page, size=WIDE) as shown:
        yield shown.page
        assert (shown.complaints, shown.requests) == ([], [])


def table(page: Page, caption: str) -> list[list[str]]:
    """Read the rows of a table as a person would, headings of rows too."""
    rows: list[list[str]] = page.evaluate(TABLE, caption)
    return rows


def go(page: Page, address: str) -> None:
    page.evaluate("address => { location.hash = address; }", address)
    page.wait_for_function("address => location.hash.slice(1) === address", arg=address)
    page.wait_for_timeout(50)


def mature_days(world: World, first: int, last: int) -> str:
    """Return the mature days of these ranks, 0 the newest, as a condition."""
    days = world.ask("SELECT sent_date::VARCHAR FROM delivery_by_day WHERE is_mature ORDER BY sent_date DESC")
    chosen = [f"'{day}'" for (day,) in days[first:last]]
    return f"sent_date::VARCHAR IN ({', '.join(chosen)})"


def percent(rate: float | None, digits: int = 1) -> str:
    """Write a rate as the page does: halves are rounded up."""
    return DASH if rate is None else f"{rounded(100 * rate, digits)}%"


def rounded(number: float, digits: int) -> Decimal:
    return Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def points(now: float, before: float) -> str:
    change = 100 * (now - before)
    return f"{MINUS if change < 0 else '+'}{rounded(abs(change), 1)}"


def test_the_first_sentences_name_the_incidents_of_the_demo(demo: World, demo_page: Page) -> None:
    """A route to Brazil failed 8 and 7 days before the last one, and the evening 5 days before it was slow."""
    fails = [(NOW - timedelta(days=days)).date() for days in (8, 7)]
    slow = (NOW - timedelta(days=5)).date()
    ((sent, rate),) = demo.ask(
        f"SELECT sum(sent), sum(delivered) / sum(sent) FROM delivery_rollups_daily WHERE dimension = 'country' "
        f"AND value = 'BR' AND sent_date BETWEEN '{fails[0]}' AND '{fails[1]}'"
    )
    ((timed, late),) = demo.ask(
        f"SELECT count(*), count(*) FILTER (latency_seconds > 300) / count(*) FROM messages "
        f"WHERE delivery_status = 'delivered' AND sent_date = '{slow}' AND hour(sent_at) BETWEEN 18 AND 21"
    )
    first, second = (text.replace("\u2068", "").replace("\u2069", "") for text in sentences(demo_page))
    assert re.match(
        rf"Brazil was \d\d points lower on {fails[0]:%A} {fails[0].day} and {fails[1]:%A %-d %B}: "
        rf"{rate:.0%} of {sent} messages arrived, usually 9\d%; about \d\d fewer than usual, with all senders alike\.",
        first,
    ), first
    assert second.startswith(
        f"Messages were slow on the evening of {slow:%A %-d %B}, 18:00 to 22:00: {late:.0%} of {timed} took longer "
        "than 5 minutes, usually "
    ), second


def sentences(page: Page) -> list[str]:
    found: list[str] = page.locator("#sentences li").all_inner_texts()
    return found


def test_without_an_incident_the_page_says_that_nothing_changed(usual: Page) -> None:
    assert sentences(usual) == ["Nothing changed beyond chance in these 28 complete days: no country and no sender."]


def test_tiles_are_of_mature_days_and_compare_with_as_many_before(worlds: dict[str, World], usual: Page) -> None:
    world = worlds["usual"]
    (now, before) = (
        world.ask(
            f"SELECT sum(sent), sum(delivered), sum(failed) FROM delivery_by_day WHERE {mature_days(world, *of)}"
        )[0]
        for of in ((0, 28), (28, 56))
    )
    tiles = [re.sub(r"\s+", " ", text) for text in usual.locator(".tile").all_inner_texts()]
    change, usually = points(now[1] / now[0], before[1] / before[0]), percent(before[1] / before[0])
    assert re.fullmatch(
        rf"Delivery rate {percent(now[1] / now[0])} ([▼▲] )?{re.escape(change)} points; {usually} in the 28 days "
        "before",
        tiles[0],
    ), tiles[0]
    assert tiles[1].startswith(f"Sent {now[0]:,} {100 * (now[0] / before[0] - 1):+.0f}%".replace("-", MINUS))
    assert tiles[2] == f"Failed {now[2]:,} {percent(now[2] / now[0])} of sent, {percent(before[2] / before[0])} before"


@pytest.mark.parametrize(("key", "span"), [("country", 7), ("country", 28), ("sender_id", 28), ("country", "all")])
def test_rows_say_what_the_views_say(key: str, span: int | str, worlds: dict[str, World], usual: Page) -> None:
    world, word = worlds["usual"], key.removesuffix("_id")
    go(usual, f"span={span}")
    days = 10**4 if span == "all" else int(span)
    expected = world.ask(f"""
        WITH counted AS (
          SELECT value, sum(sent) FILTER ({mature_days(world, 0, days)}) AS sent,
            sum(delivered) FILTER ({mature_days(world, 0, days)}) AS delivered,
            sum(sent) FILTER ({mature_days(world, days, 2 * days) if days < 60 else "false"}) AS sent_before,
            sum(delivered) FILTER ({mature_days(world, days, 2 * days) if days < 60 else "false"}) AS before
          FROM delivery_rollups_daily WHERE dimension = '{key}' GROUP BY value
        ), wilson AS (
          SELECT *, delivered / sent AS p, 1.959964 AS z FROM counted
        )
        SELECT value, sent::BIGINT, p,
          (p + z*z/(2*sent) - z*sqrt(p*(1-p)/sent + z*z/(4*sent*sent))) / (1 + z*z/sent),
          (p + z*z/(2*sent) + z*sqrt(p*(1-p)/sent + z*z/(4*sent*sent))) / (1 + z*z/sent),
          before / sent_before
        FROM wilson ORDER BY sent DESC
    """)
    rows = table(usual, f"by {word}")
    names = [country_names().get(value, value or "not known") if key == "country" else value for value, *_ in expected]
    assert [row[0] for row in rows] == names
    for row, (_, sent, rate, low, high, before) in zip(rows, expected, strict=True):
        assert row[1] == f"{sent:,}"
        assert re.sub(r"\s", "", row[2]) == f"{percent(rate)}{rounded(100 * low, 0)}{DASH}{percent(high, 0)}"
        assert row[3].lstrip("▼▲ ") == (DASH if before is None else points(rate, before))


def test_a_change_is_coloured_only_where_it_is_beyond_chance(usual: Page) -> None:
    go(usual, "span=28")
    for look, signs in ((".worse", f"▼ {MINUS}"), (".better", "▲ +"), (".chance", "")):
        for text in usual.locator(f"[data-rows] {look}").all_inner_texts():
            assert text.startswith(signs) if signs else text[0] in f"+{MINUS}{DASH}"


def test_the_table_of_days_says_what_the_file_says(worlds: dict[str, World], usual: Page) -> None:
    go(usual, "span=all")
    usual.locator("#days summary").click()
    days = worlds["usual"].ask(
        "SELECT sent_date, sent, delivered, delivery_rate, is_mature FROM delivery_by_day ORDER BY sent_date"
    )
    assert table(usual, "by day") == [
        [f"{day}{'' if is_mature else ' not complete'}", f"{sent:,}", f"{delivered:,}", percent(rate, 2)]
        for day, sent, delivered, rate, is_mature in days
    ]
    hits = usual.locator("#chart .hit title").all_text_contents()
    assert [text.rpartition(": ")[2].partition(" of ")[0] for text in hits] == [percent(day[3], 2) for day in days]


def test_one_click_on_a_row_filters_everything_and_the_way_back_is_one_too(demo: World, demo_page: Page) -> None:
    whole = table(demo_page, "by sender")
    demo_page.get_by_role("button", name="Brazil", exact=True).click()
    demo_page.locator("#back").wait_for()
    assert "by=country&is=BR" in demo_page.url
    assert [row[0] for row in table(demo_page, "by country")] == ["Brazil"]
    expected = demo.ask(f"""
        SELECT sender_id, sum(sent)::BIGINT AS sent, sum(delivered) / sum(sent), sum(failed)::BIGINT
        FROM delivery_rates_daily WHERE country = 'BR' AND {mature_days(demo, 0, 7)} GROUP BY ALL
    """)
    senders = {row[0]: row for row in table(demo_page, "by sender")}
    assert {(name, f"{sent:,}", percent(rate)) for name, sent, rate, _ in expected} == {
        (name, row[1], re.split(r"\s", row[2])[0]) for name, row in senders.items()
    }
    campaigns = demo.ask(f"""
        SELECT labels['campaign'], count(*) FROM messages
        WHERE country = 'BR' AND {mature_days(demo, 0, 7)} GROUP BY ALL
    """)
    assert {(row[0], row[1]) for row in table(demo_page, "by campaign")} == {(n, f"{c:,}") for n, c in campaigns}
    ((sent, failed),) = demo.ask(
        f"SELECT sum(sent), sum(failed) FROM delivery_rates_daily WHERE country = 'BR' AND {mature_days(demo, 0, 7)}"
    )
    figures = demo_page.locator(".figure").all_inner_texts()
    assert figures[1:3] == [f"{sent:,}", f"{failed:,}"]
    assert {(row[0], row[1]) for row in table(demo_page, "failed messages")} == {
        (name, f"{count:,}") for name, *_, count in expected if count
    }
    assert all("Brazil" in sentence for sentence in sentences(demo_page))
    demo_page.locator("#back").click()
    demo_page.locator("#chosen").wait_for(state="hidden")
    assert table(demo_page, "by sender") == whole
    demo_page.go_back()
    demo_page.locator("#back").wait_for()
    demo_page.keyboard.press("Escape")
    demo_page.locator("#chosen").wait_for(state="hidden")


def test_every_row_of_every_dimension_filters_without_a_fault(demo_page: Page) -> None:
    for key in ("country", "sender_id", "app_id", "label:campaign"):
        count = demo_page.locator(f"[data-rows='{key}'] tbody tr").count()
        for row in range(min(count, 3)):
            demo_page.locator(f"[data-rows='{key}'] tbody button").nth(row).click()
            demo_page.locator("#back").wait_for()
            assert demo_page.locator(f"[data-rows='{key}'] tbody tr").count() == 1
            demo_page.keyboard.press("Escape")
            demo_page.locator("#chosen").wait_for(state="hidden")


def test_the_address_keeps_span_and_row(demo: World, browser: Browser) -> None:
    with opened(browser, demo.page) as shown:
        shown.page.goto(f"{demo.page.resolve().as_uri()}#span=28&by=sender_id&is=ACME")
        shown.page.locator("#back").wait_for()
        assert shown.page.locator("#spans input:checked + span").inner_text() == "28 days"
        assert shown.page.locator("#back").inner_text().startswith("sender: ACME")
        go(shown.page, "span=nonsense&by=elsewhere&is=%00")
        assert shown.page.locator("#chosen").is_hidden()
        assert shown.complaints == []


def test_the_keyboard_reaches_spans_and_rows(demo_page: Page) -> None:
    demo_page.locator("#spans input:checked").focus()
    demo_page.keyboard.press("ArrowRight")
    demo_page.wait_for_function("() => location.hash === '#span=28'")
    assert demo_page.evaluate("document.activeElement.id") == "span-1"
    demo_page.locator("#row-country-1").focus()
    demo_page.keyboard.press("Enter")
    demo_page.locator("#back").wait_for()
    assert demo_page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


@pytest.mark.parametrize(
    ("address", "condition"),
    [
        ("span=7", "true"),
        ("span=28&by=country&is=BR", "country = 'BR'"),
        ("span=28&by=label%3Acampaign&is=login+code", "labels['campaign'] = 'login code'"),
    ],
    ids=["everything", "country", "label"],
)
def test_hours_speed_and_spend_are_those_of_the_file(
    address: str, condition: str, demo: World, demo_page: Page
) -> None:
    go(demo_page, address)
    days = f"{mature_days(demo, 0, 7 if address == 'span=7' else 28)} AND {condition}"
    cells = {
        (weekday, hour): (sent, delivered / sent)
        for weekday, hour, sent, delivered in demo.ask(
            "SELECT isodow(sent_date), hour(sent_at), count(*), count(*) FILTER (delivery_status = 'delivered') "
            f"FROM messages WHERE {days} GROUP BY ALL"
        )
    }
    rows = table(demo_page, "delivery rate by weekday and hour of sending")
    for weekday, row in enumerate(rows, 1):
        for hour, text in enumerate(row[1:]):
            assert text == (percent(cells[weekday, hour][1], 0) if (weekday, hour) in cells else DASH)
    ((timed, *within),) = demo.ask(
        "SELECT count(*), count(*) FILTER (latency_seconds <= 5), count(*) FILTER (latency_seconds <= 30), "
        f"count(*) FILTER (latency_seconds <= 300) FROM messages WHERE delivery_status = 'delivered' AND {days}"
    )
    assert [row[1] for row in table(demo_page, "how fast")] == [percent(count / timed) for count in within]
    ((currency, pay, lost),) = demo.ask(
        "SELECT currency, sum(pay)::DOUBLE, sum(pay) FILTER (delivery_status = 'failed')::DOUBLE FROM messages "
        f"WHERE pay IS NOT NULL AND {days} GROUP BY ALL"
    )
    ((word, paid, _, failed, share, _),) = table(demo_page, "spend")
    assert (word, paid, failed, share) == (currency, f"{pay:,.2f}", f"{lost:,.2f}", percent(lost / pay))


def test_failures_and_states_are_those_of_the_file(demo: World, demo_page: Page) -> None:
    days = mature_days(demo, 0, 7)
    failures = demo.ask(f"""
        SELECT country, sender_id, sum(failed)::BIGINT, sum(failed) / sum(sent) FROM delivery_rates_daily
        WHERE {days} GROUP BY ALL ORDER BY 3 DESC LIMIT 10
    """)
    shown = table(demo_page, "failed messages")
    assert [row[1] for row in shown] == [str(count) for *_, count, _ in failures]
    known = {
        (f"{country_names()[country]} · {sender}", str(count), percent(share))
        for country, sender, count, share in demo.ask(f"""
            SELECT country, sender_id, sum(failed)::BIGINT, sum(failed) / sum(sent) FROM delivery_rates_daily
            WHERE {days} GROUP BY ALL
        """)
    }
    assert {tuple(row[:3]) for row in shown} <= known
    words = {"unknown": "no answer", "sending": "under way"}
    states = dict(demo.ask(f"SELECT delivery_status, count(*) FROM messages WHERE {days} GROUP BY ALL"))
    found = {row[0]: row[1] for row in table(demo_page, "states")}
    assert {words.get(state, state): f"{count:,}" for state, count in states.items()}.items() <= found.items()
    assert "2 records of sent logs that can't be used" in demo_page.locator("main").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
@pytest.mark.parametrize("name", ["demo", *WORLDS])
def test_every_world_fits_its_window_and_breaks_nothing(
    name: str, size: dict[str, int], scheme: str, worlds: dict[str, World], browser: Browser
) -> None:
    with opened(browser, worlds[name].page, size=size, color_scheme=scheme) as shown:
        for address in ("", *(f"span={span}" for span in (7, "all"))):
            go(shown.page, address)
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            for section in shown.page.locator("section, .tile").all():
                assert section.evaluate("one => one.scrollWidth <= one.clientWidth + 1"), section.inner_text()
        row = shown.page.locator("[data-rows] tbody button").first
        if row.count():
            row.click()
            shown.page.locator("#back").wait_for()
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert (shown.complaints, shown.requests) == ([], [])


def test_two_hundred_countries_can_all_be_seen_and_two_thousand_senders_are_summed(
    worlds: dict[str, World], browser: Browser
) -> None:
    with opened(browser, worlds["long"].page) as shown:
        shown.page.locator("#more-country").click()
        rows = table(shown.page, "by country")
        assert sorted(row[0] for row in rows) == sorted(country_names().get(code, code) for code in COUNTRIES)
        ((sent,),) = worlds["long"].ask(
            f"SELECT sum(sent) FROM delivery_by_day WHERE {mature_days(worlds['long'], 0, 28)}"
        )
        assert sum(int(row[1].replace(",", "")) for row in rows) == sent
    with opened(browser, worlds["senders"].page) as shown:
        rows = table(shown.page, "by sender")
        assert rows[-1][0] == "1,880 others"
        ((sent,),) = worlds["senders"].ask(
            f"SELECT sum(sent) FROM delivery_by_day WHERE {mature_days(worlds['senders'], 0, 7)}"
        )
        assert sum(int(row[1].replace(",", "")) for row in rows) == sent


def test_hostile_names_are_shown_as_text_and_can_be_chosen(worlds: dict[str, World], browser: Browser) -> None:
    with opened(browser, worlds["hostile"].page) as shown:
        shown.page.locator("#more-sender_id").click()
        names = shown.page.locator("[data-rows=sender_id] tbody bdi").evaluate_all(
            "all => all.map(name => name.title || name.textContent)"
        )
        assert sorted(names) == sorted([*(name for name in HOSTILE if name), "no sender"])
        assert shown.page.locator("table script, table img, #sentences img, #chart script").count() == 0
        for number in range(len(HOSTILE)):
            shown.page.locator("[data-rows=sender_id] tbody button").nth(number).click()
            shown.page.locator("#back").wait_for()
            shown.page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
            assert shown.page.locator("[data-rows=sender_id] tbody tr").count() == 1
            shown.page.keyboard.press("Escape")
            shown.page.locator("#chosen").wait_for(state="hidden")
        assert (shown.complaints, shown.requests) == ([], [])


def test_the_page_of_no_messages_says_so(worlds: dict[str, World], browser: Browser) -> None:
    with opened(browser, worlds["nothing"].page) as shown:
        assert shown.page.get_by_text("No message yet.").count() == 1
        assert shown.page.locator(".tile").count() == 0


def test_three_days_that_are_open_are_shown_as_such(worlds: dict[str, World], browser: Browser) -> None:
    with opened(browser, worlds["three"].page) as shown:
        assert sentences(shown.page) == ["No day is complete yet: every figure below may still rise."]
        assert shown.page.locator("#chart .dot.is-open").count() == 3


def test_without_scripts_words_and_rows_are_still_there(demo: World, browser: Browser) -> None:
    with opened(browser, demo.page, java_script_enabled=False) as shown:
        assert sentences(shown.page)[0].startswith("\u2068Brazil\u2069 was ")
        assert shown.page.locator("noscript tbody tr, main tbody tr").count() > 20
        assert shown.complaints == []


def test_all_rows_are_printed(worlds: dict[str, World], browser: Browser) -> None:
    with opened(browser, worlds["long"].page) as shown:
        shown.page.emulate_media(media="print")
        rows = shown.page.locator("[data-rows=country] tbody tr")
        assert all(row.is_visible() for row in (rows.nth(0), rows.nth(199)))
        assert shown.page.locator("#more-country").is_hidden()


def test_those_who_hear_the_page_get_names_and_captions(demo_page: Page) -> None:
    assert demo_page.locator("html").get_attribute("lang") == "en"
    assert demo_page.locator("h1").count() == 1
    assert demo_page.locator("#chart svg[role=img][aria-label]").count() == 1
    assert demo_page.locator("table").count() == demo_page.locator("table > caption").count()
    assert demo_page.locator("#story").get_attribute("aria-live") == "polite"
    assert demo_page.locator("svg.spark:not([aria-hidden])").count() == 0
