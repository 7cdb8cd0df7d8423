"""What the command line prints beside results: summaries of commands, warnings."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner

from assets.cli.main import main


def test_no_summary_of_a_command_is_cut() -> None:
    text = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    summaries = text.split("Commands:\n")[1].splitlines()
    assert all(line.endswith(".") and not line.endswith("...") for line in summaries)


def test_equal_warnings_are_printed_once_with_their_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMS_LAKE", "s3://warn")
    from assets.cli import main as module  # noqa: PLC0415 - its handler

    runner, echoed = CliRunner(), logging.getLogger("pipeline.follow")
    runner.invoke(main, ["status"])  # adds the handler
    with runner.isolation() as (_, err, _):
        for number in range(14):
            echoed.warning("call %032x of app a, %d ids: refused: no", number, 200 - number)
        module._WARNINGS.print_counts()
        lines = err.getvalue().decode().splitlines()
    assert lines == [f"call {0:032x} of app a, 200 ids: refused: no", "14 times: app a: refused: no"]
