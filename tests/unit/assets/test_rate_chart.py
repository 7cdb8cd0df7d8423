from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from assets.rate_chart import DAYS, rate_chart

Bar = tuple[float, float, float]


def bars_of(svg: str) -> list[tuple[str, list[Bar]]]:
    """Return colour and bars (left, foot, height) of each kind that is drawn."""
    paths = [p for p in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path") if "stroke-width" in p.attrib]  # noqa: S314 - ours
    found = []
    for path in paths:
        strokes = re.findall(r"M(\d+) (\d+)v-(\d+)", path.attrib["d"])
        found.append((path.attrib["stroke"], [(float(a), float(b), float(c)) for a, b, c in strokes]))
    return found


def test_each_day_with_a_rate_is_a_bar_as_high_as_its_rate() -> None:
    ((_, (whole, half)),) = bars_of(rate_chart([(1.0, True), (None, True), (0.5, True)]))
    assert whole[2] == 2 * half[2]
    assert whole[1] == half[1]
    (_, ((first, *_), (second, *_))) = bars_of(rate_chart([(1.0, True), (1.0, True)]))[0]
    assert half[0] - whole[0] == 2 * (second - first)


def test_young_days_have_another_colour() -> None:
    (mature, (_,)), (young, (_,)) = bars_of(rate_chart([(0.9, True), (0.9, False)]))
    assert mature != young


def test_nothing_is_drawn_outside_the_picture() -> None:
    svg = rate_chart([(1.7, True), (-0.2, True)])
    ((_, (high, low)),) = bars_of(svg)
    assert high[1] - high[2] > 0
    assert low[2] == 0


def test_no_day_is_a_picture_without_bars_and_of_many_the_last_are_drawn() -> None:
    assert bars_of(rate_chart([])) == []
    ((_, bars),) = bars_of(rate_chart([(0.1, True)] * 50 + [(0.5, True)] * DAYS))
    assert len(bars) == DAYS
    assert len({height for _, _, height in bars}) == 1
