"""What the page shows, read from the published DuckDB file as arrays by name and bin of days.

Belongs here: which names and days are on the page. Does not: the queries' rows as arrays (`cube`), what is told
(`events`, `sentences`), and how it is written down (`document`).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb
import numpy as np

from pipeline.model.settings import API_MEMORY
from pipeline.publish.page.changes import SINGLED, USUAL_DAYS, Counts
from pipeline.publish.page.cube import KEYS, PAIR_COUNTS, Cube, Reader, Row
from pipeline.publish.page.events import ALL, Figures, Metric
from pipeline.publish.page.names import Dimension
from pipeline.publish.page.timeline import SINGLE_DAYS, Timeline, timeline

DAYS_AT_MOST: Final = 400
"""Limit of days on the page."""
ROWS: Final = {"countries": 250, "senders": 120, "others": 60}
"""Limit of rows by name: all countries, and the largest senders, apps and labels."""
JOINT_ROWS: Final = (24, 16, 12, 9, 7, 5, 3)
"""Rows of a dimension whose split by the other dimensions is on the page: the most that fit."""
JOINT_COUNTS: Final = 160_000
"""Limit of the counts of splits, so that the page stays under 1.5 MB."""
_COMPARED_ROWS: Final = 60
_FEWEST_VALUES: Final = 2


@dataclass(frozen=True)
class PageContent:
    """All that the page shows.

    Attributes:
        series: states by dimension, (rows, bins, STATES); `all` has one row.
        pairs: counts by two dimensions, (rows, rows, bins, PAIR_COUNTS); the last row of each is the rest.
        speed: by dimension, (rows, bins, SPEEDS).
        hours: by dimension, (rows, bins, weekday, hour, sent and delivered), of the rows that have pairs.
        spend: by currency and dimension, (rows, bins, paid and paid for failed).
    """

    as_of: Row
    waiting: Row
    rejected: Sequence[Row]
    balances: Sequence[Row]
    timeline: Timeline
    mature_days: Sequence[date]
    dimensions: Sequence[Dimension]
    joint: int
    series: Mapping[str, Counts]
    pairs: Mapping[tuple[str, str], Counts]
    speed: Mapping[str, Counts]
    hours: Mapping[str, Counts]
    spend: Mapping[str, Mapping[str, np.ndarray[Any, Any]]]

    def figures(self) -> dict[Metric, Figures]:
        """Return what is looked at for changes: single mature days of the larger rows."""
        days = min(self.timeline.mature, SINGLED + USUAL_DAYS, SINGLE_DAYS)
        delivered = {
            name: np.stack([counts[:_COMPARED_ROWS, :days, 1], counts[:_COMPARED_ROWS, :days, 0]])
            for name, counts in self._named(self.series).items()
        }
        slow = {
            name: np.stack([(c[..., 0] - c[..., 3])[:_COMPARED_ROWS, :days], c[:_COMPARED_ROWS, :days, 0]])
            for name, c in self._named(self.speed).items()
        }
        outcomes = {d.key for d in self.dimensions if d.is_outcome}
        pairs = {
            names: np.stack([c[..., :days, 1], c[..., :days, 0]])
            for names, c in self.pairs.items()
            if outcomes.isdisjoint(names)
        }
        return {"delivered": Figures(delivered, pairs), "slow": Figures(slow, {})}

    @property
    def kept_bins(self) -> int:
        """How many bins of days, the newest, have messages; of older ones there are rates alone."""
        first = self.as_of["messages_from"]
        return sum(first is None or one.first >= first for one in self.timeline.bins)

    def _named(self, series: Mapping[str, Counts]) -> dict[str, Counts]:
        """Return the rows that stand for one name each: all, then those of the dimensions that are shown."""
        named = {d.key: series[d.key][: len(d.values)] for d in self.dimensions if d.key in series and not d.is_outcome}
        return {ALL: series[ALL], **named}


def read_content(connection: duckdb.DuckDBPyConnection) -> PageContent:
    """Read everything from the published file.

    Raises:
        duckdb.Error: it can't be read.
    """
    reader = Reader(connection)
    days = [(row["sent_date"], row["is_mature"]) for row in reader.rows("days", days_at_most=DAYS_AT_MOST)]
    line = timeline(days)
    reader.run("page_days", days=list(line.bin_of), bins=list(line.bin_of.values()))
    reader.run("page_names", **ROWS)
    reader.run("placed_messages")
    reader.run("placed_by")
    every = _dimensions(reader.rows("names"))
    joint = _joint(every, len(line.bins))
    cube = Cube(reader, every, len(line.bins), joint)
    pairs, speed = cube.pairs(), cube.speed()
    for dimension in every[len(KEYS) :]:
        of_dimension, speed[dimension.key] = cube.further(dimension)
        pairs |= of_dimension
    (as_of,), (waiting,) = reader.rows("as_of"), reader.rows("waiting", memory_days=API_MEMORY.days)
    return PageContent(
        as_of=as_of,
        waiting=waiting,
        rejected=reader.rows("rejected"),
        balances=reader.rows("balances"),
        timeline=line,
        mature_days=[day for day, is_mature in days if is_mature],
        dimensions=[d for d in every if len(d.values) + d.others >= (1 if d.is_outcome else _FEWEST_VALUES)],
        joint=joint,
        series=cube.series(),
        pairs=pairs,
        speed=speed,
        hours=cube.hours(),
        spend=cube.spend(),
    )


def slow_hours(connection: duckdb.DuckDBPyConnection, days: Sequence[date]) -> dict[date, dict[int, tuple[int, int]]]:
    """Return (timed, slow) messages by local hour of some days."""
    found: dict[date, dict[int, tuple[int, int]]] = {}
    for row in Reader(connection).rows("slow_hours", days=list(days)) if days else []:
        found.setdefault(row["sent_date"], {})[row["hour"]] = row["timed"], row["slow"]
    return found


def row_limit(rows: int) -> float:
    """Return how many standard errors a row's change needs to be beyond chance, at 5 % over all rows (Bonferroni)."""
    return statistics.NormalDist().inv_cdf(1 - 0.025 / max(rows, 1))


def _dimensions(names: Sequence[Row]) -> list[Dimension]:
    by_key: dict[str, list[Row]] = {key: [] for key in KEYS}
    for row in names:
        by_key.setdefault(row["dimension"], []).append(row)
    return [
        Dimension(
            key,
            [row["value"] for row in rows if not row["is_others"]],
            sum(int(row["value"]) for row in rows if row["is_others"]),
        )
        for key, rows in by_key.items()
    ]


def _joint(dimensions: Sequence[Dimension], bins: int) -> int:
    """Return how many rows of each dimension are split by the others."""
    for most in JOINT_ROWS:
        sizes = [min(len(d.values), most) + 1 for d in dimensions]
        pairs = sum(one * other for n, one in enumerate(sizes) for other in sizes[:n])
        if pairs * bins * len(PAIR_COUNTS) <= JOINT_COUNTS:
            return most
    return JOINT_ROWS[-1]
