"""What a run shows: a bar for each phase on a terminal, plain lines elsewhere, the result last."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import Place, opened_place, write_logs
from tests.support.terminals import lines_left, pictures, run_on_terminal

MESSAGES = 3000
LABELS = ["logs", "API", "messages", "balance", "rates", "file", "page"]
DONE = re.compile(r"done in [0-9.]+ s: analytics.duckdb and report.html are up to date")


@pytest.fixture
def slow_place(tmp_path: Path) -> Iterator[Place]:
    """Give a place whose simulator takes long enough for a bar to move."""
    with opened_place(tmp_path, latency_ms=300) as place:
        write_logs(place, MESSAGES)
        place.environment["SMS_BATCH_SIZE"] = "10"
        yield place


def assert_phases(lines: list[str]) -> None:
    """Assert that each phase has one line, in order, after settings and days and before the result."""
    assert lines[0].startswith("settings: ")
    assert lines[1].startswith("days ")
    assert [line.partition(":")[0] for line in lines[2:-1]] == LABELS
    assert all(re.search(r" \([0-9.]+ s\)$", line) for line in lines[2:-1])
    assert DONE.fullmatch(lines[-1])


@pytest.mark.slow
def test_on_a_terminal_each_phase_has_a_bar_and_leaves_one_line_and_the_result_comes_last(slow_place: Place) -> None:
    status, written = run_on_terminal(slow_place, "run")
    assert status == 0
    assert_phases(lines_left(written))
    seen = pictures(written)
    for action in ("reading logs", "asking", "deriving messages", "deriving rates", "publishing the file"):
        assert any(re.match(rf"{action} *[━╸╺]+", line) for line in seen), action
    asked = [line for line in seen if line.startswith("asking")]
    moving = re.compile(r"asking +[━╸╺]+ ([\d,]+) of 3,000 messages, [\d,]+ a second, [\d.]+ s left")
    counts = [int(found[1].replace(",", "")) for line in asked if (found := moving.match(line))]
    assert len(set(counts)) > 1
    assert counts == sorted(counts)
    assert written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l")  # the cursor is back


@pytest.mark.slow
def test_with_standard_output_in_a_file_bars_are_on_the_terminal_and_lines_in_the_file(slow_place: Place) -> None:
    out = slow_place.folder / "out.txt"
    status, written = run_on_terminal(slow_place, "run", out=out)
    assert status == 0
    assert "━" in written
    assert lines_left(written) == []
    assert_phases(out.read_text("utf-8").splitlines())
    assert "\x1b" not in out.read_text("utf-8")


def test_without_a_terminal_there_are_plain_lines_alone(place: Place) -> None:
    write_logs(place, 300)
    done = place.run("run")
    assert_phases(done.stdout.splitlines())
    assert done.stderr == ""


@pytest.mark.slow
def test_on_a_dumb_terminal_there_is_no_bar(place: Place) -> None:
    write_logs(place, 300)
    status, written = run_on_terminal(place, "run", TERM="dumb")
    assert status == 0
    assert "\x1b" not in written
    assert_phases(written.splitlines())


OTHER_COMMANDS: dict[tuple[str, ...], list[str]] = {
    ("rebuild",): ["messages", "rates", "file", "page"],
    ("publish",): ["file", "page"],
    ("export", "days.duckdb"): ["export"],
    ("forget", "447700900123"): ["erase", "rates", "file", "page", "old files"],
    ("repair",): ["lake"],
}
"""Commands without a run that may take long, with the labels of their phases."""


@pytest.mark.slow
def test_commands_without_a_run_show_their_phases_too(place: Place) -> None:
    write_logs(place, 300)
    place.run("run")
    for arguments, labels in OTHER_COMMANDS.items():
        done = place.run(*arguments)
        lines = done.stdout.splitlines()
        assert [line.partition(":")[0] for line in lines] == labels, arguments
        assert all(re.search(r" \([0-9.]+ s\)$", line) for line in lines)
        assert done.stderr == ""


@pytest.mark.slow
def test_a_rebuild_has_a_bar_for_each_phase_on_a_terminal(place: Place) -> None:
    write_logs(place, 300)
    place.run("run")
    status, written = run_on_terminal(place, "rebuild")
    assert status == 0
    assert [line.partition(":")[0] for line in lines_left(written)] == OTHER_COMMANDS["rebuild",]
    seen = pictures(written)
    for action in ("deriving messages", "deriving rates", "publishing the file", "writing the page"):
        assert any(re.match(rf"{action} *[━╸╺]+", line) for line in seen), action


@pytest.mark.slow
def test_wrong_credentials_end_with_the_line_that_matters_and_no_result(place: Place) -> None:
    write_logs(place, MESSAGES)
    status, written = run_on_terminal(place, "run", SMS_API_SECRET="wrong-secret-of-tests")
    lines = lines_left(written)
    assert status == 1
    assert lines[-1].startswith("sms-delivery: ")
    assert "SMS_API_SECRET" in lines[-1]
    assert not any(line.startswith("done ") for line in lines)
    assert len(lines) - len(["settings", "days", *LABELS]) <= 3
