"""What changed beyond chance: runs of days on which a row's share was another one than in the weeks before. Pure.

Every run of up to 28 mature days of every row is compared with the 28 mature days before it (days that stand out by
themselves are left out there), by the likelihood ratio of two binomial shares. Real shares scatter more than dice from
day to day, so the ratio is divided by the row's own scatter. The chance of such a ratio is at most 2 exp(-ratio);
times the number of comparisons (Bonferroni), it must stay below 1 %: about one page in a hundred would cry wolf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

ERROR: Final = 0.01
"""Chance that a page names a change that is none."""
LONGEST_RUN: Final = 28
USUAL_DAYS: Final = 28
"""Mature days before a run that say what is usual."""
SINGLED: Final = 90
"""Mature days among which runs are looked for."""
_FEWEST_USUAL_DAYS: Final = 4
_LEAST_MESSAGES: Final = 20
_LEAST_EXCESS: Final = 5.0
_LEAST_CHANGE: Final = 0.01
_STANDS_OUT: Final = 12.0
"""Squared deviation of a day that does not count as usual: 3.5 standard deviations."""
_MEDIAN_OF_CHI_SQUARE: Final = 0.455
_SMOOTHING: Final = 0.5


@dataclass(frozen=True)
class Change:
    """A run of days of one row whose share was another one than usual.

    Attributes:
        row: place of the row.
        newest: first bin of the run; 0 is the newest mature day.
        end: bin after its oldest one.
        total: messages of the run.
        share: hits / messages of the run.
        usual: the same of the days before it.
        evidence: logarithm of the likelihood ratio, for scatter.
    """

    row: int
    newest: int
    end: int
    total: int
    share: float
    usual: float
    evidence: float

    @property
    def excess(self) -> float:
        """Hits beyond the usual, below zero where there are fewer."""
        return self.total * (self.share - self.usual)


def find_changes(hits: Counts, totals: Counts, *, withins: Sequence[int]) -> list[list[Change]]:
    """Return the clearest run of each row that is beyond chance, clearest first, for each span.

    Shape:  (rows, days) of mature days, newest first -> a list a span, with at most one change a row.

    Args:
        hits: messages with the property, as delivered ones.
        totals: messages.
        withins: for each span its days, counted from the newest, in which a run must lie.
    """
    rows, days = totals.shape
    if not rows or not days:
        return [[] for _ in withins]
    runs = _Runs.of(hits, totals)
    spans = [_Best(min(days, within, SINGLED), rows) for within in withins]
    for length in range(1, min(LONGEST_RUN, max(span.days for span in spans)) + 1):
        starts = np.arange(max(span.days for span in spans) - length + 1)
        evidence, is_compared = runs.evidence(starts, starts + length)
        for span in spans:
            span.take(evidence, is_compared, length)
    return [[runs.change(row, *where, evidence) for row, where, evidence in span.clearest()] for span in spans]


@dataclass
class _Best:
    """The clearest run of each row so far, within the newest days."""

    days: int
    rows: int
    comparisons: int = 0
    evidence: Floats = field(init=False)
    where: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.evidence, self.where = np.zeros(self.rows), np.zeros((self.rows, 2), np.int64)

    def take(self, evidence: Floats, is_compared: NDArray[np.bool_], length: int) -> None:
        """Look at all runs of one length."""
        starts = self.days - length + 1
        if starts < 1:
            return
        self.comparisons += int(is_compared[:, :starts].sum())
        at = evidence[:, :starts].argmax(axis=1)
        found = evidence[np.arange(self.rows), at]
        better = found > self.evidence
        self.evidence[better] = found[better]
        self.where[better] = np.stack([at, at + length], axis=1)[better]

    def clearest(self) -> Iterator[tuple[int, tuple[int, int], float]]:
        """Yield row, run and evidence of what is beyond chance, clearest first."""
        limit = np.log(2 * max(self.comparisons, 1) / ERROR)
        for row in np.argsort(-self.evidence, kind="stable"):
            if self.evidence[row] > limit:
                yield int(row), (int(self.where[row, 0]), int(self.where[row, 1])), float(self.evidence[row])


@dataclass(frozen=True)
class _Runs:
    """Sums from the newest day up to each: of all days, and of those that do not stand out."""

    hits: Counts
    totals: Counts
    usual_hits: Counts
    usual_totals: Counts
    usual_days: Counts
    scatter: Floats

    @classmethod
    def of(cls, hits: Counts, totals: Counts) -> _Runs:
        """Add up the days."""
        stands_out, scatter = _scatter(hits, totals)
        usual = [np.where(stands_out, 0, counts) for counts in (hits, totals)]
        seen = (totals > 0) & ~stands_out
        running = [_running(counts) for counts in (hits, totals, *usual, seen)]
        return cls(running[0], running[1], running[2], running[3], running[4], scatter)

    def evidence(self, starts: Counts, ends: Counts) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the evidence of runs of each row, 0 where there is nothing to tell, and which could be compared."""
        before = np.minimum(ends + USUAL_DAYS, self.hits.shape[1] - 1)
        hit, total = (sums[:, ends] - sums[:, starts] for sums in (self.hits, self.totals))
        usual_hit, usual_total, usual_days = (
            sums[:, before] - sums[:, ends] for sums in (self.usual_hits, self.usual_totals, self.usual_days)
        )
        is_compared = usual_days >= _FEWEST_USUAL_DAYS
        is_compared &= (total >= _LEAST_MESSAGES) & (usual_total >= _LEAST_MESSAGES)
        told = np.nonzero(is_compared & _matters(hit, total, usual_hit, usual_total))
        found = np.zeros(total.shape)
        found[told] = _ratio(hit[told], total[told], usual_hit[told], usual_total[told]) / self.scatter[told[0]]
        return found, is_compared

    def change(self, row: int, newest: int, end: int, evidence: float) -> Change:
        """Return a run of a row in figures."""
        before = min(end + USUAL_DAYS, self.hits.shape[1] - 1)
        hit, total = (int(sums[row, end] - sums[row, newest]) for sums in (self.hits, self.totals))
        usual_hit, usual_total = (
            int(sums[row, before] - sums[row, end]) for sums in (self.usual_hits, self.usual_totals)
        )
        return Change(row, newest, end, total, hit / total, usual_hit / usual_total, evidence)


def _scatter(hits: Counts, totals: Counts) -> tuple[NDArray[np.bool_], Floats]:
    """Return which days stand out of their row, and how much wider than dice the other days scatter, 1 at least."""
    share = _weighted_median(hits, totals)
    expected = totals * share[:, None]
    spread = np.maximum(expected * (1 - share[:, None]), _SMOOTHING)
    deviation = (hits - expected) ** 2 / spread
    counts = np.where(totals >= _LEAST_MESSAGES, deviation, np.nan)
    with np.errstate(all="ignore"):
        seen = np.isfinite(counts).sum(axis=1)
        filled = np.where(np.isfinite(counts), counts, np.inf)
        middle = np.sort(filled, axis=1)[np.arange(len(counts)), np.maximum(seen - 1, 0) // 2]
        scatter = np.where(seen > 1, np.maximum(middle / _MEDIAN_OF_CHI_SQUARE, 1.0), 1.0)
    return np.nan_to_num(counts, nan=0.0) > _STANDS_OUT * scatter[:, None], scatter


def _weighted_median(hits: Counts, totals: Counts) -> Floats:
    """Return the median of each row's daily shares, each day weighing as much as its messages."""
    shares = np.where(totals > 0, hits / np.maximum(totals, 1), 0.0)
    order = np.argsort(shares, axis=1)
    weights = np.take_along_axis(totals, order, axis=1).cumsum(axis=1)
    middle = (weights * 2 >= weights[:, -1:]).argmax(axis=1)
    return np.asarray(np.take_along_axis(shares, order, axis=1)[np.arange(len(shares)), middle])


def _running(counts: NDArray[np.generic]) -> Counts:
    """Return sums up to each day, with a leading zero."""
    return np.concatenate([np.zeros((len(counts), 1), np.int64), counts.cumsum(axis=1, dtype=np.int64)], axis=1)


def _matters(hit: Counts, total: Counts, usual_hit: Counts, usual_total: Counts) -> NDArray[np.bool_]:
    """Return where the change is large enough to be told."""
    change = hit / np.maximum(total, 1) - usual_hit / np.maximum(usual_total, 1)
    return np.asarray((np.abs(change) >= _LEAST_CHANGE) & (np.abs(change * total) >= _LEAST_EXCESS))


def _ratio(hit: Counts, total: Counts, usual_hit: Counts, usual_total: Counts) -> Floats:
    """Return the logarithm of the likelihood ratio of two shares against one."""
    both = (hit + usual_hit) / np.maximum(total + usual_total, 1)
    return _divergence(hit, total, both) + _divergence(usual_hit, usual_total, both)


def _divergence(hit: Counts, total: Counts, share: Floats) -> Floats:
    """Return messages times the Kullback-Leibler divergence of their share from another."""
    of = np.maximum(total, 1)
    with np.errstate(all="ignore"):
        hits = np.where(hit > 0, hit * np.log(hit / (of * share)), 0.0)
        misses = np.where(hit < total, (total - hit) * np.log((total - hit) / (of * (1 - share))), 0.0)
    return np.asarray(hits + misses)
