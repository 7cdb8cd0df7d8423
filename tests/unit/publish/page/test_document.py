"""Formats, axes, colours and the library that draws: what of the page needs no database and no browser."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from typing import Any

import altair as alt
import pytest

from pipeline.publish.page.document import VEGA, _floor, _json_for_script, duration, percent

PAGE = files("pipeline.publish.page")
CHARTS = sorted(path.name for path in PAGE.joinpath("charts").iterdir() if path.name != "config.json")
OF_NPM = {
    "vega-6.4.0": "8f6a3587cf8d4f42c7e08120e3eb05d067e746d554e39d2dcf52acc0bd5ba28f",
    "vega-lite-6.4.1": "6d5035fdd429b4bc6f91f3754426c3f516f3dbd8e08b105cfc2496bed4ebd254",
    "vega-embed-7.3.0": "b1455caba2fb1a72fb46025ba0ba1316e2dbc7f0dd40a3f6040172bf9c08ba91",
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_vega_lite_as_altair_knows_it(name: str) -> None:
    alt.Chart.from_dict(json.loads(PAGE.joinpath("charts", name).read_text("utf-8")))


def test_the_charts_are_of_the_version_of_vega_lite_that_altair_checks() -> None:
    assert f"vega-lite-{alt.VEGALITE_VERSION}" in VEGA


@pytest.mark.parametrize("name", VEGA)
def test_the_library_is_what_npm_has_and_ends_no_script_element(name: str) -> None:
    content = PAGE.joinpath("vega", f"{name}.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == OF_NPM[name]
    assert not re.search(rb"</script|<!--", content, re.IGNORECASE)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (-2.5, "-2.5 s"),
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1.0 min"),
        (5400, "1.5 h"),
        (864000, "10.0 d"),
    ],
)
def test_a_duration_is_said_in_the_largest_unit_of_which_there_is_one(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_a_rate_that_is_not_there_is_a_dash_and_zero_is_not() -> None:
    assert (percent(None), percent(0.0), percent(0.93456, 2)) == ("-", "0.0%", "93.46%")


@pytest.mark.parametrize("least", [0.0, 0.04, 0.5, 0.85, 0.9, 0.999, 1.0])
def test_an_axis_of_rates_begins_below_its_least_and_below_one(least: float) -> None:
    floor = _floor([{"rate": least}, {"rate": None}, {"rate": 1.0}], "rate")
    assert 0 <= floor < 1
    assert floor < least or least == 0


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "a\u2028b\u2029c", "]]>", "&lt;"])
def test_json_in_a_script_element_can_not_leave_it_and_says_the_same(text: str) -> None:
    written = str(_json_for_script({"name": text}))
    assert not re.search(r"[<>&\u2028\u2029]", written)
    assert json.loads(written) == {"name": text}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, two: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(two)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_stand_out_as_wcag_asks(scheme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", PAGE.joinpath("style.css").read_text("utf-8"), re.DOTALL)[scheme]
    colours: dict[str, Any] = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", block))
    for name in ("ink", "soft"):
        assert contrast(colours[name], colours["card"]) >= 4.5, name
        assert contrast(colours[name], colours["page"]) >= 4.5, name
    for name in ("delivered", "failed", "outstanding", "unknown", "invalid", "final"):
        assert contrast(colours[name], colours["card"]) >= 3, name
