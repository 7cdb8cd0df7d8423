"""Counts of the page as arrays by place of a name and bin of days, filled with the rows of `sql/page/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np

from pipeline.lake.queries import query
from pipeline.publish.page.changes import Counts
from pipeline.publish.page.events import ALL
from pipeline.publish.page.names import Dimension

Row = dict[str, Any]

STATES: Final = ("sent", "delivered", "failed", "unknown", "invalid_id", "sending", "not_found", "pending")
PAIR_COUNTS: Final = ("sent", "delivered", "failed")
SPEEDS: Final = ("timed", "within_5s", "within_30s", "within_5min")
MONEY: Final = ("pay", "pay_failed")
KEYS: Final = ("country", "sender_id", "app_id")
"""Dimensions that every message has; further ones are labels, the network and the reason of failure."""


@dataclass(frozen=True)
class Reader:
    """Runs the queries of `sql/page/` by their names."""

    connection: duckdb.DuckDBPyConnection

    def run(self, name: str, **parameters: object) -> duckdb.DuckDBPyConnection:
        """Run a query."""
        return self.connection.execute(query(f"publish/sql/page/{name}"), parameters)

    def rows(self, name: str, **parameters: object) -> list[Row]:
        """Return its rows by column."""
        result = self.run(name, **parameters)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def columns(self, name: str, **parameters: object) -> dict[str, np.ma.MaskedArray[Any, Any]]:
        """Return its columns as arrays."""
        return {key: np.ma.asarray(v) for key, v in self.run(name, **parameters).fetchnumpy().items()}


@dataclass(frozen=True)
class Cube:
    """Fills arrays by place and bin of days with the rows of the queries."""

    reader: Reader
    dimensions: Sequence[Dimension]
    bins: int
    joint: int

    def series(self) -> dict[str, Counts]:
        """Return the states of messages, (rows, bins, STATES)."""
        columns = self.reader.columns("series")
        return self._by_dimension(columns, lambda size: (size, self.bins), ("place", "bin"), STATES)

    def hours(self) -> dict[str, Counts]:
        """Return sent and delivered, (rows, bins, weekday, hour, 2), of the rows that are split."""
        columns = self.reader.columns("hours", most=self.joint)
        columns["weekday"] = columns["weekday"] - 1
        axes, counts = ("place", "bin", "weekday", "hour"), ("sent", "delivered")
        return self._by_dimension(columns, lambda size: (min(size, self.joint), self.bins, 7, 24), axes, counts)

    def pairs(self) -> dict[tuple[str, str], Counts]:
        """Return the splits of country, sender and app by each other, (rows, rows, bins, PAIR_COUNTS)."""
        columns = self.reader.columns("pairs", most=self.joint)
        return {pair: self._pair(columns, pair) for pair in (KEYS[:2], KEYS[::2], KEYS[1:])}

    def further(self, one: Dimension) -> tuple[dict[tuple[str, str], Counts], Counts]:
        """Return the pairs of a further dimension, and how fast its messages were."""
        columns = self.reader.columns("further_pairs", most=self.joint, dimension=one.key)
        columns[one.key] = columns.pop("further")
        pairs = {(one.key, key): self._pair(columns, (one.key, key)) for key in KEYS}
        rows = _chosen(columns, _is_set(columns, "place"))
        return pairs, _filled(self._shape(one), [rows["place"].astype(int), rows["bin"]], rows, SPEEDS, dtype=np.int64)

    def speed(self) -> dict[str, Counts]:
        """Return how fast messages were, (rows, bins, SPEEDS)."""
        return self._by_column(self.reader.columns("speed"), SPEEDS, np.int64)

    def spend(self) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        """Return what was paid by currency and dimension."""
        columns = self.reader.columns("spend")
        found = {
            currency: self._by_column(_chosen(columns, columns["currency"] == currency), MONEY, float)
            for currency in sorted(set(columns["currency"].compressed()))
        }
        for one in self.dimensions[len(KEYS) :] if found else ():
            columns = self.reader.columns("further_spend", dimension=one.key)
            for currency, series in found.items():
                rows = _chosen(columns, columns["currency"] == currency)
                places = [rows["place"].astype(int), rows["bin"]]
                series[one.key] = _filled(self._shape(one), places, rows, MONEY, dtype=float)
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
        whole = _chosen(columns, np.logical_and.reduce([~_is_set(columns, key) for key in KEYS]))
        found = {ALL: _filled((1, self.bins), [0, whole["bin"]], whole, names, dtype=dtype)}
        for key in KEYS:
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
