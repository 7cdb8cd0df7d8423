"""Due ids, the most urgent first, to batches in the order in which they are asked for.

What belongs here: filling batches and their order. What does not: who is due, and how urgently (`due.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from pipeline.api.batches import Batch

NEVER_ASKED: Final = 0
NOT_DUE: Final = 2
"""Urgencies of an id, in `sql/due_ids`; between them are those that are due again."""
_MOST_HELD: Final = 500
"""Batches of ids that are due again that are held to be put in order."""

Cut = Callable[[str, Sequence[tuple[str, date]]], Iterator[Batch]]


@dataclass
class _Open:
    """The ids of an app that are in no batch yet, and the place of the first among all ids."""

    place: int = 0
    ids: list[tuple[str, date]] = field(default_factory=list)


class Cutter:
    """Cuts ids into batches as they come; only the last batch of an app may have room left.

    A batch with an id that was never asked for comes before all others. So the last new ids of an app wait for ids that
    fill their batch, and batches of other apps whose ids are due again wait for them, as many as may be held.
    """

    def __init__(self, cut: Cut, batch_size: int) -> None:
        """Start without ids; `cut` makes batches of one app's ids."""
        self._cut = cut
        self._size = batch_size
        self._open: defaultdict[str, _Open] = defaultdict(_Open)
        self._not_due: dict[str, list[tuple[str, date]]] = {}
        self._held: list[tuple[int, Batch]] = []
        self._place = 0
        self._new_until: int | None = None

    def add(self, app_id: str, msg_id: str, day: date, urgency: int) -> Iterable[Batch]:
        """Add an id, less urgent than those before; return the batches that are asked for now."""
        if urgency == NOT_DUE:
            spare = self._not_due.setdefault(app_id, [])
            if len(spare) < self._size:
                spare.append((msg_id, day))
            return ()
        if urgency != NEVER_ASKED and self._new_until is None:
            self._new_until = self._place
        waiting = self._open[app_id]
        if not waiting.ids:
            waiting.place = self._place
        waiting.ids.append((msg_id, day))
        self._place += 1
        return self._full(app_id, waiting) if len(waiting.ids) == self._size else ()

    def _full(self, app_id: str, waiting: _Open) -> Iterator[Batch]:
        batch, place = next(self._cut(app_id, waiting.ids)), waiting.place
        waiting.ids = waiting.ids[len(batch.ids) :]
        waiting.place += len(batch.ids)
        if self._new_until is None or place < self._new_until:
            yield batch
            return
        self._held.append((place, batch))
        if len(self._held) > _MOST_HELD:
            yield from self._released(until=self._new_until)

    def rest(self) -> Iterator[Batch]:
        """Yield what is left: the last batch of each app has its room filled with ids that are not due yet."""
        yield from self._released(until=self._place)

    def _released(self, *, until: int) -> Iterator[Batch]:
        """Yield what is held, and the last batches that begin before a place."""
        for app_id, waiting in self._open.items():
            if waiting.ids and waiting.place < until:
                *whole, last = self._cut(app_id, waiting.ids)
                filled = next(self._cut(app_id, [*last.ids, *self._not_due.get(app_id, ())]))
                self._held += ((waiting.place, batch) for batch in (*whole, filled))
                waiting.ids = []
        yield from (batch for _, batch in sorted(self._held, key=lambda held: held[0]))
        self._held = []
