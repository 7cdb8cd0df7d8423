"""Formats, escapes and colours: what of the page needs no database and no browser."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest

from pipeline.publish.page.document import _json_for_script, _script, percent

PAGE = files("pipeline.publish.page")


def test_a_rate_that_is_not_there_is_a_dash_and_zero_is_not() -> None:
    assert (percent(None), percent(0.0), percent(0.93456, 2)) == ("-", "0.0%", "93.46%")


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
    for name in ("delivered", "failed", "better"):
        assert contrast(colours[name], colours["card"]) >= 4.5, name


def test_the_script_is_plain_and_ends_no_script_element() -> None:
    script = _script()
    assert not re.search(
        r"</script|<!--|innerHTML|insertAdjacentHTML|eval\(|fetch\(|https?://(?!www.w3.org/2000/svg)", script
    )
