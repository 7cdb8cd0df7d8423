"""Batches: the ids of one request.

What belongs here: the bounds of a request. What does not: when an id is due (`follow/due.py`), requests (`client.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import accumulate
from operator import itemgetter
from typing import Final
from urllib.parse import quote

from pipeline.api.endpoints import GET_REPORT, Endpoint

MAX_IDS: Final = 200
"""Most ids of one request (protocol: "At most 200 msgIds a call")."""
MAX_TARGET_BYTES: Final = 7_500
"""Most bytes of path and query; servers commonly stop at 8 kB for the whole request line."""
_SEPARATOR: Final = ","


@dataclass(frozen=True)
class Batch:
    """Ids of one app that one request asks for, each with the partition of its message."""

    app_id: str
    ids: Sequence[tuple[str, date]]

    @property
    def msg_ids(self) -> tuple[str, ...]:
        """The ids alone, in order."""
        return tuple(map(itemgetter(0), self.ids))

    @property
    def endpoint(self) -> Endpoint:
        """The call that a batch is of."""
        return GET_REPORT

    @property
    def query(self) -> str:
        """The query of its request."""
        return query_of(self.app_id, self.msg_ids)

    @cached_property
    def days(self) -> Counter[date]:
        """How many of the ids are of each partition."""
        return Counter(map(itemgetter(1), self.ids))

    def halves(self) -> tuple[Batch, Batch]:
        """Split in two, the first at most one shorter; only for batches of two ids and more."""
        middle = len(self.ids) // 2
        return Batch(self.app_id, self.ids[:middle]), Batch(self.app_id, self.ids[middle:])


def query_of(app_id: str, msg_ids: Sequence[str]) -> str:
    """Return the query of a request, encoded once: ids are digits and commas and need no encoding."""
    return f"appId={quote(app_id, safe='')}&msgIds={_SEPARATOR.join(msg_ids)}"


def batches_of(
    app_id: str, ids: Sequence[tuple[str, date]], *, batch_size: int = MAX_IDS, path_bytes: int = 64
) -> Iterator[Batch]:
    """Cut ids into batches in their order; joined again they are the input.

    Args:
        app_id: the app.
        ids: its ids, each with the partition of its message.
        batch_size: most ids in a batch, 1 to 200.
        path_bytes: bytes of the request target before its query.

    Raises:
        ValueError: `batch_size` is out of range.
    """
    room = _room(app_id, batch_size, path_bytes)
    start = 0
    while start < len(ids):
        chosen = ids[start : start + batch_size]
        fitting = _fitting([msg_id for msg_id, _ in chosen], room)
        yield Batch(app_id, chosen[:fitting])
        start += fitting


def _room(app_id: str, batch_size: int, path_bytes: int) -> int:
    """Return how many bytes ids and separators may take."""
    if not 1 <= batch_size <= MAX_IDS:
        raise ValueError(f"a batch has 1 to {MAX_IDS} ids, not {batch_size}")
    return MAX_TARGET_BYTES - path_bytes - len(query_of(app_id, ()))


def _fitting(msg_ids: Sequence[str], room: int) -> int:
    """Return how many of the first ids fit, each with a separator: one at least."""
    ends = list(accumulate(len(msg_id) + len(_SEPARATOR) for msg_id in msg_ids))
    return max(1, bisect_right(ends, room))
