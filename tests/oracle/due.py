"""When an id is due, in Python: what the SQL macro `is_due` is tested against."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipeline.follow.due import AGE_SHARE, MIN_INTERVAL, MOST_DELAY
from pipeline.model.settings import API_MEMORY


def next_due_at(
    *, sent_at: datetime, last_answer_at: datetime | None, pushed_at: datetime | None = None, stretch: float = 1
) -> datetime:
    """Return from when a message that has no final answer is due.

    A push since the last answer makes it due at once; where none ever came, it waits longer by the stretch of its app,
    but at most by `MOST_DELAY`.
    """
    if last_answer_at is None:
        late = min(MIN_INTERVAL * (stretch - 1), MOST_DELAY)
        return sent_at if pushed_at is not None else sent_at + late
    if pushed_at is not None and pushed_at > last_answer_at:
        return last_answer_at + MIN_INTERVAL
    usual = max(MIN_INTERVAL, (last_answer_at - sent_at) * AGE_SHARE)
    late = min(usual * (stretch - 1), MOST_DELAY)
    return last_answer_at + usual + (late if pushed_at is None else timedelta())


def is_due(
    *,
    now: datetime,
    sent_at: datetime,
    last_answer_at: datetime | None,
    give_up_after: timedelta,
    force: bool = False,
    pushed_at: datetime | None = None,
    stretch: float = 1,
) -> bool:
    """Say whether a message that is not final is asked for now.

    Args:
        now: the instant to decide for.
        sent_at: when the message was sent.
        last_answer_at: when its latest answer arrived, None where it was never asked.
        give_up_after: age after which an answered message is asked for no more.
        force: ask although it is not due yet; the age limits hold all the same.
        pushed_at: when the latest report pushed for it arrived, None where none did.
        stretch: how many times as long as usual it waits where none did.
    """
    longest = API_MEMORY if last_answer_at is None else min(give_up_after, API_MEMORY)
    if now - sent_at > longest:
        return False
    if force or (last_answer_at is None and (stretch <= 1 or pushed_at is not None)):
        return True
    return now >= next_due_at(sent_at=sent_at, last_answer_at=last_answer_at, pushed_at=pushed_at, stretch=stretch)
