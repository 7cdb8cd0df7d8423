"""Which changes the page tells: lost messages before slow ones, the clearest first, and whose they are. Pure.

A route that fails changes its country, its sender, its app and all messages: the clearest of them is told, the others
are explained by it if at least half of their missing messages are the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pipeline.publish.page.changes import USUAL_DAYS, Change, Counts, Floats, find_changes

ALL: Final = "all"
AT_MOST: Final = 3
Metric = Literal["delivered", "slow"]
_SAME_MESSAGES: Final = 0.5
_MOSTLY: Final = 0.6
_BEYOND_ITS_PART: Final = 0.2
_FEWEST: Final = 10


@dataclass(frozen=True)
class Figures:
    """Hits and messages by mature day, newest first, of one metric.

    Attributes:
        rows: by dimension, (2, rows, days); `all` has one row.
        pairs: by two dimensions, (2, rows, rows, days); the last row of each is the rest.
    """

    rows: Mapping[str, Counts]
    pairs: Mapping[tuple[str, str], Counts]

    def pair(self, dimension: str, row: int, other: str) -> Counts | None:
        """Return (2, rows of the other dimension, days) of a row; None if they are not known."""
        if (dimension, other) in self.pairs:
            found = self.pairs[dimension, other]
        elif (other, dimension) in self.pairs:
            found = self.pairs[other, dimension].swapaxes(1, 2)
        else:
            return None
        return found[:, row] if row < found.shape[1] - 1 else None


@dataclass(frozen=True)
class Event:
    """A change that is told.

    Attributes:
        dimension: whose row changed.
        share_of: dimension and row to which most of the excess belongs, and its part.
        alike: dimension whose rows all changed alike.
    """

    metric: Metric
    dimension: str
    change: Change
    share_of: tuple[str, int, float] | None = None
    alike: str | None = None


@dataclass(frozen=True)
class SpanEvents:
    """The events of a span: those of all messages, and those of each row by dimension and place."""

    whole: Sequence[Event]
    rows: Mapping[tuple[str, int], Sequence[Event]]


def find_events(figures: Mapping[Metric, Figures], *, withins: Sequence[int]) -> list[SpanEvents]:
    """Return the events of each span; `withins` has the mature days of each."""
    found: list[list[Event]] = [[] for _ in withins]
    for metric, known in figures.items():
        for dimension, changes in _changes(known, withins):
            for place, some in enumerate(changes):
                found[place] += [Event(metric, dimension, change) for change in some]
    return [_told(events, figures) for events in found]


def _changes(figures: Figures, withins: Sequence[int]) -> Iterator[tuple[str, list[list[Change]]]]:
    """Yield the changes of each dimension; all rows are looked for at once, so that they share one correction."""
    names = [(dimension, row) for dimension, counts in figures.rows.items() for row in range(counts.shape[1])]
    if not names:
        return
    hits, totals = np.concatenate(list(figures.rows.values()), axis=1)
    changes = find_changes(hits, totals, withins=withins)
    for dimension in figures.rows:
        first = names.index((dimension, 0)) if figures.rows[dimension].shape[1] else 0
        last = first + figures.rows[dimension].shape[1]
        yield dimension, [[_moved(c, first) for c in some if first <= c.row < last] for some in changes]


def _moved(change: Change, first: int) -> Change:
    return Change(
        change.row - first, change.newest, change.end, change.total, change.share, change.usual, change.evidence
    )


def _told(events: Sequence[Event], figures: Mapping[Metric, Figures]) -> SpanEvents:
    whole: list[Event] = []
    for event in sorted(events, key=lambda event: (event.metric == "slow", -event.change.evidence)):
        known = figures[event.metric]
        if len(whole) < AT_MOST and not any(_explains(one, event, known) for one in whole):
            whole.append(event)
    rows: dict[tuple[str, int], list[Event]] = {}
    for event in events:
        if event.dimension != ALL:
            rows.setdefault((event.dimension, event.change.row), []).append(_placed(event, figures[event.metric]))
    return SpanEvents([_placed(event, figures[event.metric]) for event in whole], rows)


def _explains(told: Event, event: Event, figures: Figures) -> bool:
    """Return whether most of an event's excess belongs to one that is told already."""
    one, other = told.change, event.change
    if told.metric != event.metric or (one.excess > 0) != (other.excess > 0):
        return False
    if one.end <= other.newest or other.end <= one.newest or told.dimension == event.dimension:
        return False
    if event.dimension == ALL:
        return abs(one.excess) >= _SAME_MESSAGES * abs(other.excess)
    pair = figures.pair(told.dimension, one.row, event.dimension)
    # All messages explain each row's part, and so does a row that is not split.
    if pair is None or other.row >= pair.shape[1] - 1:
        return True
    return bool(abs(_excess(pair, other)[other.row]) >= _SAME_MESSAGES * abs(other.excess))


def _excess(counts: Counts, change: Change) -> Floats:
    """Return the hits beyond the usual of each row of (2, rows, days) in the run of a change."""
    hits, totals = counts[:, :, change.newest : change.end].sum(axis=2)
    usual_hits, usual_totals = counts[:, :, change.end : change.end + USUAL_DAYS].sum(axis=2)
    # A row with little before it counts as usual as the whole.
    usual = (usual_hits + _FEWEST * change.usual) / (usual_totals + _FEWEST)
    return np.asarray(hits - totals * usual)


def _placed(event: Event, figures: Figures) -> Event:
    """Say where an event is concentrated, or that it is not."""
    change, alike = event.change, None
    best: tuple[str, int, float] | None = None
    for other in figures.rows:
        if other in {ALL, event.dimension}:
            continue
        counts = figures.rows[other] if event.dimension == ALL else figures.pair(event.dimension, change.row, other)
        if counts is None:
            continue
        excess = _excess(counts, change)
        messages = counts[1, :, change.newest : change.end].sum(axis=1)
        shares = excess / change.excess
        row = int(shares.argmax())
        is_more_than_its_part = shares[row] - messages[row] / max(change.total, 1) > _BEYOND_ITS_PART
        if shares[row] >= _MOSTLY and is_more_than_its_part and row < counts.shape[1] - (event.dimension != ALL):
            best = max(best or ("", 0, 0.0), (other, row, float(shares[row])), key=lambda found: found[2])
        elif alike is None and _is_alike(excess, messages, change):
            alike = other
    return Event(event.metric, event.dimension, change, best, None if best else alike)


def _is_alike(excess: Floats, messages: Counts, change: Change) -> bool:
    """Return whether all rows with enough messages changed at least half as much as the whole."""
    enough = messages >= _FEWEST
    change_of_all = change.share - change.usual
    return bool(enough.sum() > 1 and (excess[enough] / messages[enough] / change_of_all > _SAME_MESSAGES).all())
