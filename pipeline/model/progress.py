"""How far a use case has come.

What belongs here: what it tells its caller. What does not: how that is shown (`assets/cli/phases.py`).
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much; the whole may grow. Called from any thread, from one at a time."""


def untold(done: int, total: int) -> None:
    """Take progress that nobody looks at."""
