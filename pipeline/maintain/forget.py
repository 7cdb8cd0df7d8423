"""Use case: erase a phone number from every table, old files included.

Messages stay and are counted as before. The ids of the messages concerned are recorded, so that later answers for them
are stored without a number.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import duckdb

from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.notes import note_forgotten, note_forgotten_number
from pipeline.lake.queries import database, literal, relation, rows_of, write_partition
from pipeline.model.errors import SettingsError
from pipeline.model.phone_numbers import digits_of, treat_number
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import DELIVERY_REPORTS, DETAIL_TABLES, LAKE_TABLES, RATE_PUBLICATIONS, SENT_MESSAGES, Table
from pipeline.publish.cache import delete_cache
from pipeline.publish.database import PUBLISHING
from pipeline.publish.swap import remove_old_versions

SHORTEST: Final = 7
"""Fewest digits of a phone number: erasing a shorter text would change other numbers."""
_LABELS: Final = "labels"
_FREE_TEXT: Final = ("raw", "reason", "extra", "error", "sender_id", "order_id", "value")
_BETWEEN: Final = r"(?:[^\pL\pN]|[(\[]\s*0\s*[)\]]|\\[bfnrt]|\\u[0-9A-Fa-f]{4})*"
"""What may stand between two digits of a number, in JSON text too."""
_KEYS: Final = ("app_id", "msg_id", "file")
"""Columns in which a number stays: without an id no answer finds its message, and a log is known by its name."""


@dataclass(frozen=True)
class _Number:
    """A number to erase: its stored form in the column `number`, and a pattern for free text, its digits."""

    stored: str | None
    pattern: str
    digits: str

    def kept_in(self, table: Table) -> str:
        """Return the SQL condition for rows that have the number in a key, where it stays."""
        pattern = literal(self.pattern)
        keys = [name for name in _KEYS if name in table.column_names]
        return " OR ".join(f"coalesce(regexp_matches({name}, {pattern}), false)" for name in keys) or "false"

    def _columns(self, table: Table) -> dict[str, tuple[str, str]]:
        """Return for each column that may hold the number the SQL that says whether it does, and its text without."""
        pattern = literal(self.pattern)
        columns = {
            name: (f"regexp_matches({name}, {pattern})", f"nullif(regexp_replace({name}, {pattern}, '', 'g'), '')")
            for name in _FREE_TEXT
        }
        if self.stored is not None:
            columns["number"] = (f"number = {literal(self.stored)}", f"nullif(number, {literal(self.stored)})")
        value = f"regexp_replace(label.value, {pattern}, '', 'g')"
        entries = f"list_transform(map_entries({_LABELS}), lambda label: {{'key': label.key, 'value': {value}}})"
        columns[_LABELS] = (
            f"regexp_matches(map_values({_LABELS})::VARCHAR, {pattern})",
            f"map_from_entries({entries})",
        )
        return {name: sql for name, sql in columns.items() if name in table.column_names}

    def condition(self, table: Table) -> str:
        """Return the SQL condition for rows that hold the number."""
        return " OR ".join(f"coalesce({holds}, false)" for holds, _ in self._columns(table).values()) or "false"

    def erased(self, table: Table, source: str) -> str:
        """Return the SELECT of a table's rows without the number; a recorded bucket named by it is dropped."""
        if table is RATE_PUBLICATIONS:
            return f"SELECT * FROM ({source}) WHERE NOT ({self.condition(table)})"
        columns = ", ".join(f"{without} AS {name}" for name, (_, without) in self._columns(table).items())
        return f"SELECT * REPLACE ({columns}) FROM ({source})"


def forget(number: str, *, lake: Lake, settings: Settings, on_progress: Progress = untold) -> dict[str, int]:
    """Rewrite every file that holds the number; return the rows from which it was erased, by table.

    The caller then derives the rates again (a number may be logged as sender), publishes, and calls `remove_old_files`.
    With `SMS_NUMBERS=mask` every number that is masked to the same text is erased. `on_progress` is told the files.

    Raises:
        SettingsError: the text is no phone number.
        LakeError: the lake can't be read or written.
    """
    wanted = _number(number, settings)
    note_forgotten_number(lake, wanted.digits)
    with database(lake, settings) as connection:
        _note_messages(connection, lake, wanted)
        tables = DETAIL_TABLES[::-1]  # `messages` last: a run that derives it meanwhile reads the others
        counts, rows = [len(lake.snapshot(table).files) for table in tables], dict[str, int]()
        for place, table in enumerate(tables):
            told = partial(_tell, on_progress, sum(counts[:place]), sum(counts))
            rows[table.name] = retry(partial(_erase, connection, lake, table, wanted, told))
    delete_cache(lake)
    return rows


def remove_old_files(number: str, *, lake: Lake, settings: Settings, on_progress: Progress = untold) -> int:
    """Delete old versions of the published file and every file that no table names; return the rows that are left.

    These are the rows of the other files that hold the number. `on_progress` is told the tables.

    Files that a running run has not committed yet stay. If one holds the number, `forget` must be repeated.
    """
    wanted = _number(number, settings)
    with lake.lock(PUBLISHING):
        remove_old_versions(settings.duckdb, at_once=True)
    at_work_since = lake.working_since() or datetime.now(UTC)
    for table in LAKE_TABLES:
        lake.delete_unnamed(table, written_before=at_work_since)
    left = 0
    with database(lake, settings) as connection:
        for done, table in enumerate(LAKE_TABLES, 1):
            left += _rows_with(connection, table, lake.files_there(table), wanted)
            on_progress(done, len(LAKE_TABLES))
    return left


def rows_that_keep(number: str, *, lake: Lake, settings: Settings) -> int:
    """Return how many rows have the number in a key (`app_id`, `msg_id`, the name of a log), where it stays.

    Entries of the Delta logs and notes of the lake that name such a log or message count too.
    """
    wanted = _number(number, settings)
    with database(lake, settings) as connection:
        found = (
            rows_of(
                connection,
                f"SELECT count(*) FROM ({relation(table, lake.snapshot(table).files)}) WHERE {wanted.kept_in(table)}",
            )
            for table in LAKE_TABLES
        )
        rows = sum(int(count) for ((count,),) in found)
    notes = (path for form in ("*.json", "*/_delta_log/*.json") for path in lake.folder.glob(form))
    pattern = re.compile(wanted.pattern.replace(r"[^\pL\pN]", r"[\W_]"))
    return rows + sum(pattern.search(path.read_text("utf-8")) is not None for path in notes)


def _number(text: str, settings: Settings) -> _Number:
    digits = digits_of(text) or ""
    if len(digits) < SHORTEST:
        raise SettingsError(f"NUMBER: has fewer than {SHORTEST} digits, so it is no phone number")
    stored = treat_number(digits, number_policy(settings))
    spellings = [
        r"\+?" + _BETWEEN.join(map(_any_script, digits)),
        *([re.escape(stored)] if stored else []),
    ]  # `raw` has the stored form
    return _Number(stored, "|".join(spellings), digits)


@functools.cache
def _any_script(digit: str) -> str:
    """Return a pattern for a digit in any script."""
    signs = (chr(code) for code in range(sys.maxunicode + 1))
    return f"[{''.join(sign for sign in signs if unicodedata.digit(sign, None) == int(digit))}]"


def _note_messages(connection: duckdb.DuckDBPyConnection, lake: Lake, wanted: _Number) -> None:
    """Record the ids of the messages concerned: later answers for them are stored without a number."""
    found: set[tuple[str, str]] = set()
    for table in (SENT_MESSAGES, DELIVERY_REPORTS):
        source = relation(table, lake.snapshot(table).files)
        select = f"SELECT DISTINCT app_id, msg_id FROM ({source}) WHERE {wanted.condition(table)}"
        found |= set(rows_of(connection, select))
    if found:
        note_forgotten(lake, found)


def _tell(on_progress: Progress, earlier: int, total: int, done: int) -> None:
    """Tell the files of all tables; a table that grew meanwhile has more files than were counted."""
    on_progress(min(earlier + done, total), total)


def _erase(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, wanted: _Number, told: Callable[[int], None]
) -> int:
    """Rewrite the files of a table that hold the number; return how many rows held it."""
    present, total = lake.snapshot(table), 0
    add: list[DataFile] = []
    remove: list[DataFile] = []
    for done, file in enumerate(present.files, 1):
        if rows := _rows_with(connection, table, [file], wanted):
            select = wanted.erased(table, relation(table, [file]))
            new = write_partition(connection, lake, table, select=select, day=file.sent_date)
            add += [new] if new else []
            remove.append(file)
            total += rows
        told(done)
    if remove:
        lake.commit(present, add=add, remove=remove, transactions=_marks(present, remove))
    return total


def _rows_with(connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[DataFile], wanted: _Number) -> int:
    select = f"SELECT count(*) FROM ({relation(table, files)}) WHERE {wanted.condition(table)}"
    return int(rows_of(connection, select)[0][0])


def _marks(present: Snapshot, remove: Sequence[DataFile]) -> dict[str, int]:
    """Change the transactions that a derivation records, so that one under way starts again from the new files."""
    names = {f"{present.table.name}/{file.sent_date}" for file in remove}
    return {name: (present.transaction(name) or 0) ^ 1 for name in sorted(names)}
