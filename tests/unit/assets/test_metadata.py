"""The chart of delivery rates in Dagster's metadata."""

from __future__ import annotations

import re
from datetime import date, timedelta
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from assets.metadata import CHART_DAYS, chart_svg, rate_chart
from pipeline.derive.days import DayFigures

Bar = tuple[float, float, float]
START = date(2026, 1, 1)


def bars_of(svg: str) -> list[tuple[str, list[Bar]]]:
    """Return colour and bars (left, foot, height) of each drawn path."""
    paths = [p for p in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path") if "stroke-width" in p.attrib]  # noqa: S314 - ours
    found = []
    for path in paths:
        strokes = re.findall(r"M(\d+) (\d+)v-(\d+)", path.attrib["d"])
        found.append((path.attrib["stroke"], [(float(a), float(b), float(c)) for a, b, c in strokes]))
    return found


def days(count: int) -> list[DayFigures]:
    return [
        DayFigures(START + timedelta(days=n), 9, 8, 1, 0, 0, 0, 0.889, 30.0, is_mature=n % 2 == 0) for n in range(count)
    ]


def test_each_day_with_a_rate_has_a_bar_as_high_as_its_rate() -> None:
    ((_, (whole, half)),) = bars_of(chart_svg([(1.0, True), (None, True), (0.5, True)]))
    assert whole[2] == 2 * half[2]
    assert whole[1] == half[1]
    (_, ((first, *_), (second, *_))) = bars_of(chart_svg([(1.0, True), (1.0, True)]))[0]
    assert half[0] - whole[0] == 2 * (second - first)


def test_days_that_are_not_mature_have_another_colour() -> None:
    (mature, (_,)), (young, (_,)) = bars_of(chart_svg([(0.9, True), (0.9, False)]))
    assert mature != young


def test_rates_outside_0_to_1_are_drawn_inside_the_chart() -> None:
    ((_, (high, low)),) = bars_of(chart_svg([(1.7, True), (-0.2, True)]))
    assert high[1] - high[2] > 0
    assert low[2] == 0


def test_no_day_is_a_chart_without_bars() -> None:
    assert bars_of(chart_svg([])) == []
    assert rate_chart([]).md_str == "no message yet"


def test_of_many_days_the_last_are_drawn() -> None:
    shown = rate_chart(days(100)).md_str or ""
    assert unquote(shown).count("v-") == CHART_DAYS
    assert str(START + timedelta(days=99)) in shown


def test_the_chart_stays_below_the_length_from_which_dagster_hides_it() -> None:
    assert len(rate_chart(days(100)).md_str or "") < 1000
