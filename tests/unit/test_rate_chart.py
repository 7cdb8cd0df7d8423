from __future__ import annotations

from xml.etree import ElementTree as ET

from pipeline.rate_chart import HEIGHT, rate_chart

NAMESPACE = "{http://www.w3.org/2000/svg}"


def bars_of(svg: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(f"{NAMESPACE}rect"))  # noqa: S314 - our own text


def test_each_day_with_a_rate_is_a_bar_as_high_as_its_rate() -> None:
    whole, half = bars_of(rate_chart([("11-01", 1.0, True), ("11-02", None, True), ("11-03", 0.5, True)]))
    assert float(whole.attrib["height"]) == 2 * float(half.attrib["height"])
    assert float(half.attrib["x"]) > float(whole.attrib["x"]) + 2 * float(whole.attrib["width"])


def test_young_days_are_paler_and_every_bar_says_its_day_and_rate() -> None:
    mature, young = bars_of(rate_chart([("11-01", 0.934, True), ("11-02", 0.9, False)]))
    assert mature.attrib["fill"] != young.attrib["fill"]
    assert mature[0].text == "11-01: 93.4%"


def test_nothing_is_drawn_outside_the_picture_and_text_is_escaped() -> None:
    (bar,) = bars_of(rate_chart([("<b>", 1.7, True)]))
    assert 0 <= float(bar.attrib["y"]) <= HEIGHT
    assert bar[0].text is not None
    assert bar[0].text.startswith("<b>")


def test_no_day_is_a_picture_without_bars_and_many_days_have_fewer_labels_than_bars() -> None:
    assert bars_of(rate_chart([])) == []
    many = rate_chart([(str(day), 0.5, True) for day in range(400)])
    assert len(bars_of(many)) == 400
    assert many.count("<text") < 100
