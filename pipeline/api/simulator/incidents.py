"""What goes wrong for a while in the simulated world, as data. How it changes a message's fate is in `rules`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which messages fail more often, or take longer.

    Attributes:
        start: first moment of sending that is hit (aware).
        end: first moment that is not.
        country: ISO 3166-1 alpha-2 code of the numbers that are hit, None = all.
        failed_share: part of the final messages that fail, 0 to 1; never less than usual.
        delay_seconds: mean of what a message takes longer (exponential).
    """

    start: datetime
    end: datetime
    country: str | None = None
    failed_share: float = 0.0
    delay_seconds: float = 0.0

    def strikes(self, country: str, sent_at: datetime) -> bool:
        """Return whether a message to this country, sent at this moment, is hit."""
        return self.start <= sent_at < self.end and self.country in {None, country}
