"""Use case: erase a phone number from every table, old files included.

Messages stay and are counted as before. The ids of the messages concerned are recorded, so that later answers for them
are stored without a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import duckdb

from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.notes import note_forgotten
from pipeline.lake.queries import database, literal, relation, rows_of, show_files, write_partition
from pipeline.model.errors import SettingsError
from pipeline.model.phone_numbers import digits_of, treat_number
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import (
    API_CALLS,
    DELIVERY_REPORTS,
    LAKE_TABLES,
    MESSAGES,
    RATE_PUBLICATIONS,
    REJECTED_RECORDS,
    SENT_MESSAGES,
    Table,
)
from pipeline.publish.cache import delete_cache

SHORTEST: Final = 7
"""Fewest digits of a phone number: erasing a shorter text would change other numbers."""
_TABLES: Final = (SENT_MESSAGES, DELIVERY_REPORTS, MESSAGES, REJECTED_RECORDS, API_CALLS, RATE_PUBLICATIONS)
"""Tables that are rewritten. The caller derives rates from `messages` again."""
_FREE_TEXT: Final = ("raw", "reason", "extra", "error", "sender_id", "order_id", "value")


@dataclass
class ForgetTally:
    """Rows from which the number was erased, by table, and rows that still hold it."""

    rows: dict[str, int] = field(default_factory=dict)
    left: int = 0


@dataclass(frozen=True)
class _Number:
    """A number to erase: its stored form in the column `number`, and a pattern for free text."""

    stored: str | None
    pattern: str

    def condition(self, table: Table) -> str:
        """Return the SQL condition for rows that hold the number."""
        parts = [f"regexp_matches({name}, {literal(self.pattern)})" for name in _free_text_of(table)]
        if "number" in table.column_names and self.stored is not None:
            parts.append(f"number = {literal(self.stored)}")
        return " OR ".join(f"coalesce({part}, false)" for part in parts) or "false"

    def erased(self, table: Table) -> str:
        """Return the SELECT of a table's rows without the number; a recorded bucket named by it is dropped."""
        if table is RATE_PUBLICATIONS:
            return f"SELECT * FROM {table.name} WHERE NOT ({self.condition(table)})"
        parts = [f"regexp_replace({name}, {literal(self.pattern)}, '', 'g') AS {name}" for name in _free_text_of(table)]
        if "number" in table.column_names and self.stored is not None:
            parts.append(f"CASE WHEN number = {literal(self.stored)} THEN NULL ELSE number END AS number")
        return f"SELECT * REPLACE ({', '.join(parts)}) FROM {table.name}"


def forget(number: str, *, lake: Lake, settings: Settings) -> ForgetTally:
    """Rewrite every file that holds the number.

    The caller then derives the rates again (a number may be logged as sender), publishes, and calls `remove_old_files`.
    With `SMS_NUMBERS=mask` every number that is masked to the same text is erased.

    Raises:
        SettingsError: the text is no phone number.
        LakeError: the lake can't be read or written.
    """
    wanted = _number(number, settings)
    tally = ForgetTally()
    with database(lake, settings) as connection:
        _note_messages(connection, lake, wanted)
        for table in _TABLES:
            tally.rows[table.name] = _erase(connection, lake, table, wanted)
    delete_cache(lake)
    return tally


def remove_old_files(number: str, *, lake: Lake, settings: Settings, tally: ForgetTally) -> None:
    """Delete every file that no table names; count in `tally.left` the rows of the other files that hold the number.

    Files that a running run has not committed yet stay. If one holds the number, `forget` must be repeated.
    """
    wanted = _number(number, settings)
    at_work_since = lake.working_since() or datetime.now(UTC)
    for table in LAKE_TABLES:
        lake.delete_unnamed(table, written_before=at_work_since)
    with database(lake, settings) as connection:
        for table in LAKE_TABLES:
            show_files(connection, table, lake.files_there(table))
            ((rows,),) = rows_of(connection, f"SELECT count(*) FROM {table.name} WHERE {wanted.condition(table)}")
            tally.left += rows


def _number(text: str, settings: Settings) -> _Number:
    digits = digits_of(text) or ""
    if len(digits) < SHORTEST:
        raise SettingsError(f"NUMBER: has fewer than {SHORTEST} digits, so it is no phone number")
    return _Number(treat_number(digits, number_policy(settings)), r"\+?" + r"[\s().-]*".join(digits))


def _free_text_of(table: Table) -> list[str]:
    return [name for name in _FREE_TEXT if name in table.column_names]


def _note_messages(connection: duckdb.DuckDBPyConnection, lake: Lake, wanted: _Number) -> None:
    """Record the ids of the messages concerned: later answers for them are stored without a number."""
    found: set[tuple[str, str]] = set()
    for table in (SENT_MESSAGES, DELIVERY_REPORTS):
        show_files(connection, table, lake.snapshot(table).files)
        found |= set(
            rows_of(connection, f"SELECT DISTINCT app_id, msg_id FROM {table.name} WHERE {wanted.condition(table)}")
        )
    if found:
        note_forgotten(lake, found)


def _erase(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, wanted: _Number) -> int:
    return retry(lambda: _erase_once(connection, lake, lake.snapshot(table), wanted))


def _erase_once(connection: duckdb.DuckDBPyConnection, lake: Lake, present: Snapshot, wanted: _Number) -> int:
    table, rows = present.table, 0
    add: list[DataFile] = []
    remove: list[DataFile] = []
    for file, hits in _files_with(connection, present, wanted):
        show_files(connection, table, [file])
        new = write_partition(connection, lake, table, select=wanted.erased(table), day=file.sent_date)
        add += [new] if new else []
        remove.append(file)
        rows += hits
    if remove:
        lake.commit(present, add=add, remove=remove, transactions=_marks(present, remove))
    return rows


def _files_with(
    connection: duckdb.DuckDBPyConnection, present: Snapshot, wanted: _Number
) -> Iterable[tuple[DataFile, int]]:
    for file in present.files:
        source = relation(present.table, [file])
        ((hits,),) = rows_of(connection, f"SELECT count(*) FROM ({source}) WHERE {wanted.condition(present.table)}")
        if hits:
            yield file, hits


def _marks(present: Snapshot, remove: Sequence[DataFile]) -> dict[str, int]:
    """Change the transactions that a derivation records, so that one under way starts again from the new files."""
    names = {f"{present.table.name}/{file.sent_date}" for file in remove}
    return {name: (present.transaction(name) or 0) ^ 1 for name in sorted(names)}
