"""The parts of commands that may take long, and what they tell while they do.

What belongs here: their names, and the view that steps talk to. What does not: how a command shows them
(`cli/phases.py`). No import of Dagster: commands that start no run use it too.
"""

# No `from __future__ import annotations`: Dagster reads the annotations.
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Phase:
    """A part of a command's work.

    Attributes:
        label: what stands before the line at its end.
        action: what is done meanwhile.
        unit: what is counted; "" where nothing is.
    """

    label: str
    action: str
    unit: str = ""


BYTES: Final = "bytes"
READING: Final = Phase("logs", "reading logs", BYTES)
ASKING: Final = Phase("API", "asking", "messages")
READING_RECORD: Final = Phase("record", "reading the platform's record", "days of apps")
ASKING_BALANCE: Final = Phase("balance", "asking for the balance")
DERIVING: Final = Phase("messages", "deriving messages", "days")
COUNTING: Final = Phase("rates", "deriving rates", "days")
PUBLISHING_FILE: Final = Phase("file", "publishing the file")
WRITING_PAGE: Final = Phase("page", "writing the page")
EXPORTING: Final = Phase("export", "exporting", "tables")
EXPORTING_ROWS: Final = Phase("export", "exporting", "rows")
FETCHING: Final = Phase("file", "bringing the file")
ERASING: Final = Phase("erase", "erasing", "files")
CLEANING: Final = Phase("old files", "removing old files", "tables")
REPAIRING: Final = Phase("lake", "repairing the lake", "tables")


class PhaseView:
    """What looks at a phase while it lasts; this one shows nothing."""

    def update(self, done: int, total: int) -> None:
        """Take how much is done, and of how much; called from any thread."""

    def done(self, summary: str, *details: str) -> None:
        """Take what the phase did in all, and lines that say more."""


@contextmanager
def hidden(_: Phase) -> Iterator[PhaseView]:
    """Give a view that shows nothing."""
    yield PhaseView()
