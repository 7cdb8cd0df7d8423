"""What the command line prints beside results: summaries of commands, warnings."""

from __future__ import annotations

import logging
from typing import Final

import click
import pytest
from click.testing import CliRunner

from assets.cli.main import exit_status, main

ECHOED: Final = logging.getLogger("pipeline.follow")


def test_no_summary_of_a_command_is_cut() -> None:
    text = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    summaries = text.split("Commands:\n")[1].splitlines()
    assert all(line.endswith(".") and not line.endswith("...") for line in summaries)


@pytest.fixture
def warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that logs 14 equal warnings, as requests that are all refused do."""

    @click.command
    def warns() -> None:
        with exit_status():
            for number in range(14):
                ECHOED.warning("call %032x of app a, %d ids: refused: no", number, 200 - number)

    monkeypatch.setitem(main.commands, "warns", warns)


@pytest.mark.usefixtures("warns")
def test_equal_warnings_are_printed_once_with_their_count() -> None:
    lines = CliRunner().invoke(main, ["warns"]).stderr.splitlines()
    assert lines == [f"call {0:032x} of app a, 200 ids: refused: no", "14 times: app a: refused: no"]


@pytest.mark.usefixtures("warns")
def test_a_command_prints_no_warning_that_was_logged_between_two_commands() -> None:
    first = CliRunner().invoke(main, ["warns"]).stderr
    for _ in range(2):
        ECHOED.warning("another program's")
    assert CliRunner().invoke(main, ["warns"]).stderr == first
