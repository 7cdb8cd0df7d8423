"""Replaces partitions of a derived table whose inputs changed, and only where a row changed.

What belongs here: when a partition is derived again, and its commit. What does not: which queries derive it
(`messages.py`, `rates.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.queries import (
    Scalar,
    rows_of,
    same_rows,
    show_files,
    used_in,
    write_partition,
    write_partitions,
)
from pipeline.lake.snapshots import fingerprint_of, inputs_key, layout_of, rows_in
from pipeline.model.progress import Progress, untold
from pipeline.model.tables import Table


@dataclass(frozen=True)
class DeriveTally:
    """What deriving did: the partitions looked at, and those of them whose rows changed."""

    days: tuple[date, ...]
    replaced: tuple[date, ...]

    def __str__(self) -> str:
        return f"{len(self.replaced)} of {len(self.days)} days changed"


@dataclass(frozen=True)
class _Work:
    """A partition that may have changed: rows of its inputs, its present files, the inputs that it is made from."""

    day: date
    rows: int
    present: tuple[DataFile, ...]
    made_of: Mapping[str, int]


@dataclass(frozen=True)
class _Replacement:
    """The new file of a partition (none if no row changed), the files it replaces, the inputs it was made from."""

    made_of: Mapping[str, int]
    add: tuple[DataFile, ...] = ()
    remove: tuple[DataFile, ...] = ()


@dataclass(frozen=True)
class Derivation:
    """How partitions of a table are derived.

    Attributes:
        connection: where queries are run.
        lake: where inputs and results are.
        table: the derived table.
        inputs: tables whose files of the same day it is derived from.
        additions: tables whose files of the same day add columns, and never a row: what is said of the derived table's
            inputs (`is_derived`) is not said of them.
        selects: queries whose rows together are the partitions.
        outdated: query of the derived table with a row if time alone may have changed the partition.
        parameters: parameters of the queries.
        anew: derive even if no input changed.
        rows_at_once: rows of the inputs up to which days are derived together, by queries that give `sent_date`: a
            query costs as much for a thousand rows as for ten thousand.
        on_progress: told how many partitions were looked at.
    """

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    table: Table
    inputs: tuple[Table, ...]
    additions: tuple[Table, ...]
    selects: tuple[str, ...]
    outdated: str
    parameters: Mapping[str, Scalar]
    anew: bool
    rows_at_once: int
    on_progress: Progress = untold

    def replace(self, days: Collection[date]) -> set[date]:
        """Replace some partitions in one commit; return the days of which a row changed.

        The derived table's snapshot is taken before those of its inputs. An answer that arrives later changes the
        inputs, and a commit of the same partition by another run makes this one stale: it is worked out again.
        Days whose messages were dropped stay as they are. That is noted before rows go, so it is read after the inputs.
        """
        return retry(lambda: self._replace(days))

    def _replace(self, days: Collection[date]) -> set[date]:
        target = self.lake.snapshot(self.table)
        inputs = [self.lake.snapshot(table) for table in self.inputs]
        additions = [self.lake.snapshot(table) for table in self.additions]
        looked_at = [self._work(day, target, inputs, additions) for day in days]
        first = kept_days(self.lake, newest=True).messages if any(looked_at) else date.min
        work, found = [one for one in looked_at if one and one.day >= first], list[_Replacement]()
        self.on_progress(len(days) - len(work), len(days))
        for group in self._together(work):
            for replacement in self._derived(group, (*inputs, *additions)):
                found.append(replacement)
                self.on_progress(len(days) - len(work) + len(found), len(days))
        changes = [one for one in found if one.add or one.remove or _is_news(one.made_of, target)]
        add, remove = [file for one in changes for file in one.add], [file for one in changes for file in one.remove]
        if changes:
            made_of = {name: version for one in changes for name, version in one.made_of.items()}
            self.lake.commit(target, add=add, remove=remove, transactions=made_of)
        return {file.sent_date for file in (*add, *remove) if file.sent_date}

    def _work(
        self, day: date, target: Snapshot, inputs: Sequence[Snapshot], additions: Sequence[Snapshot]
    ) -> _Work | None:
        """Return what is to be derived of a day; None if it can't have changed."""
        files, present = [file for snapshot in inputs for file in snapshot.of([day])], tuple(target.of([day]))
        if not files and not present:
            return None
        made_of = {inputs_key(self.table, day): fingerprint_of(files)}
        for snapshot in additions:
            made_of |= _key_of_addition(snapshot, target, day)
        if not self.anew and not _is_news(made_of, target) and not self._is_outdated(present):
            return None
        return _Work(day, rows_in(files), present, made_of)

    def _is_outdated(self, present: Sequence[DataFile]) -> bool:
        show_files(self.connection, self.table, present)
        return bool(rows_of(self.connection, self.outdated, self.parameters))

    def _together(self, work: Sequence[_Work]) -> Iterator[list[_Work]]:
        by_day = {one.day: one for one in work}
        for days in groups_of_days(by_day, {one.day: one.rows for one in work}, self.rows_at_once):
            yield [by_day[day] for day in days]

    def _derived(self, group: Sequence[_Work], sources: Sequence[Snapshot]) -> Iterator[_Replacement]:
        """Derive partitions; their files are written but not committed. Of one day rows are streamed."""
        for snapshot in sources:
            show_files(self.connection, snapshot.table, snapshot.of([one.day for one in group]))
        select = self.selects[0] if len(self.selects) == 1 else self._gathered()
        connection, lake, table, parameters = self.connection, self.lake, self.table, self.parameters
        new: dict[date, DataFile | None] = {}
        if len(group) > 1:
            days = [one.day for one in group]
            new |= write_partitions(connection, lake, table, select=select, days=days, parameters=parameters)
        else:
            day = group[0].day
            new[day] = write_partition(connection, lake, table, select=select, day=day, parameters=parameters)
        for one in group:
            yield self._replacement(one, new.get(one.day))

    def _gathered(self) -> str:
        """Run the queries one after the other, to bound memory; return a query of all their rows."""
        statement = "CREATE OR REPLACE TEMP TABLE gathered AS"
        for select in self.selects:
            self.connection.execute(f"{statement} {select}", used_in(select, self.parameters))
            statement = "INSERT INTO gathered"
        return "SELECT * FROM gathered"

    def _replacement(self, work: _Work, new: DataFile | None) -> _Replacement:
        """Keep a new file if a row changed, or if the former one lacks columns that came since."""
        add = (new,) if new else ()
        lacks_columns = any(layout_of(file) < self.table.layout for file in work.present)
        if not lacks_columns and same_rows(self.connection, self.table, add, work.present):
            if new:
                new.path.unlink()
            return _Replacement(work.made_of)
        return _Replacement(work.made_of, add, work.present)


def groups_of_days(days: Iterable[date], rows: Mapping[date, int], most: int) -> Iterator[list[date]]:
    """Yield the days in their order, in groups of at most so many rows; one that has more is alone."""
    group: list[date] = []
    for day in days:
        if group and sum(rows[each] for each in (*group, day)) > most:
            yield group
            group = []
        group.append(day)
    if group:
        yield group


def _key_of_addition(addition: Snapshot, target: Snapshot, day: date) -> dict[str, int]:
    """Return the transaction for the files of an addition; none for a day that never had any."""
    name, now = f"{inputs_key(target.table, day)}/{addition.table.name}", fingerprint_of(addition.of([day]))
    return {name: now} if now or target.transaction(name) is not None else {}


def _is_news(made_of: Mapping[str, int], target: Snapshot) -> bool:
    return any(target.transaction(name) != version for name, version in made_of.items())
