"""Batches: which msg_ids go into one signed call.

What belongs here: the bounds of a call. What does not: when an id is due (`polling.py`), asking (`client.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, pairwise
from typing import Any, Final, overload
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute

MAX_IDS: Final = 200
"""Most ids of one call (protocol: "At most 200 msgIds a call")."""
MAX_TARGET_BYTES: Final = 7_500
"""Most bytes of path and query; servers commonly stop at 8 kB for the whole request line."""
_SEPARATOR: Final = ","
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them


class MsgIds(Sequence[str]):
    """Ids in one text, as they go on the wire: an object each costs a call more than all else that it does to them."""

    __slots__ = ("_count", "text")

    def __init__(self, text: str, count: int) -> None:
        """Take `count` ids, one at least, joined by commas."""
        self.text = text
        self._count = count

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        """Return one of them, or some."""
        return tuple(self.text.split(_SEPARATOR))[place]

    def __iter__(self) -> Iterator[str]:
        """Go through them."""
        return iter(self.text.split(_SEPARATOR))

    def __eq__(self, other: object) -> bool:
        """Say whether these are the same in the same order."""
        return isinstance(other, MsgIds) and self.text == other.text

    def __hash__(self) -> int:
        """Return a number that equal ones share."""
        return hash(self.text)


@dataclass(frozen=True)
class Batch:
    """Ids of one app and one partition that one call asks for."""

    app_id: str
    sent_date: date
    msg_ids: Sequence[str]

    def halves(self) -> tuple[Batch, Batch]:
        """Split in two, the first at most one shorter; only for batches of two ids and more."""
        middle = len(self.msg_ids) // 2
        return (
            Batch(self.app_id, self.sent_date, self.msg_ids[:middle]),
            Batch(self.app_id, self.sent_date, self.msg_ids[middle:]),
        )


def joined(msg_ids: Sequence[str]) -> str:
    """Return ids as one text, joined by commas."""
    return msg_ids.text if isinstance(msg_ids, MsgIds) else _SEPARATOR.join(msg_ids)


def split_texts(texts: Sequence[str]) -> pa.ListArray[Any]:
    """Return the ids of each of some texts of `joined`; none of an empty one."""
    written = pa.array([text or None for text in texts], pa.string())
    lists: pa.ListArray[Any] = _pc.split_pattern(written, _SEPARATOR)
    return lists


def query_of(app_id: str, msg_ids: Sequence[str]) -> str:
    """Return the query of a call, encoded once: ids are digits and commas and need no encoding."""
    return f"appId={quote(app_id, safe='')}&msgIds={joined(msg_ids)}"


def batches_of(
    msg_ids: Iterable[str], *, app_id: str, sent_date: date, batch_size: int = MAX_IDS, path_bytes: int = 64
) -> Iterator[Batch]:
    """Cut ids into batches in their order; joined again they are the input.

    Args:
        msg_ids: ids of one app and one partition.
        app_id: the app.
        sent_date: the partition.
        batch_size: most ids a batch, 1 to 200.
        path_bytes: bytes of the request target before its query.

    Raises:
        ValueError: `batch_size` is out of range.
    """
    room = _room(app_id, batch_size, path_bytes)
    ids, start = list(msg_ids), 0
    while start < len(ids):
        chosen = ids[start : start + batch_size]
        if len(_SEPARATOR.join(chosen)) >= room:
            chosen = chosen[: _fitting(chosen, room)]
        yield Batch(app_id, sent_date, tuple(chosen))
        start += len(chosen)


def batches_of_column(
    msg_ids: pa.StringArray, *, app_id: str, sent_date: date, batch_size: int = MAX_IDS, path_bytes: int = 64
) -> Iterator[Batch]:
    """Cut a column of ids into the batches of `batches_of`, without an object for each id where all are short enough.

    Raises:
        ValueError: `batch_size` is out of range.
    """
    longest = _pc.max(_pc.binary_length(msg_ids)).as_py() or 0
    if batch_size * (longest + len(_SEPARATOR)) > _room(app_id, batch_size, path_bytes):
        ids: Any = msg_ids.to_pylist()
        yield from batches_of(ids, app_id=app_id, sent_date=sent_date, batch_size=batch_size, path_bytes=path_bytes)
        return
    ends = [*range(0, len(msg_ids), batch_size), len(msg_ids)]
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), msg_ids)
    for (start, end), text in zip(pairwise(ends), _pc.binary_join(lists, _SEPARATOR).to_pylist(), strict=True):
        yield Batch(app_id, sent_date, MsgIds(text, end - start))


def _room(app_id: str, batch_size: int, path_bytes: int) -> int:
    """Return how many bytes ids and separators may take."""
    if not 1 <= batch_size <= MAX_IDS:
        raise ValueError(f"a batch has 1 to {MAX_IDS} ids, not {batch_size}")
    return MAX_TARGET_BYTES - path_bytes - len(query_of(app_id, ()))


def _fitting(msg_ids: Sequence[str], room: int) -> int:
    """Return how many of the first ids fit, each with a separator: one at least."""
    ends = list(accumulate(len(msg_id) + len(_SEPARATOR) for msg_id in msg_ids))
    return max(1, bisect_right(ends, room))
