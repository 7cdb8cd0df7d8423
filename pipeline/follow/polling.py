"""When an id is due: follows from its age alone. `sql/due_ids.sql` is the same rule over columns.

A message that is never answered finally is asked at ages that grow by half each time. First asked ten
minutes after sending and given up after seven days, it costs 1 + floor(ln(10080 / 10) / ln 1.5) = 18 calls
when every due moment is met; a schedule of 15 minutes makes it fewer.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

MIN_INTERVAL: Final = timedelta(seconds=60)
"""Shortest time between two questions for one id."""
AGE_SHARE: Final = 0.5
"""Share of its age that an id waits: at two hours it waits one."""
API_MEMORY: Final = timedelta(days=90)
"""How long the platform can be asked about a message (protocol: 90 to 120 days; the shorter is sure)."""


def next_due_at(*, sent_at: datetime, last_answer_at: datetime) -> datetime:
    """Return from when a message that was answered, but not finally, is due again."""
    return last_answer_at + max(MIN_INTERVAL, (last_answer_at - sent_at) * AGE_SHARE)


def is_due(
    *,
    now: datetime,
    sent_at: datetime,
    last_answer_at: datetime | None,
    give_up_after: timedelta,
    force: bool = False,
) -> bool:
    """Say whether a message that is not final is asked for now.

    Args:
        now: the instant to decide for.
        sent_at: when the message was sent.
        last_answer_at: when its latest answer arrived, None where it was never asked.
        give_up_after: age after which an answered message is asked for no more.
        force: ask although it is not due yet; the age limits hold all the same.
    """
    age = now - sent_at
    if last_answer_at is None:
        return age <= API_MEMORY
    if age > min(give_up_after, API_MEMORY):
        return False
    return force or now >= next_due_at(sent_at=sent_at, last_answer_at=last_answer_at)
