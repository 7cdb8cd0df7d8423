"""Slices of answers: calls and rejected rows are stored with the answers that they belong to.

Belongs here: the note of what belongs to answers, and storing it. Does not: which rows these are (`rows.py`), when a
slice is committed (`recorder.py`).

Three tables can't change in one commit. So a note of calls and rejects is written before the answers are committed, and
their rows are stored after. If the process dies or the disk is full between the two, the next run stores them; a note
of answers that were never committed stores nothing, since their ids are asked again. In a bucket the notes are objects,
so that another machine stores what belongs to the answers of one that is gone.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.atomic import written_whole
from pipeline.lake.copies import GoneError, copies_of
from pipeline.lake.durable import make_folder, sync_folder
from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.queries import database, show_files
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, PARTITION_KEY, REJECTED_RECORDS, Table

_FOLDER: Final = "_slices"
_LOCK: Final = "slices"
_ENDING: Final = ".parquet"
_FINISHED: Final = "slices"
"""Application transaction of commits of rows that were left."""
_CALL_ID: Final = {API_CALLS: "call_id", REJECTED_RECORDS: "file"}
"""Tables whose rows belong to answers, and their column that names the call."""


def store_slice(lake: Lake, answers: pa.Table, belonging: Mapping[Table, pa.Table]) -> None:
    """Store answers and the rows of other tables that belong to them: all or, in the end, none.

    Raises:
        LakeError, OSError: the lake can't be written.
    """
    if not answers.num_rows:
        for table, rows in belonging.items():
            append_rows(lake, table, rows)
        return
    with lake.lock(_LOCK):
        notes = [_note(lake, table, rows) for table, rows in belonging.items() if rows.num_rows]
        if copies := copies_of(lake.folder):
            copies.put(notes)
        append_rows(lake, DELIVERY_REPORTS, answers)
        for table, rows in belonging.items():
            append_rows(lake, table, rows)
        _delete(lake, notes)


def append_rows(lake: Lake, table: Table, rows: pa.Table) -> None:
    """Append rows to a table, a file for each partition."""
    lake.append(table, _written(lake, table, rows))


def _written(lake: Lake, table: Table, rows: pa.Table) -> list[DataFile]:
    days = rows[PARTITION_KEY].unique().to_pylist()
    masks = [pa.compute.equal(rows[PARTITION_KEY], pa.scalar(day, pa.date32())) for day in days]
    parts = [rows] if len(days) == 1 else [rows.filter(mask) for mask in masks]
    return [lake.write(table, part, day) for part, day in zip(parts, days, strict=True)]


def finish_slices(lake: Lake, settings: Settings, *, before: datetime) -> None:
    """Store what belongs to answers of processes that died, or that failed, before they had stored it.

    What another machine noted is stored if it was noted before a moment: later ones may be at work still.

    Raises:
        LakeError: the lake can't be read or written.
    """
    if not _left(lake, before):
        return
    with lake.lock(_LOCK), database(lake, settings) as connection:
        make_folder(lake.folder / _FOLDER)
        for note in _left(lake, before):
            if note.suffix == _ENDING:
                retry(partial(_finish, connection, lake, note))
            _delete(lake, [note])
        sync_folder(lake.folder / _FOLDER)


def slices_of_others(lake: Lake) -> int:
    """Return how many notes are in a bucket: of runs that are at work, or that died less than `IN_FLIGHT` ago."""
    copies = copies_of(lake.folder)
    return len(copies.stored_in(lake.folder / _FOLDER)) if copies else 0


def _left(lake: Lake, before: datetime) -> list[Path]:
    """Return the notes that are there, and unfinished ones; without the lock they may be those of a live process."""
    folder = lake.folder / _FOLDER
    here = set(folder.iterdir()) if folder.is_dir() else set()
    if copies := copies_of(lake.folder):
        others = {lake.folder / found.name: found.modified for found in copies.stored_in(folder)}
        here |= {note for note, put in others.items() if put < before}
    return sorted(here)


def _delete(lake: Lake, notes: Collection[Path]) -> None:
    if copies := copies_of(lake.folder):
        copies.delete(notes)
    for note in notes:
        note.unlink(missing_ok=True)


def _finish(connection: duckdb.DuckDBPyConnection, lake: Lake, note: Path) -> None:
    """Store the rows of a note that are missing, unless another machine does it at the same time."""
    if copies := copies_of(lake.folder):
        try:
            copies.bring({note: 0})
        except GoneError:  # another machine has stored them
            return
    table = next(table for table in _CALL_ID if note.name.startswith(f"{table.name}-"))
    present = lake.snapshot(table)
    if files := _written(lake, table, _missing(connection, lake, present, note)):
        lake.commit(present, add=files, transactions={_FINISHED: (present.transaction(_FINISHED) or 0) + 1})


def _note(lake: Lake, table: Table, rows: pa.Table) -> Path:
    folder = lake.folder / _FOLDER
    make_folder(folder)
    note = folder / f"{table.name}-{uuid.uuid4()}{_ENDING}"
    with written_whole(note, mode=lake.mode) as temporary:
        pq.write_table(rows, temporary)
    return note


def _missing(connection: duckdb.DuckDBPyConnection, lake: Lake, present: Snapshot, note: Path) -> pa.Table:
    """Return the rows of a note whose answers are there and that are not."""
    table = present.table
    try:
        rows, call_id = pq.read_table(note), _CALL_ID[table]
    except (OSError, pa.ArrowException) as error:
        what = "rows of api_calls or rejected_records that a dead run left"
        raise LakeError(f"{note} can't be read ({what}); move it away to go on without them") from error
    days = set(rows[PARTITION_KEY].to_pylist())
    show_files(connection, DELIVERY_REPORTS, lake.snapshot(DELIVERY_REPORTS).files)  # of any day: messages may move
    show_files(connection, table, present.of(days))
    connection.register("noted", rows)
    select = f"""
        SELECT noted.*
        FROM noted
        SEMI JOIN {DELIVERY_REPORTS.name} AS answer ON answer.call_id = noted.{call_id}
        ANTI JOIN {table.name} AS present ON present.{call_id} = noted.{call_id}"""
    missing: pa.Table = connection.sql(select).to_arrow_table()
    return missing.cast(arrow_schema(table))
