"""Use case: drop messages and phone numbers that are older than `SMS_KEEP_DAYS` and `SMS_KEEP_NUMBERS_DAYS`.

What belongs here: which days go, dropping their rows, and numbers of rows that stay. What does not: deleting files
(`clean.py`), erasing one number everywhere (`forget.py`).

The days are noted in the lake before a row goes (`lake/kept_days.py`). A run that is under way may still store rows of
a day that was dropped, and a kill may leave some: the next time takes them out. Rates stay as they are. Replaced files
hold the rows until `clean` deletes them, `SMS_SNAPSHOT_HOURS` later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

import duckdb

from pipeline.derive.days import counted_days, days_that_differ, rows_by_day
from pipeline.follow.record_days import midnight
from pipeline.lake.kept_days import kept_days, note_kept_days
from pipeline.lake.lake import DataFile, Lake, retry
from pipeline.lake.notes import days_changed
from pipeline.lake.queries import database, literal, relation, rows_of, write_partition
from pipeline.lake.snapshots import marks_of, rows_in
from pipeline.model.json_fields import fit_json
from pipeline.model.kept_days import KeptDays
from pipeline.model.phone_numbers import MAY_HOLD_NUMBER, NO_NUMBERS, mask_text, treat_text
from pipeline.model.settings import Settings
from pipeline.model.tables import (
    API_CALLS,
    DELIVERY_REPORTS,
    MESSAGES,
    PLATFORM_RECORD,
    PUSHED_REPORTS,
    RECORD_READS,
    REJECTED_RECORDS,
    SENT_MESSAGES,
    Table,
)

DROPPED: Final = (
    PUSHED_REPORTS,  # before sent_messages: reports of messages that no log has would move to the partition without day
    SENT_MESSAGES,
    MESSAGES,
    DELIVERY_REPORTS,
    API_CALLS,
    REJECTED_RECORDS,
    PLATFORM_RECORD,
    RECORD_READS,
)
"""Tables that lose old days, in this order."""
_WITH_NUMBERS: Final = (
    SENT_MESSAGES,
    DELIVERY_REPORTS,
    PUSHED_REPORTS,
    PLATFORM_RECORD,
    REJECTED_RECORDS,
    API_CALLS,
    MESSAGES,  # last: a run that derives it meanwhile reads the others
)
_CAME_AT: Final[Mapping[Table, str]] = {PUSHED_REPORTS: "received_at", REJECTED_RECORDS: "rejected_at"}
"""Tables with rows without a day, and when such a row came."""
_NUMBERS: Final = "numbers_dropped"
"""Name of the mark of the days whose numbers were dropped."""
IDLE: Final = timedelta(days=31)
"""Age is counted up to this long after the latest message or answer: a clock that is ahead must not empty the lake."""
_STORED_FORMS: Final = {"hash": "^[0-9a-f]{64}$", "mask": "^[*]+[0-9]{4}$"}
"""A whole number in `order_id`, as SMS_NUMBERS stores it."""
_PRICES: Final = ("pricedetail",)
"""Fields of `extra` that hold digits and no number; prices are derived from them."""


@dataclass
class RetainTally:
    """What was dropped: rows by table, and rows that lost their number, by table.

    Attributes:
        kept: the days as they are noted.
    """

    kept: KeptDays
    rows: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)

    @property
    def is_change(self) -> bool:
        """Whether something was dropped."""
        return bool(self.rows or self.numbers)

    def __str__(self) -> str:
        rows, numbers = (", ".join(f"{count:,} {name}" for name, count in f.items()) for f in (self.rows, self.numbers))
        return f"dropped: {rows or 'nothing'}; numbers of: {numbers or 'nothing'}"


def retain(*, lake: Lake, settings: Settings, now: datetime) -> RetainTally:
    """Drop what is older than the settings say, and what came back of days that were dropped before.

    Days from the first on of which messages or rates are not derived yet are kept.

    The caller then publishes, and calls `clean`.

    Raises:
        LakeError: the lake can't be read or written.
    """
    noted = kept_days(lake, newest=True)
    wanted = _wanted(lake, settings, now, noted)
    if noted.later(wanted) != noted:
        noted = note_kept_days(lake, wanted)
    tally = RetainTally(noted)
    with database(lake, settings) as connection:
        dropping = _Dropping(connection, lake, settings, noted)
        if noted.messages_from:
            for table in DROPPED:
                tally.rows[table.name] = retry(partial(dropping.drop, table))
        if noted.numbers_from:
            _use_hidden(connection)
            with days_changed(lake, _WITH_NUMBERS, reader=_NUMBERS, before=noted.numbers) as changed:
                for table in _WITH_NUMBERS:
                    tally.numbers[table.name] = retry(partial(dropping.erase_numbers, table, changed))
    tally.rows, tally.numbers = +tally.rows, +tally.numbers
    return tally


def counted_from(lake: Lake, settings: Settings, now: datetime) -> date | None:
    """Return the day that ages are counted from: today, or `IDLE` after the latest message or answer in the lake.

    None where the lake has neither.

    Raises:
        LakeError: the lake can't be read.
    """
    latest = lake.snapshot(DELIVERY_REPORTS).latest
    seen = [*lake.snapshot(SENT_MESSAGES).days()[-1:], *([settings.today(latest)] if latest else [])]
    return min(settings.today(now), max(seen) + IDLE) if seen else None


def _wanted(lake: Lake, settings: Settings, now: datetime, noted: KeptDays) -> KeptDays:
    today = counted_from(lake, settings, now)

    def first(days: int | None) -> date:
        return date.min if days is None or today is None else today - timedelta(days=days)

    messages = first(settings.keep_days)
    if messages > noted.messages:  # rates of a dropped day are not derived again
        messages = min([messages, *(day for day in _not_derived(lake, settings) if day >= noted.messages)])
    return KeptDays(messages, first(settings.keep_numbers_days))


def _not_derived(lake: Lake, settings: Settings) -> set[date]:
    """Return the days of which `messages` or the rates lack messages, as the next run finds them, too."""
    sent, derived = rows_by_day(SENT_MESSAGES, lake=lake), rows_by_day(MESSAGES, lake=lake)
    with database(lake, settings) as connection:
        counted = Counter({day: of_day.sent for day, of_day in counted_days(connection, lake).items()})
    return days_that_differ(sent, derived) | {day for day in derived if derived[day] != counted[day]}


@dataclass(frozen=True)
class _Dropping:
    """Takes old rows, or their numbers, out of a table, in one commit."""

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    settings: Settings
    kept: KeptDays

    def drop(self, table: Table) -> int:
        """Take out the days before the first that is kept, and rows without a day that came before it; count them."""
        present = self.lake.snapshot(table)
        remove = [file for file in present.files if file.sent_date and file.sent_date < self.kept.messages]
        dateless = present.of([None])
        is_old = self._is_old(table, None, self.kept.messages)
        add: list[DataFile] = []
        if self._count(table, dateless, is_old):
            select = f"SELECT * FROM ({relation(table, dateless)}) WHERE NOT ({is_old})"
            new = write_partition(self.connection, self.lake, table, select=select, day=None)
            add += [new] if new else []
            remove += dateless
        if remove:
            self.lake.commit(present, add=add, remove=remove, transactions=marks_of(present, remove))
        return rows_in(remove) - rows_in(add)

    def erase_numbers(self, table: Table, days: Collection[date]) -> int:
        """Take the numbers out of some days, and out of old rows without a day; count the rows that had one."""
        present, columns = self.lake.snapshot(table), _without_numbers(table, self.settings)
        holds = " OR ".join(f"{name} IS DISTINCT FROM {without}" for name, without in columns.items())
        total, add, remove = 0, list[DataFile](), list[DataFile]()
        for file in present.of({*days, None}):
            is_old = self._is_old(table, file.sent_date, self.kept.numbers)
            if rows := self._count(table, [file], f"({is_old}) AND ({holds})"):
                cases = (f"CASE WHEN {is_old} THEN {sql} ELSE {name} END AS {name}" for name, sql in columns.items())
                select = f"SELECT * REPLACE ({', '.join(cases)}) FROM ({relation(table, [file])})"
                new = write_partition(self.connection, self.lake, table, select=select, day=file.sent_date)
                add += [new] if new else []
                remove.append(file)
                total += rows
        if remove:
            self.lake.commit(present, add=add, remove=remove, transactions=marks_of(present, remove))
        return total

    def _is_old(self, table: Table, day: date | None, first: date) -> str:
        """Return the condition that a row of a partition is older than a day; of one without a day, that it came so."""
        if day:
            return "true" if day < first else "false"
        came_at, start = _CAME_AT.get(table), midnight(first, self.settings).isoformat()
        return f"coalesce({came_at} < TIMESTAMPTZ {literal(start)}, false)" if came_at else "false"

    def _count(self, table: Table, files: Sequence[DataFile], condition: str) -> int:
        if not files:
            return 0
        ((rows,),) = rows_of(self.connection, f"SELECT count(*) FROM ({relation(table, files)}) WHERE {condition}")
        return int(rows)


def _use_hidden(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the functions that hide numbers in text, as `SMS_NUMBERS=drop` does; of a number nothing is left."""
    functions: dict[str, Callable[[str], str]] = {
        "hidden_number": lambda text: treat_text(text, NO_NUMBERS) or "",
        "hidden_in_text": lambda text: mask_text(text, NO_NUMBERS),
        "hidden_in_json": lambda text: fit_json(text, NO_NUMBERS, spared=_PRICES),
    }
    for name, function in functions.items():
        connection.create_function(name, function, ["VARCHAR"], "VARCHAR")


def _without_numbers(table: Table, settings: Settings) -> dict[str, str]:
    """Return for each column of a table that may hold a number the SQL of its value without."""
    order_id = _hidden("order_id", "nullif(hidden_number(order_id), '')")
    if form := _STORED_FORMS.get(settings.numbers):
        order_id = f"CASE WHEN regexp_matches(order_id, {literal(form)}) THEN NULL ELSE {order_id} END"
    merged = "json_merge_patch(raw, '{\"number\":null}')::VARCHAR"  # of what is no object this would leave nothing
    of_object = f"CASE WHEN json_exists(raw, '$.number') THEN {merged} ELSE raw END"
    without_field = f"CASE WHEN json_valid(raw) THEN {of_object} ELSE raw END"
    columns = {
        "number": "CAST(NULL AS VARCHAR)",
        "order_id": order_id,
        "raw": _hidden(f"({without_field})", f"hidden_in_text({without_field})"),
        "extra": _hidden("extra", "hidden_in_json(extra)"),
        "error": _hidden("error", "hidden_in_text(error)"),
    }
    if table in {REJECTED_RECORDS, API_CALLS}:  # that of a pushed report comes without numbers
        columns["reason"] = _hidden("reason", "hidden_in_text(reason)")
    return {name: sql for name, sql in columns.items() if name in table.column_names}


def _hidden(text: str, hidden: str) -> str:
    return f"CASE WHEN regexp_matches({text}, {literal(MAY_HOLD_NUMBER)}) THEN {hidden} ELSE {text} END"
