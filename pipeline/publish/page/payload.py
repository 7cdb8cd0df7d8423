"""The rows of the page as JSON-ready values, compact enough for 400 days; `script/figures.js` reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from pipeline.publish.page.content import PageContent, row_limit
from pipeline.publish.page.cube import STATES
from pipeline.publish.page.events import ALL
from pipeline.publish.page.sentences import Telling
from pipeline.publish.page.timeline import SPANS, Timeline

_AGES: Final = (*SPANS[:1], 2 * SPANS[0], SPANS[1], 2 * SPANS[1], SPANS[2], 2 * SPANS[2])
"""Mature days at which a span or the one before it ends."""
Texts = Mapping[tuple[int, str], Sequence[Telling]]
"""Sentences by place of the span and id of the row, empty for everything."""


def payload(content: PageContent, texts: Texts) -> dict[str, Any]:
    """Return everything that the script shows."""
    line = content.timeline
    shown = {d.key for d in content.dimensions}
    ages, hours = _Groups(_AGES, line), _Groups(SPANS, line)
    return {
        "bins": [[str(one.first), str(one.last)] for one in line.bins],
        "mature": line.mature,
        "spans": [[s.days, s.start, s.end, s.before_end, int(s.is_all)] for s in line.spans],
        "first": line.first_span,
        "ages": ages.starts,
        "hourAges": hours.starts,
        "joint": content.joint,
        "kept": content.kept_bins,
        "dimensions": [
            {
                "key": d.key,
                "title": d.title,
                "one": d.one,
                "values": list(d.values),
                "names": [d.name(row) for row in range(len(d.values) + bool(d.others))],
                "limit": round(row_limit(len(d.values)), 3),
                "isOutcome": d.is_outcome,
            }
            for d in content.dimensions
        ],
        "series": {name: _bare(_by_count(counts[..., [0, 1, 2, -1]])) for name, counts in content.series.items()},
        "states": {name: _bare(ages.summed(counts[..., 3:], axis=1)) for name, counts in content.series.items()},
        "stateNames": STATES[3:],
        "pairs": {
            "/".join(names): _bare(_by_count(counts))
            for names, counts in content.pairs.items()
            if shown.issuperset(names)
        },
        "speed": {name: _bare(ages.summed(counts, axis=1)) for name, counts in content.speed.items()},
        "fast": _bare(content.speed[ALL][0, :, (0, 2)]),
        "hours": {
            name: _bare(_by_count(_flat(hours.summed(counts, axis=1)))) for name, counts in content.hours.items()
        },
        "spend": {
            currency: {name: _money(ages.summed(counts, axis=1)) for name, counts in series.items()}
            for currency, series in content.spend.items()
        },
        "paid": {currency: _money(series[ALL][0, :, 0]) for currency, series in content.spend.items()},
        "texts": {f"{span}/{row}": [list(line) for line in lines] for (span, row), lines in texts.items()},
    }


class _Groups:
    """Groups of bins that no span cuts, the newest first; the last one is that of open days."""

    def __init__(self, edges: Sequence[int], line: Timeline) -> None:
        self.starts = sorted({0, *(line.bin_at[edge] for edge in edges if edge in line.bin_at), line.mature})
        ends = [*self.starts[1:], len(line.bins)]
        self._slices = [slice(start, end) for start, end in zip(self.starts, ends, strict=True)]

    def summed(self, counts: np.ndarray[Any, Any], *, axis: int) -> np.ndarray[Any, Any]:
        """Sum the bins of each group."""
        index = [slice(None)] * counts.ndim
        parts = [counts[(*index[:axis], part)].sum(axis=axis) for part in self._slices]
        return np.stack(parts, axis=axis)


def _by_count(counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Put the counts before the bins: one list for each count."""
    return np.moveaxis(counts, -1, -2)


def _flat(counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Put the hours of a week into one axis, Monday first."""
    rows, groups, weekdays, hours, kinds = counts.shape
    return counts.reshape(rows, groups, weekdays * hours, kinds)


def _bare(counts: np.ndarray[Any, Any]) -> Any:
    """Return nested lists in which a list of zeros alone is 0."""
    if counts.ndim == 0:
        return int(counts)
    if not counts.any():
        return 0
    if counts.ndim == 1:
        return counts.tolist()
    return [_bare(part) for part in counts]


def _money(amounts: np.ndarray[Any, Any]) -> Any:
    return np.round(amounts, 4).tolist()
