"""When an id is due, in Python: what the SQL macro `is_due` is tested against."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.follow.due import AGE_SHARE, MIN_INTERVAL
from pipeline.model.settings import API_MEMORY


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
