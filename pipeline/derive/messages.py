"""Use case: from sent messages and answers to `messages`, and from these to the rate tables. No call is made.

A partition is replaced as a whole, in one commit, and only if a row of it changed. The target is opened
before its inputs are read: a commit that met another one is worked out again (see `lake.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import duckdb

from pipeline.derive.days import counted_days
from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.queries import Scalar, connect, literal, query, rows_of, same_rows, show_files, write_partition
from pipeline.lake.snapshots import mark_of, rows_in
from pipeline.model.settings import Settings
from pipeline.model.tables import (
    DELIVERY_REPORTS,
    MESSAGES,
    RATE_TABLES,
    SENT_MESSAGES,
    Table,
)

RATES: Final = "delivery_rates"
"""Name of the step that makes the rate tables."""
_DIMENSIONS: Final = {
    "all": "CAST(NULL AS VARCHAR)",
    "app_id": "app_id",
    "country": "country",
    "sender_id": "sender_id",
}
"""What messages are rolled up by, and the value in a row."""


@dataclass(frozen=True)
class DeriveTally:
    """What deriving did.

    Attributes:
        days: partitions looked at.
        replaced: partitions whose rows changed.
    """

    days: tuple[date, ...]
    replaced: tuple[date, ...]


@dataclass(frozen=True)
class _Change:
    """A partition's new files in place of its old ones, and the inputs they were made from."""

    transaction: str
    inputs: int
    add: tuple[DataFile, ...] = ()
    remove: tuple[DataFile, ...] = ()


def derive_messages(
    days: Collection[date],
    *,
    lake: Lake,
    settings: Settings,
    now: datetime,
    anew: bool = False,
    on_day: Callable[[date], None] = lambda _: None,
) -> DeriveTally:
    """Derive `messages` of some partitions, and of every other one that has messages or answers not derived yet.

    Args:
        days: partitions asked for.
        lake: where inputs and result are.
        settings: `SMS_UNKNOWN_AFTER_HOURS` and memory.
        now: the instant at which silence is judged: the run's start.
        anew: derive even where no input changed.
        on_day: told of each partition once it is as it should be, changed or not.
    """
    with (
        lake.days_changed([SENT_MESSAGES, DELIVERY_REPORTS], reader=MESSAGES.name) as changed,
        _database(lake, settings) as connection,
    ):
        wanted = sorted(set(days) | changed | _not_derived(lake))
        deriving = _Deriving(connection, lake, _as_of(settings, now), anew=anew)
        replaced = []
        for day in wanted:
            if retry(lambda day=day: deriving.messages(day)):  # type: ignore[misc] # mypy can't type a lambda's default
                replaced.append(day)
            on_day(day)
    return DeriveTally(tuple(wanted), tuple(replaced))


def derive_rates(
    days: Collection[date], *, lake: Lake, settings: Settings, now: datetime, anew: bool = False
) -> DeriveTally:
    """Derive the four rate tables of some partitions, and of every other one whose messages changed since.

    Arguments as for `derive_messages`; hours are cut in `SMS_TIMEZONE`.
    """
    replaced: set[date] = set()
    with lake.days_changed([MESSAGES], reader=RATES) as changed, _database(lake, settings) as connection:
        wanted = sorted(set(days) | changed | _not_counted(connection, lake))
        parameters = _as_of(settings, now) | {"zone": settings.timezone.key}
        deriving = _Deriving(connection, lake, parameters, anew=anew)
        for table in RATE_TABLES:
            replaced |= retry(lambda table=table: deriving.rates(table, wanted))  # type: ignore[misc] # as above
    return DeriveTally(tuple(wanted), tuple(sorted(replaced)))


@contextmanager
def _database(lake: Lake, settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with lake.scratch() as scratch, connect(memory_limit=settings.memory_limit, scratch=scratch) as connection:
        yield connection


def _as_of(settings: Settings, now: datetime) -> dict[str, Scalar]:
    return {"now": now, "unknown_after_seconds": settings.unknown_after.total_seconds()}


def _not_derived(lake: Lake) -> set[date]:
    """Days whose `messages` don't hold each sent message: logs of a neighbouring day, or a run that died."""
    sent = _rows_by_day(lake.snapshot(SENT_MESSAGES).files)
    derived = _rows_by_day(lake.snapshot(MESSAGES).files)
    return {day for day in sent.keys() | derived.keys() if sent[day] != derived[day]}


def _not_counted(connection: duckdb.DuckDBPyConnection, lake: Lake) -> set[date]:
    """Days whose rates don't count each message."""
    derived = _rows_by_day(lake.snapshot(MESSAGES).files)
    counted = Counter({day: counted.sent for day, counted in counted_days(connection, lake).items()})
    return {day for day in derived.keys() | counted.keys() if derived[day] != counted[day]}


def _rows_by_day(data_files: Iterable[DataFile]) -> Counter[date]:
    rows: Counter[date] = Counter()
    for file in data_files:
        if file.sent_date is not None:
            rows[file.sent_date] += file.rows
    return rows


@dataclass(frozen=True)
class _Deriving:
    connection: duckdb.DuckDBPyConnection
    lake: Lake
    parameters: Mapping[str, Scalar]
    anew: bool

    def messages(self, day: date) -> bool:
        """Replace one partition of `messages`; say whether a row changed."""
        target = self.lake.snapshot(MESSAGES)
        sent, reports = self.lake.snapshot(SENT_MESSAGES), self.lake.snapshot(DELIVERY_REPORTS)
        inputs = (*sent.of([day]), *reports.of([day]))
        present = target.of([day])
        transaction, state = f"messages/{day}", mark_of(inputs)
        if not inputs and not present:
            return False
        if not self.anew and target.transaction(transaction) == state and not self._has_new_verdicts(present):
            return False
        new = self._judged(day, sent.of([day]), reports.of([day]))
        return bool(self._commit(target, [self._change(MESSAGES, transaction, state, new, present)]))

    def rates(self, table: Table, days: Sequence[date]) -> set[date]:
        """Replace partitions of a rate table; return the days of which a row changed."""
        target = self.lake.snapshot(table)
        messages = self.lake.snapshot(MESSAGES)
        changes = []
        for day in days:
            inputs, present = messages.of([day]), target.of([day])
            transaction, state = f"{table.name}/{day}", mark_of(inputs)
            if not inputs and not present:
                continue
            if not self.anew and target.transaction(transaction) == state and self._is_mature(table, present):
                continue
            show_files(self.connection, MESSAGES, inputs)
            new = self._counted(table, day)
            changes.append(self._change(table, transaction, state, new, present))
        return self._commit(target, changes)

    def _judged(self, day: date, sent: Sequence[DataFile], reports: Sequence[DataFile]) -> DataFile | None:
        """Write a partition of `messages`: each answer taken for its message's only one, as long as that holds.

        Two answers of a message would be two rows of it, and a message without one is a row, too: there are as many
        rows as messages only where no message has two answers.
        """
        show_files(self.connection, SENT_MESSAGES, sent)
        show_files(self.connection, DELIVERY_REPORTS, reports)
        if rows_in(reports) <= rows_in(sent):
            new = self._written(MESSAGES, day, selects_of(MESSAGES, states="states_of_single_answers"))
            if new is None or new.rows == rows_in(sent):
                return new
            _discard([new])
        return self._written(MESSAGES, day, selects_of(MESSAGES))

    def _counted(self, table: Table, day: date) -> DataFile | None:
        """Write a partition of a rate table from the messages shown."""
        if "sent_hour" not in table.column_names:
            return self._written(table, day, selects_of(table))
        shifts = rows_of(self.connection, query("derive/sql/hour_shifts"), {"zone": self.parameters["zone"]})
        if len(shifts) != 1:
            return self._written(table, day, selects_of(table))
        select = selects_of(table, hours="messages_by_shifted_hour")
        return self._written(table, day, select, {"shift": shifts[0][0]})

    def _has_new_verdicts(self, present: Sequence[DataFile]) -> bool:
        """Say whether time alone has made a message `unknown` since the partition was derived."""
        show_files(self.connection, MESSAGES, present)
        return bool(rows_of(self.connection, query("derive/sql/new_verdicts"), self.parameters))

    def _is_mature(self, table: Table, present: Sequence[DataFile]) -> bool:
        """Say whether no `is_mature` can change by time alone: messages that were asked for become unknown first."""
        show_files(self.connection, table, present)
        return not rows_of(self.connection, f"SELECT 1 FROM {table.name} WHERE NOT is_mature AND pending > 0 LIMIT 1")

    def _written(
        self, table: Table, day: date, selects: Sequence[str], more: Mapping[str, Scalar] | None = None
    ) -> DataFile | None:
        """Write what queries with these and `more` parameters give as a new file; None where that is no row."""
        parameters = {**self.parameters, **(more or {})}
        select, *others = selects
        used = {name: value for name, value in parameters.items() if f"${name}" in select}
        if others:
            select, used = self._gathered(selects, used), {}
        return write_partition(self.connection, self.lake, table, select=select, day=day, parameters=used)

    def _change(
        self, table: Table, transaction: str, inputs: int, new: DataFile | None, present: Sequence[DataFile]
    ) -> _Change:
        """Put a new file in place of the present ones, unless it holds the same rows."""
        add = (new,) if new else ()
        if same_rows(self.connection, table, add, present):
            _discard(add)
            return _Change(transaction, inputs)
        return _Change(transaction, inputs, add, tuple(present))

    def _gathered(self, selects: Sequence[str], parameters: Mapping[str, Scalar]) -> str:
        """Run queries one after the other; return a query of all their rows."""
        made = "CREATE OR REPLACE TEMP TABLE gathered AS"
        for select in selects:
            self.connection.execute(f"{made} {select}", dict(parameters))
            made = "INSERT INTO gathered"
        return "SELECT * FROM gathered"

    def _commit(self, target: Snapshot, changes: Sequence[_Change]) -> set[date]:
        """Commit partitions that changed; where none did, the inputs are recorded only if they differ."""
        noted = [c for c in changes if c.add or c.remove or target.transaction(c.transaction) != c.inputs]
        if not noted:
            return set()
        self.lake.commit(
            target,
            add=[file for change in noted for file in change.add],
            remove=[file for change in noted for file in change.remove],
            transactions={change.transaction: change.inputs for change in noted},
        )
        return {file.sent_date for c in noted for file in (*c.add, *c.remove) if file.sent_date}


def selects_of(table: Table, *, states: str = "states_of_answers", hours: str = "messages_by_hour") -> list[str]:
    """Return the queries that make a table's partition together: of a roll-up one for each dimension.

    Args:
        table: `messages` or a rate table.
        states: query of this room by which answers become states.
        hours: query of this room that gives messages their local hour.
    """
    select = query(f"derive/sql/{table.name}")
    for part, name in {"states": states, "messages_by_hour": hours, "rate_measures": "rate_measures"}.items():
        select = select.replace(f"/* {part} */", query(f"derive/sql/{name}"))
    if "/* dimension */" not in select:
        return [select]
    return [
        select.replace("/* dimension */", literal(dimension)).replace("/* value */", value)
        for dimension, value in _DIMENSIONS.items()
    ]


def _discard(data_files: Iterable[DataFile]) -> None:
    for file in data_files:
        file.path.unlink(missing_ok=True)
