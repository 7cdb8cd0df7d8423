"""What the page shows, read from the published DuckDB file as arrays by name and bin of days.

Belongs here: the queries of `sql/page/`, and their rows as arrays. Does not: what is told (`events`, `sentences`), and
how it is written down (`document`).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb
import numpy as np

from pipeline.lake.queries import query
from pipeline.model.settings import API_MEMORY
from pipeline.publish.page.changes import SINGLED, USUAL_DAYS, Counts
from pipeline.publish.page.events import ALL, Figures, Metric
from pipeline.publish.page.names import LABEL, Dimension
from pipeline.publish.page.timeline import SINGLE_DAYS, Timeline, timeline

Row = dict[str, Any]

DAYS_AT_MOST: Final = 400
"""Limit of days on the page."""
ROWS: Final = {"countries": 250, "senders": 120, "others": 60}
"""Limit of rows by name: all countries, and the largest senders, apps and labels."""
JOINT_ROWS: Final = (24, 16, 12, 9, 7, 5, 3)
"""Rows of a dimension whose split by the other dimensions is on the page: the most that fit."""
JOINT_COUNTS: Final = 160_000
"""Limit of the counts of splits, so that the page stays under 1.5 MB."""
STATES: Final = ("sent", "delivered", "failed", "unknown", "invalid_id", "sending", "not_found", "pending")
PAIR_COUNTS: Final = ("sent", "delivered", "failed")
SPEEDS: Final = ("timed", "within_5s", "within_30s", "within_5min")
MONEY: Final = ("pay", "pay_failed")
_KEYS: Final = ("country", "sender_id", "app_id")
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
        pairs = {names: np.stack([c[..., :days, 1], c[..., :days, 0]]) for names, c in self.pairs.items()}
        return {"delivered": Figures(delivered, pairs), "slow": Figures(slow, {})}

    def _named(self, series: Mapping[str, Counts]) -> dict[str, Counts]:
        """Return the rows that stand for one name each: all, then those of the dimensions that are shown."""
        named = {d.key: series[d.key][: len(d.values)] for d in self.dimensions if d.key in series}
        return {ALL: series[ALL], **named}


def read_content(connection: duckdb.DuckDBPyConnection) -> PageContent:
    """Read everything from the published file.

    Raises:
        duckdb.Error: it can't be read.
    """
    reader = _Reader(connection)
    days = [(row["sent_date"], row["is_mature"]) for row in reader.rows("days", days_at_most=DAYS_AT_MOST)]
    line = timeline(days)
    reader.run("page_days", days=list(line.bin_of), bins=list(line.bin_of.values()))
    reader.run("page_names", **ROWS)
    every = _dimensions(reader.rows("names"))
    joint = _joint(every, len(line.bins))
    cube = _Cube(reader, every, len(line.bins), joint)
    pairs, speed = cube.pairs(), cube.speed()
    for dimension in every[len(_KEYS) :]:
        of_label, speed[dimension.key] = cube.label(dimension)
        pairs |= of_label
    (as_of,), (waiting,) = reader.rows("as_of"), reader.rows("waiting", memory_days=API_MEMORY.days)
    return PageContent(
        as_of=as_of,
        waiting=waiting,
        rejected=reader.rows("rejected"),
        timeline=line,
        mature_days=[day for day, is_mature in days if is_mature],
        dimensions=[d for d in every if len(d.values) + d.others >= _FEWEST_VALUES],
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
    for row in _Reader(connection).rows("slow_hours", days=list(days)) if days else []:
        found.setdefault(row["sent_date"], {})[row["hour"]] = row["timed"], row["slow"]
    return found


def row_limit(rows: int) -> float:
    """Return how many standard errors a row's change needs to be beyond chance, at 5 % over all rows (Bonferroni)."""
    return statistics.NormalDist().inv_cdf(1 - 0.025 / max(rows, 1))


def _dimensions(names: Sequence[Row]) -> list[Dimension]:
    by_key: dict[str, list[Row]] = {key: [] for key in _KEYS}
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


@dataclass(frozen=True)
class _Reader:
    connection: duckdb.DuckDBPyConnection

    def run(self, name: str, **parameters: object) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(query(f"publish/sql/page/{name}"), parameters)

    def rows(self, name: str, **parameters: object) -> list[Row]:
        result = self.run(name, **parameters)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def columns(self, name: str, **parameters: object) -> dict[str, np.ma.MaskedArray[Any, Any]]:
        return {key: np.ma.asarray(v) for key, v in self.run(name, **parameters).fetchnumpy().items()}


@dataclass(frozen=True)
class _Cube:
    """Fills arrays by place and bin of days with the rows of the queries."""

    reader: _Reader
    dimensions: Sequence[Dimension]
    bins: int
    joint: int

    def series(self) -> dict[str, Counts]:
        columns = self.reader.columns("series")
        return self._by_dimension(columns, lambda size: (size, self.bins), ("place", "bin"), STATES)

    def hours(self) -> dict[str, Counts]:
        columns = self.reader.columns("hours", most=self.joint)
        columns["weekday"] = columns["weekday"] - 1
        kept = {"place": lambda size: min(size, self.joint)}
        return self._by_dimension(
            columns,
            lambda size: (kept["place"](size), self.bins, 7, 24),
            ("place", "bin", "weekday", "hour"),
            ("sent", "delivered"),
        )

    def pairs(self) -> dict[tuple[str, str], Counts]:
        columns = self.reader.columns("pairs", most=self.joint)
        return {pair: self._pair(columns, pair) for pair in (_KEYS[:2], _KEYS[::2], _KEYS[1:])}

    def label(self, label: Dimension) -> tuple[dict[tuple[str, str], Counts], Counts]:
        """Return the pairs of a label, and how fast its messages were."""
        columns = self.reader.columns("label_pairs", most=self.joint, label=label.key.removeprefix(LABEL))
        columns[label.key] = columns.pop("label")
        pairs = {(label.key, key): self._pair(columns, (label.key, key)) for key in _KEYS}
        rows = _chosen(columns, _is_set(columns, "place"))
        return pairs, _filled(
            self._shape(label), [rows["place"].astype(int), rows["bin"]], rows, SPEEDS, dtype=np.int64
        )

    def speed(self) -> dict[str, Counts]:
        return self._by_column(self.reader.columns("speed"), SPEEDS, np.int64)

    def spend(self) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        """Return what was paid by currency and dimension."""
        columns = self.reader.columns("spend")
        found = {
            currency: self._by_column(_chosen(columns, columns["currency"] == currency), MONEY, float)
            for currency in sorted(set(columns["currency"].compressed()))
        }
        for label in self.dimensions[len(_KEYS) :] if found else ():
            columns = self.reader.columns("label_spend", label=label.key.removeprefix(LABEL))
            for currency, series in found.items():
                rows = _chosen(columns, columns["currency"] == currency)
                places = [rows["place"].astype(int), rows["bin"]]
                series[label.key] = _filled(self._shape(label), places, rows, MONEY, dtype=float)
        return found

    def _shape(self, dimension: Dimension) -> tuple[int, int]:
        return len(dimension.values) + bool(dimension.others), self.bins

    def _pair(self, columns: Mapping[str, Any], pair: tuple[str, ...]) -> Counts:
        """Fill the array of two dimensions; the rest of each is its last row."""
        sizes = tuple(min(len(self._dimension(key).values), self.joint) + 1 for key in pair)
        columns = _chosen(columns, _is_set(columns, pair[0]) & _is_set(columns, pair[1]))
        places = [np.minimum(columns[key].astype(int), size - 1) for key, size in zip(pair, sizes, strict=True)]
        return _filled((*sizes, self.bins), [*places, columns["bin"]], columns, PAIR_COUNTS, dtype=np.int64)

    def _by_dimension(
        self, columns: Mapping[str, Any], shape: Any, keys: Sequence[str], names: Sequence[str]
    ) -> dict[str, Counts]:
        sizes = {ALL: 1} | {d.key: len(d.values) + bool(d.others) for d in self.dimensions}
        found = {}
        for dimension, size in sizes.items():
            rows = _chosen(columns, np.asarray(columns["dimension"] == dimension, bool))
            found[dimension] = _filled(shape(size), [rows[key] for key in keys], rows, names, dtype=np.int64)
        return found

    def _by_column(self, columns: Mapping[str, Any], names: Sequence[str], dtype: Any) -> dict[str, Any]:
        """Fill an array for each dimension that has a column, and one for rows without any of them."""
        whole = _chosen(columns, np.logical_and.reduce([~_is_set(columns, key) for key in _KEYS]))
        found = {ALL: _filled((1, self.bins), [0, whole["bin"]], whole, names, dtype=dtype)}
        for key in _KEYS:
            dimension, rows = self._dimension(key), _chosen(columns, _is_set(columns, key))
            places = [rows[key].astype(int), rows["bin"]]
            found[key] = _filled(self._shape(dimension), places, rows, names, dtype=dtype)
        return found

    def _dimension(self, key: str) -> Dimension:
        return next(d for d in self.dimensions if d.key == key)


def _is_set(columns: Mapping[str, Any], key: str) -> np.ndarray[Any, Any]:
    return ~np.ma.getmaskarray(columns[key])


def _filled(
    shape: Sequence[int], indexes: Sequence[Any], columns: Mapping[str, Any], names: Sequence[str], *, dtype: Any
) -> np.ndarray[Any, Any]:
    """Return zeros, with the values of these columns added at their places."""
    found = np.zeros((*shape, len(names)), dtype)
    for number, name in enumerate(names):
        np.add.at(found[..., number], tuple(indexes), np.ma.filled(columns[name], 0).astype(dtype))
    return found


def _chosen(columns: Mapping[str, Any], rows: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {name: values[rows] for name, values in columns.items()}
