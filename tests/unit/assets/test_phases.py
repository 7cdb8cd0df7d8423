"""Phases of a run as lines: under way, at their end, and stopped."""

from __future__ import annotations

import contextlib
import errno
import io

import pytest

from assets.cli.phases import _View, seconds_text, shown
from assets.phases import ASKING, DERIVING, READING
from pipeline.model.errors import LakeError


def view_under_way(seconds: float, view: _View) -> _View:
    """Return the view as if it had begun some time ago, and printed nothing since."""
    view.started -= seconds
    view.printed -= seconds
    return view


def test_a_line_about_a_phase_under_way_does_not_read_like_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    view_under_way(100, _View(ASKING)).update(250, 1000)
    line = capsys.readouterr().out.strip()
    assert line.startswith("asking: 250 of 1,000 messages, 2 a second, ")
    assert line.endswith(" left so far")


def test_bytes_are_shown_in_the_units_of_files(capsys: pytest.CaptureFixture[str]) -> None:
    view_under_way(10, _View(READING)).update(12_300_000, 45_600_000)
    assert capsys.readouterr().out.startswith("reading logs: 12.3 MB of 45.6 MB, 1.2 MB a second, 2")


def test_lines_about_a_phase_under_way_are_seconds_apart(capsys: pytest.CaptureFixture[str]) -> None:
    view = view_under_way(100, _View(ASKING))
    for done in range(1000):
        view.update(done, 1000)
    assert len(capsys.readouterr().out.splitlines()) == 1


def fail_on_day_three() -> None:
    with shown(DERIVING) as view:
        view.update(3, 12)
        raise LakeError("disk full")


def test_a_phase_that_fails_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LakeError):
        fail_on_day_three()
    assert capsys.readouterr().out == "messages: stopped after 0.0 s, 3 of 12 days\n"


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", text)


def test_an_output_that_can_t_be_written_stops_no_phase() -> None:
    with contextlib.redirect_stdout(FullDisk()), shown(DERIVING) as view:
        view.done("2 of 2 days changed")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (59.4, "59 s"), (60, "1 min 0 s"), (7500, "2 h 5 min")]
)
def test_times_read_as_people_say_them(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
