"""Text from elsewhere is shown, not acted on."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.model.printable import for_markdown, for_slack, printable, printable_lines


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()
    assert for_slack(text).replace("\N{WORD JOINER}", "").isprintable()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_text_that_does_nothing_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;gone\x07", r"\x1b[2J\x1b]0;gone\x07"),
        ("line\nof its own\r", r"line\nof its own\r"),
        ("abc\u202efdp.exe", r"abc\u202efdp.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\x9b31m", r"\x9b31m"),
        ("\ud800", r"\ud800"),
        ("two\u2028lines", r"two\u2028lines"),
        ("Ünïcode 漢字", "Ünïcode 漢字"),
    ],
)
def test_what_a_terminal_acts_on_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_of_our_own_stay_lines() -> None:
    assert printable_lines("one\ntw\x1bo") == "one\ntw\\x1bo"


@pytest.mark.parametrize("text", ["<!channel>", "<!here|x>", "<@U123>", "<https://evil|click>", "@all", "@Everyone"])
def test_nobody_is_called_in_a_chat(text: str) -> None:
    shown = for_slack(text)

    assert "<" not in shown
    assert "@all" not in shown
    assert "@everyone" not in shown.lower()


@given(st.text(st.characters(codec="ascii") | st.sampled_from("[]()!<>|`*_~#&:/")))
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    page = MarkdownIt("gfm-like", {"html": True, "linkify": False}).renderInline(for_markdown(text))

    assert html.unescape(page).strip() == printable(text).strip()
    assert "<" not in page
