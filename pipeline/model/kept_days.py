"""The first days of which a lake keeps messages and phone numbers (`SMS_KEEP_DAYS`, `SMS_KEEP_NUMBERS_DAYS`).

What belongs here: the two days. What does not: their note in the lake (`lake/kept_days.py`), dropping what is older
(`maintain/retain.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class KeptDays:
    """The first days of which messages are kept, and phone numbers; `date.min` where nothing was dropped."""

    messages: date = date.min
    numbers: date = date.min

    @property
    def messages_from(self) -> date | None:
        """The first day of which messages are kept; None where none were dropped."""
        return self.messages if self.messages > date.min else None

    @property
    def numbers_from(self) -> date | None:
        """The first day of which phone numbers are kept; None where none were dropped."""
        return self.numbers if self.numbers > date.min else None

    def later(self, other: KeptDays) -> KeptDays:
        """Return the later day of each; numbers go with their messages at the latest."""
        messages = max(self.messages, other.messages)
        return KeptDays(messages, max(self.numbers, other.numbers, messages))
