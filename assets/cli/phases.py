"""How the phases of a run show: a bar each on a terminal, lines elsewhere, one line at the end of each.

What belongs here: bars, lines, amounts and times as text. What does not: which phases there are (`assets/phases.py`).

Bars go to standard error, and only if it is a terminal. Lines go to standard output; a line about a phase under way
ends with "so far". A stream that can't be written stops no run: what a run did is in the lake.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn

from assets.cli.output import say
from assets.phases import BYTES, Phase, PhaseView

LINE_SECONDS: Final = 5.0
"""Time between two lines about a phase under way."""
_MINUTE, _HOUR = 60, 3600
_FEW_SECONDS: Final = 10
"""Seconds up to which times have a decimal."""


@contextlib.contextmanager
def shown(phase: Phase) -> Iterator[PhaseView]:
    """Show a phase while the block lasts: a bar that goes with it, or a line every few seconds, then its end."""
    console = Console(stderr=True)
    on_terminal = console.file.isatty() and console.is_terminal and not console.is_dumb_terminal
    view = _View(phase)
    try:
        with _bar(view, console) if on_terminal else contextlib.nullcontext():
            yield view
    finally:
        view.print_end()


@dataclass
class _View(PhaseView):
    """Keeps how far a phase has come, and prints it."""

    phase: Phase
    bar: Progress | None = None
    started: float = field(default_factory=time.monotonic)
    printed: float = field(default_factory=time.monotonic)
    reached: str = ""
    end: tuple[str, ...] = ()

    def update(self, done: int, total: int) -> None:
        self.reached = _amount(self.phase, done, total)
        now = time.monotonic()
        text = f"{self.reached}{_pace(self.phase, done, total, now - self.started)}"
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done, total=total, text=text)
        elif now - self.printed >= LINE_SECONDS:
            self.printed = now
            _print(f"{self.phase.action}: {text} so far")

    def done(self, summary: str, *details: str) -> None:
        self.end = (summary, *details)

    def print_end(self) -> None:
        """Print what the phase did; if it did not come to its end, how far it came."""
        seconds = seconds_text(time.monotonic() - self.started)
        if not self.end:
            _print(f"{self.phase.label}: stopped after {seconds}{self.reached and f', {self.reached}'}")
            return
        summary, *details = self.end
        _print(f"{self.phase.label}: {summary} ({seconds})")
        for line in details:
            _print(f"  {line}")


@contextlib.contextmanager
def _bar(view: _View, console: Console) -> Iterator[None]:
    """Show a bar for the block; where nothing is counted it moves all the time."""
    columns = (
        TextColumn(view.phase.action, markup=False),
        BarColumn(20),
        TextColumn("{task.fields[text]}", markup=False),
    )
    # Lines on standard output are printed between two bars; they must not go to the bar's stream.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        bar.add_task("", total=None, text="")
        view.bar = bar
        yield


def _print(line: str) -> None:
    with contextlib.suppress(OSError):
        say(line)


def _amount(phase: Phase, done: int, total: int) -> str:
    if phase.unit == BYTES:
        return f"{decimal(done)} of {decimal(total)}"
    return f"{done:,} of {total:,} {phase.unit}"


def _pace(phase: Phase, done: int, total: int, seconds: float) -> str:
    """Return rate and remaining time, judged by all that is done; nothing before the first is done."""
    if not done or seconds <= 0:
        return ""
    rate = done / seconds
    each = decimal(int(rate)) if phase.unit == BYTES else f"{rate:,.0f}" if rate >= 1 else f"{rate:.2f}"
    return f", {each} a second, {seconds_text((total - done) / rate)} left"


def seconds_text(seconds: float) -> str:
    """Return a length of time as people read it: 3.2 s, 45 s, 3 min 20 s, 2 h 5 min."""
    if seconds < _FEW_SECONDS:
        return f"{seconds:.1f} s"
    if (whole := round(seconds)) < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
