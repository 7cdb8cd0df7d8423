"""Use case: erase a phone number from every table, old files included.

Messages stay and are counted as before. The ids of the messages concerned are recorded, so that later answers for them
are stored without a number.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline.collect.push_files import push_files, rewrite_lines
from pipeline.collect.pushed_reports import PUSHES
from pipeline.follow.slices import finish_slices
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import IN_FLIGHT, DataFile, Lake, retry
from pipeline.lake.log_names import rename_transactions
from pipeline.lake.moves import finish_moves
from pipeline.lake.notes import MessageKey, forgotten_numbers, lake_key, note_forgotten, note_forgotten_number
from pipeline.lake.queries import database, literal, query, relation, rows_of, write_partition
from pipeline.lake.snapshots import marks_of
from pipeline.model.accounts import named_apps
from pipeline.model.errors import SettingsError
from pipeline.model.hidden_keys import app_without_forgotten, id_without_forgotten, stored_log_name
from pipeline.model.phone_numbers import NumberPolicy, digits_of, treat_number
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import (
    DELIVERY_REPORTS,
    DETAIL_TABLES,
    LAKE_TABLES,
    PLATFORM_RECORD,
    PUSHED_REPORTS,
    RATE_PUBLICATIONS,
    RATE_TABLES,
    SENT_MESSAGES,
    Table,
)
from pipeline.publish.bucket import remove_old_publications
from pipeline.publish.cache import delete_cache
from pipeline.publish.database import PUBLISHING

SHORTEST: Final = 7
"""Fewest digits of a phone number: erasing a shorter text would change other numbers."""
_LABELS: Final = "labels"
_FREE_TEXT: Final = (
    "raw", "reason", "extra", "error", "sender_id", "order_id", "value", "currency", "failure_reason",
)  # fmt: skip
_BETWEEN: Final = r"(?:[^\pL\pN]|[(\[]\s*0\s*[)\]]|\\[bfnrt]|\\u[0-9A-Fa-f]{4})*"
"""What may stand between two digits of a number, in JSON text too."""


@dataclass(frozen=True)
class _Number:
    """A number to erase: its stored form in the column `number`, and a pattern for free text, its digits.

    Attributes:
        renamed: column -> keys that hold the number -> what is stored in their place.
    """

    stored: str | None
    pattern: str
    digits: str
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def spelling(self) -> re.Pattern[str]:
        """The pattern for text outside DuckDB."""
        return re.compile(self.pattern.replace(r"[^\pL\pN]", r"[\W_]"))

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
        columns |= {name: _renaming(name, keys) for name, keys in self.renamed.items() if keys}
        return {name: sql for name, sql in columns.items() if name in table.column_names}

    def condition(self, table: Table) -> str:
        """Return the SQL condition for rows that hold the number."""
        return " OR ".join(f"coalesce({holds}, false)" for holds, _ in self._columns(table).values()) or "false"

    def erased(self, table: Table, source: str) -> str:
        """Return the SELECT of a table's rows without the number.

        A recorded bucket named by it is dropped; buckets of a rate table that get the same key are merged.
        """
        if table is RATE_PUBLICATIONS:
            return f"SELECT * FROM ({source}) WHERE NOT ({self.condition(table)})"
        columns = ", ".join(f"{without} AS {name}" for name, (_, without) in self._columns(table).items())
        rows = f"SELECT * REPLACE ({columns}) FROM ({source})"
        if table not in RATE_TABLES:
            return rows
        merged = query("maintain/sql/merged_buckets").replace("/* key */", ", ".join(table.key))
        return merged.replace("/* rows */", rows)


def forget(number: str, *, lake: Lake, settings: Settings, on_progress: Progress = untold) -> dict[str, int]:
    """Rewrite every file that holds the number; return the rows from which it was erased, by table.

    The caller then derives the rates again (a number may be logged as sender), publishes, and calls `remove_old_files`.
    Rates of days whose messages were dropped can't be derived again, so they are rewritten, too.
    With `SMS_NUMBERS=mask` every number that is masked to the same text is erased. `on_progress` is told the files.

    Raises:
        SettingsError: the text is no phone number.
        LakeError: the lake can't be read or written.
    """
    wanted = _number(number, settings)
    note_forgotten_number(lake, wanted.digits)
    finish_slices(lake, settings, before=datetime.now(UTC) - IN_FLIGHT)  # no row of a dead run comes later
    waiting = _erase_from_files(settings.pushed_reports, wanted, lake)
    with database(lake, settings) as connection:
        finish_moves(connection, lake)
        files = {table: lake.snapshot(table).files for table in LAKE_TABLES}
        wanted = replace(wanted, renamed=_renamed(connection, files, lake, settings, wanted.digits))
        _note_messages(connection, lake, wanted, waiting)
        first_derived = kept_days(lake, newest=True).messages
        rates = RATE_TABLES if first_derived > date.min else ()
        tables = (*rates, *DETAIL_TABLES[::-1])  # `messages` last: a run that derives it meanwhile reads the others
        counts, rows = [len(lake.snapshot(table).files) for table in tables], dict[str, int]()
        for place, table in enumerate(tables):
            told = partial(_tell, on_progress, sum(counts[:place]), sum(counts))
            before = first_derived if table in RATE_TABLES else date.max
            erased = retry(partial(_erase, connection, lake, table, wanted, told, before=before))
            rows |= {table.name: erased} if erased or table in DETAIL_TABLES else {}
    delete_cache(lake)
    return rows


def remove_old_files(number: str, *, lake: Lake, settings: Settings, on_progress: Progress = untold) -> int:
    """Delete old versions of the published file and every file that no table names; return the rows that are left.

    These are the rows of the other files that hold the number. Names of logs that hold it go from the Delta logs.
    `on_progress` is told the tables.

    Files that a running run has not committed yet stay. If one holds the number, `forget` must be repeated.
    """
    wanted = _number(number, settings)
    with lake.lock(PUBLISHING):
        remove_old_publications(settings)
    for table in LAKE_TABLES:
        lake.delete_unnamed(table)
        rename_transactions(lake, table, partial(_stored_note, policy=_policy(lake, settings), key=lake_key(lake)))
    left, files = 0, {table: lake.files_there(table) for table in LAKE_TABLES}
    with database(lake, settings) as connection:
        wanted = replace(wanted, renamed=_renamed(connection, files, lake, settings, wanted.digits))
        for done, table in enumerate(LAKE_TABLES, 1):
            left += _rows_with(connection, table, files[table], wanted)
            on_progress(done, len(LAKE_TABLES))
    return left


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


def _any_script(digit: str) -> str:
    """Return a pattern for a digit in any script."""
    return f"[{''.join(_signs_of_digits()[int(digit)])}]"


@functools.cache
def _signs_of_digits() -> list[list[str]]:
    """Return for each digit the characters that stand for it."""
    signs: list[list[str]] = [[] for _ in range(10)]
    for character in map(chr, range(sys.maxunicode + 1)):
        digit = unicodedata.digit(character, None)
        if digit is not None:
            signs[digit].append(character)
    return signs


def _policy(lake: Lake, settings: Settings) -> NumberPolicy:
    return replace(number_policy(settings), forgotten=forgotten_numbers(lake))


def _renamed(
    connection: duckdb.DuckDBPyConnection,
    files: Mapping[Table, Sequence[DataFile]],
    lake: Lake,
    settings: Settings,
    digits: str,
) -> dict[str, dict[str, str]]:
    """Return what is stored in place of the keys of these files that hold a forgotten number, by column.

    Apps that the settings name are no numbers.
    """
    policy, key = _policy(lake, settings), lake_key(lake)
    apps = _distinct(connection, files, "app_id") - named_apps(settings)
    ids = {prefix + digits for prefix in ("", "00")}
    found = {
        "app_id": {app: app_without_forgotten(app, policy.forgotten) for app in apps},
        "msg_id": {msg_id: id_without_forgotten(msg_id, policy.forgotten) for msg_id in ids},
        "file": {name: stored_log_name(name, policy, key) for name in _distinct(connection, files, "file")},
    }
    return {name: {old: new for old, new in keys.items() if new != old} for name, keys in found.items()}


def _distinct(
    connection: duckdb.DuckDBPyConnection, files: Mapping[Table, Sequence[DataFile]], column: str
) -> set[str]:
    tables = [table for table in files if column in table.column_names and files[table]]
    selects = (f"SELECT {column} FROM ({relation(table, files[table])})" for table in tables)
    select = " UNION ".join(selects) or f"SELECT NULL AS {column} WHERE false"
    return {value for (value,) in rows_of(connection, select) if value is not None}


def _renaming(column: str, keys: Mapping[str, str]) -> tuple[str, str]:
    """Return the SQL that says whether a column holds one of some keys, and its value with the keys replaced."""
    cases = " ".join(f"WHEN {literal(old)} THEN {literal(new)}" for old, new in keys.items())
    return f"{column} IN ({', '.join(map(literal, keys))})", f"CASE {column} {cases} ELSE {column} END"


def _stored_note(name: str, *, policy: NumberPolicy, key: bytes) -> str:
    """Return what is stored of the name of a note on a log (`collect/log_notes.py`): its kind, a colon, the log."""
    kind, colon, log = name.partition(":")
    return f"{kind}:{stored_log_name(log, policy, key)}" if colon else name


def _erase_from_files(folder: Path | None, wanted: _Number, lake: Lake) -> set[MessageKey]:
    """Erase the number from pushed reports that no run has read yet; return their messages."""
    found: set[MessageKey] = set()
    forgotten = forgotten_numbers(lake)

    def erased(line: dict[str, Any]) -> dict[str, Any] | None:
        new = {
            name: wanted.spelling.sub("", value) if name in _FREE_TEXT and isinstance(value, str) else value
            for name, value in line.items()
        }
        if isinstance(app_id := line.get("app_id"), str):
            new["app_id"] = app_without_forgotten(app_id, forgotten)
        if wanted.stored is not None and line.get("number") == wanted.stored:
            new["number"] = None
            found.add((str(new.get("app_id")), id_without_forgotten(str(line.get("msg_id")), forgotten)))
        return new if new != line else None

    with lake.lock(PUSHES):
        for file in push_files(folder):
            rewrite_lines(file, erased)
    return found


def _note_messages(
    connection: duckdb.DuckDBPyConnection, lake: Lake, wanted: _Number, waiting: AbstractSet[MessageKey]
) -> None:
    """Record the ids of the messages concerned, those of waiting reports too: later answers come without a number."""
    found = set(waiting)
    for table in (SENT_MESSAGES, DELIVERY_REPORTS, PUSHED_REPORTS, PLATFORM_RECORD):
        source = relation(table, lake.snapshot(table).files)
        select = f"SELECT DISTINCT app_id, msg_id FROM ({source}) WHERE {wanted.condition(table)}"
        found |= set(rows_of(connection, select))
    keys = {column: wanted.renamed.get(column, {}) for column in ("app_id", "msg_id")}

    def treated(key: MessageKey) -> MessageKey:
        app_id, msg_id = key
        return keys["app_id"].get(app_id, app_id), keys["msg_id"].get(msg_id, msg_id)

    note_forgotten(lake, found, treated=treated)


def _tell(on_progress: Progress, earlier: int, total: int, done: int) -> None:
    """Tell the files of all tables; a table that grew meanwhile has more files than were counted."""
    on_progress(min(earlier + done, total), total)


def _erase(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    table: Table,
    wanted: _Number,
    told: Callable[[int], None],
    *,
    before: date,
) -> int:
    """Rewrite the files of a table, of days before one, that hold the number; return how many rows held it."""
    present, total = lake.snapshot(table), 0
    add: list[DataFile] = []
    remove: list[DataFile] = []
    for done, file in enumerate(present.files, 1):
        is_meant = file.sent_date is None or file.sent_date < before
        if is_meant and (rows := _rows_with(connection, table, [file], wanted)):
            select = wanted.erased(table, relation(table, [file]))
            new = write_partition(connection, lake, table, select=select, day=file.sent_date)
            add += [new] if new else []
            remove.append(file)
            total += rows
        told(done)
    if remove:
        lake.commit(present, add=add, remove=remove, transactions=marks_of(present, remove))
    return total


def _rows_with(connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[DataFile], wanted: _Number) -> int:
    select = f"SELECT count(*) FROM ({relation(table, files)}) WHERE {wanted.condition(table)}"
    return int(rows_of(connection, select)[0][0])
