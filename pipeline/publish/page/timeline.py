"""Bins of days and the spans that a reader can choose, by mature days. Pure.

Bin 0 is the newest mature day. Mature days are bins of their own, then weeks, with an edge wherever a span ends; behind
them come days that are still open, newest first. So every figure of a span is the sum of its bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

SPANS: Final = (7, 28, 90)
"""Mature days of the spans, besides all of them."""
FIRST_SPAN: Final = 28
"""Longest span with which the page opens: the longest one that can be compared with the same span before."""
SINGLE_DAYS: Final = 120
"""Mature days that are bins of their own."""
_EDGE: Final = 2 * SPANS[-1]
_WEEK: Final = 7
_OPEN_AT_MOST: Final = 60


@dataclass(frozen=True)
class Bin:
    """Days that are counted together."""

    first: date
    last: date
    is_open: bool


@dataclass(frozen=True)
class Span:
    """A choice of the reader: bins `0` up to `end`, and those of the same span before, if there are as many days.

    Attributes:
        days: mature days; 0 where no day is mature, and the bins are the open days.
        start: first bin.
        end: bin after the last one.
        before_end: bin after the last one of the span before, which begins at `end`; None if it is not whole.
        is_all: it is all there is.
    """

    days: int
    start: int
    end: int
    before_end: int | None
    is_all: bool


@dataclass(frozen=True)
class Timeline:
    """The bins, each day's bin, and the spans.

    Attributes:
        mature: number of bins of mature days, the first ones.
        bin_at: the bin that begins after so many mature days.
    """

    bins: Sequence[Bin]
    bin_of: dict[date, int]
    mature: int
    bin_at: dict[int, int]
    spans: Sequence[Span]

    @property
    def first_span(self) -> int:
        """Place of the span with which the page opens."""
        comparable = [n for n, s in enumerate(self.spans) if s.before_end is not None and s.days <= FIRST_SPAN]
        return comparable[-1] if comparable else len(self.spans) - 1


def timeline(days: Sequence[tuple[date, bool]]) -> Timeline:
    """Lay out the days, newest first, each with whether it is mature."""
    mature = [day for day, is_mature in days if is_mature]
    still_open = [day for day, is_mature in days if not is_mature]
    groups = [mature[start:end] for start, end in _edges(len(mature))]
    opened = [[day] for day in still_open[: _OPEN_AT_MOST - 1]]
    if len(still_open) >= _OPEN_AT_MOST:
        opened.append(still_open[_OPEN_AT_MOST - 1 :])
    bins = [Bin(group[-1], group[0], is_open) for some, is_open in ((groups, False), (opened, True)) for group in some]
    bin_of = {day: number for number, group in enumerate((*groups, *opened)) for day in group}
    bin_at = {start: number for number, (start, _) in enumerate(_edges(len(mature)))} | {len(mature): len(groups)}
    return Timeline(bins, bin_of, len(groups), bin_at, _spans(len(mature), bin_at, len(bins)))


def _edges(count: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each group of mature days, counted from the newest."""
    start = 0
    while start < count:
        end = start + 1 if start < SINGLE_DAYS else start + _WEEK
        if start < _EDGE:
            end = min(end, _EDGE)
        yield start, min(end, count)
        start = end


def _spans(days: int, bin_at: dict[int, int], bins: int) -> list[Span]:
    """Return the spans that are shorter than all, then all."""
    shorter = [Span(n, 0, bin_at[n], bin_at.get(2 * n), is_all=False) for n in SPANS if n < days]
    whole = Span(days, 0, bin_at[days], None, is_all=True) if days else Span(0, 0, bins, None, is_all=True)
    return [*shorter, whole]
