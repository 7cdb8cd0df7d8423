"""Use case: put a damaged lake right as far as its files allow, and say what was lost.

Belongs here: data files that are missing or cut, answers that `messages` still knows, what must be read or derived
again. Does not: the Delta logs (`repair_log.py`), finding damage (`lake/damage.py`).

Repair runs only when it is called, while nothing else is at work. It deletes nothing but names of files that are
damaged. A repair that dies leaves a note, by which the next one completes it; on a sound lake it does nothing.

A lake in a bucket is repaired as a clone of this machine, and what changed is put back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from typing import Final

from pipeline.collect.log_notes import READ
from pipeline.lake.atomic import replace_text
from pipeline.lake.clones import cloned, put_again
from pipeline.lake.damage import footer_damage
from pipeline.lake.delta_log import log_actions
from pipeline.lake.durable import sync_folder
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.queries import database, query, relation, rows_of, show_files, write_partition
from pipeline.lake.snapshots import inputs_key, rows_in
from pipeline.maintain.repair_log import DAMAGED, DERIVED, repair_log
from pipeline.model.errors import LakeError
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings
from pipeline.model.tables import (
    ACCOUNT_BALANCE,
    API_CALLS,
    DELIVERY_REPORTS,
    LAKE_TABLES,
    MESSAGES,
    PLATFORM_RECORD,
    PUSHED_REPORTS,
    RATE_PUBLICATIONS,
    RECORD_READS,
    RECORD_TABLES,
    REJECTED_RECORDS,
    SENT_MESSAGES,
    Table,
)
from pipeline.publish.bucket import published_file
from pipeline.publish.database import PUBLISHING
from pipeline.publish.reading import lake_files_named

_UNDER_WAY: Final = "under-way"
"""File of `_damaged` that says that a repair has begun."""
_KEYED: Final = (SENT_MESSAGES, DELIVERY_REPORTS, API_CALLS, PLATFORM_RECORD, RATE_PUBLICATIONS)
"""Tables that hold each key once."""
_GONE: Final = "their messages were dropped (SMS_KEEP_DAYS), so they can't be derived again"
_LOCKS: Final = ("create", "moves", PUBLISHING)
_AGAIN: Final = {
    SENT_MESSAGES: "every log is read again by the next run of its day",
    REJECTED_RECORDS: "every log is read again by the next run of its day",
    DELIVERY_REPORTS: "ids without a final answer are asked again while they are young enough",
    PUSHED_REPORTS: "they can't be had again",
    API_CALLS: "they can't be had again",
    PLATFORM_RECORD: "`sms-delivery reconcile` reads them again",
    RECORD_READS: "`sms-delivery reconcile` reads the record again",
    ACCOUNT_BALANCE: "they can't be had again",
    RATE_PUBLICATIONS: "they can't be had again",
}


def repair(*, lake: Lake, settings: Settings, dry_run: bool = False, on_progress: Progress = untold) -> list[str]:
    """Put the lake right; return what was done, or with `dry_run` what would be, a line each; none if it is sound.

    `on_progress` is told the tables.

    Raises:
        LakeError: another process is at work in the lake, or it can't be put right.
    """
    with ExitStack() as locks:
        for name in _LOCKS:
            locks.enter_context(lake.lock(name))
        if since := lake.working_since():
            raise LakeError(f"a process has been at work in the lake since {since:%Y-%m-%d %H:%M:%S} UTC; end it first")
        try:
            if not dry_run and not lake.has_copies:
                return list(_repaired(lake, settings, on_progress))
            whole = put_again(lake, dry_run=dry_run)
            with lake.scratch() as scratch:
                clone = cloned(lake, scratch / "lake", whole=whole)
                lines = list(_repaired(clone.lake, settings, on_progress))
                if lines and not dry_run:
                    clone.put_back()
                return [*whole.values(), *(line.replace(str(clone.lake.folder), lake.place) for line in lines)]
        except OSError as error:
            raise LakeError(f"the lake {lake.place} can't be repaired: {error}") from error


def _repaired(lake: Lake, settings: Settings, on_progress: Progress) -> Iterator[str]:
    note = lake.folder / DAMAGED / _UNDER_WAY
    is_unfinished = note.exists()
    if not is_unfinished and not _is_damaged(lake):
        return
    replace_text(note, "a repair has begun; run it again\n", mode=lake.mode)
    published = _published(settings)
    lost: set[Table] = set(LAKE_TABLES) if is_unfinished else set()
    for table in LAKE_TABLES:
        for text, has_lost in repair_log(lake, table, published):
            lost |= {table} if has_lost else set()
            yield f"{table.name}: {text}"
    for done, table in enumerate(LAKE_TABLES, 1):
        if texts := list(_without_lost_files(lake, table)):
            lost.add(table)
            yield from texts
        on_progress(done, len(LAKE_TABLES))
    yield from _content_restored(lake, settings, lost)
    note.unlink()
    sync_folder(note.parent)


def _is_damaged(lake: Lake) -> bool:
    try:
        return any(footer_damage(file) for table in LAKE_TABLES for file in lake.snapshot(table).files)
    except LakeError:
        return True


def _published(settings: Settings) -> set[str]:
    """Return the names of the data files that were published; none if that file can't be read."""
    try:
        return lake_files_named(settings) if published_file(settings) else set()
    except LakeError:
        return set()


def _without_lost_files(lake: Lake, table: Table) -> Iterator[str]:
    """Take the files out of a table that are missing or damaged."""
    present = lake.snapshot(table)
    found = [(file, wrong) for file in present.files if (wrong := footer_damage(file))]
    if not found:
        return
    lake.commit(present, remove=[file for file, _ in found])
    again = "they are derived again" if table in DERIVED else _AGAIN[table]
    first = kept_days(lake).messages
    for file, wrong in found:
        day = f" of {file.sent_date}" if file.sent_date else ""
        is_dropped = table in DERIVED and file.sent_date and file.sent_date < first
        yield f"{table.name}: {wrong}: {file.rows:,} rows{day} are lost; {_GONE if is_dropped else again}"


def _content_restored(lake: Lake, settings: Settings, lost: Collection[Table]) -> Iterator[str]:
    """Make tables agree after some lost rows: known answers are kept, doubles go, the rest is read or derived again."""
    if SENT_MESSAGES in lost:
        yield from _kept(lake, settings, SENT_MESSAGES, "kept_messages")
    if DELIVERY_REPORTS in lost:
        yield from _kept(lake, settings, DELIVERY_REPORTS, "kept_answers")
    for table in _KEYED:
        if table in lost:
            yield from _without_doubles(lake, settings, table)
    if {*RECORD_TABLES} & set(lost) and lake.snapshot(RECORD_READS).files:
        _emptied(lake, RECORD_READS)
        yield "`sms-delivery reconcile` reads the platform's record of the last 90 days again"
    if {SENT_MESSAGES, REJECTED_RECORDS} & set(lost):
        _forget_read_logs(lake)
    if {SENT_MESSAGES, DELIVERY_REPORTS, PUSHED_REPORTS, *DERIVED} & set(lost):
        for table in DERIVED:
            _derive_again(lake, table)
        yield "messages and rates are derived again by `sms-delivery rebuild`; then run `sms-delivery run`"
    if lost:
        yield "if a number was erased since the damage, run `sms-delivery forget` again"


def _kept(lake: Lake, settings: Settings, table: Table, name: str) -> Iterator[str]:
    """Store what `messages` knows and a table lost: old ids can't be asked again, and old logs may be gone."""
    add: list[DataFile] = []
    with database(lake, settings) as connection:
        known, present = lake.snapshot(MESSAGES), lake.snapshot(table)
        for day in known.days():
            show_files(connection, MESSAGES, known.of([day]))
            show_files(connection, table, present.of([day]))
            file = write_partition(connection, lake, table, select=query(f"maintain/sql/{name}"), day=day)
            add += [file] if file else []
    if add:
        lake.append(table, add)
        yield f"{table.name}: {rows_in(add):,} rows are kept as messages knows them"


def _without_doubles(lake: Lake, settings: Settings, table: Table) -> Iterator[str]:
    """Keep one row of each key: an entry that was lost may have replaced files that are part of the table again."""
    present, key = lake.snapshot(table), ", ".join(table.key)
    add: list[DataFile] = []
    remove: list[DataFile] = []
    with database(lake, settings) as connection:
        for day in {file.sent_date for file in present.files}:
            files = present.of([day])
            select = f"SELECT count(*), count(DISTINCT ({key})) FROM ({relation(table, files)})"
            ((rows, keys),) = rows_of(connection, select)
            if rows != keys:
                once = f"SELECT DISTINCT ON ({key}) * FROM ({relation(table, files)}) ORDER BY {key}"
                file = write_partition(connection, lake, table, select=once, day=day)
                add += [file] if file else []
                remove += files
    if remove:
        lake.commit(present, add=add, remove=remove)
        yield f"{table.name}: {rows_in(remove) - rows_in(add):,} rows were there twice and are there once"


def _forget_read_logs(lake: Lake) -> None:
    """Change the notes of logs that were read, so that each is read again."""
    present = lake.snapshot(SENT_MESSAGES)
    names = {action["appId"] for action in log_actions(lake.folder_of(SENT_MESSAGES), "txn")}
    lake.commit(present, transactions={name: 0 for name in sorted(names) if name.startswith(READ)})


def _emptied(lake: Lake, table: Table) -> None:
    present = lake.snapshot(table)
    lake.commit(present, remove=present.files)


def _derive_again(lake: Lake, table: Table) -> None:
    """Empty a derived table, and change what it says of its inputs; rates of days that were dropped stay."""
    present, first = lake.snapshot(table), kept_days(lake).messages
    names = {action["appId"] for action in log_actions(lake.folder_of(table), "txn")}
    days = {inputs_key(table, day) for day in present.days()}
    remove = [file for file in present.files if not (file.sent_date and file.sent_date < first)]
    lake.commit(present, remove=remove, transactions=dict.fromkeys(sorted(names | days), 0))
