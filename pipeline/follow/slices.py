"""Slices of answers: calls and rejected rows are stored with the answers that they belong to.

Belongs here: the note of what belongs to answers, and storing it. Does not: which rows these are (`rows.py`), when a
slice is committed (`recorder.py`).

Three tables can't change in one commit. So a note of calls and rejects is written before the answers are committed, and
their rows are stored after. If the process dies or the disk is full between the two, the next run stores them; a note
of answers that were never committed stores nothing, since their ids are asked again. The note of a lake in a bucket is
on the machine that asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.atomic import written_whole
from pipeline.lake.durable import make_folder, sync_folder
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.queries import database, show_files
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, PARTITION_KEY, REJECTED_RECORDS, Table

_FOLDER: Final = "_slices"
_LOCK: Final = "slices"
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
        append_rows(lake, DELIVERY_REPORTS, answers)
        for table, rows in belonging.items():
            append_rows(lake, table, rows)
        for note in notes:
            note.unlink()


def append_rows(lake: Lake, table: Table, rows: pa.Table) -> None:
    """Append rows to a table, a file for each partition."""
    days = rows[PARTITION_KEY].unique().to_pylist()
    masks = [pa.compute.equal(rows[PARTITION_KEY], pa.scalar(day, pa.date32())) for day in days]
    parts = [rows] if len(days) == 1 else [rows.filter(mask) for mask in masks]
    lake.append(table, [lake.write(table, part, day) for part, day in zip(parts, days, strict=True)])


def finish_slices(lake: Lake, settings: Settings) -> None:
    """Store what belongs to answers of processes that died, or that failed, before they had stored it.

    Raises:
        LakeError: the lake can't be read or written.
    """
    folder = lake.folder / _FOLDER
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    with lake.lock(_LOCK), database(lake, settings) as connection:
        for note in sorted(folder.glob("*.parquet")):
            table = next(table for table in _CALL_ID if note.name.startswith(f"{table.name}-"))
            append_rows(lake, table, _missing(connection, lake, table, note))
            note.unlink()
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
        sync_folder(folder)


def _note(lake: Lake, table: Table, rows: pa.Table) -> Path:
    folder = lake.folder / _FOLDER
    make_folder(folder)
    note = folder / f"{table.name}-{uuid.uuid4()}.parquet"
    with written_whole(note, mode=lake.mode) as temporary:
        pq.write_table(rows, temporary)
    return note


def _missing(connection: duckdb.DuckDBPyConnection, lake: Lake, table: Table, note: Path) -> pa.Table:
    """Return the rows of a note whose answers are there and that are not."""
    try:
        rows, call_id = pq.read_table(note), _CALL_ID[table]
    except (OSError, pa.ArrowException) as error:
        what = "rows of api_calls or rejected_records that a dead run left"
        raise LakeError(f"{note} can't be read ({what}); move it away to go on without them") from error
    days = set(rows[PARTITION_KEY].to_pylist())
    show_files(connection, DELIVERY_REPORTS, lake.snapshot(DELIVERY_REPORTS).files)  # of any day: messages may move
    show_files(connection, table, lake.snapshot(table).of(days))
    connection.register("noted", rows)
    select = f"""
        SELECT noted.*
        FROM noted
        SEMI JOIN {DELIVERY_REPORTS.name} AS answer ON answer.call_id = noted.{call_id}
        ANTI JOIN {table.name} AS present ON present.{call_id} = noted.{call_id}"""
    missing: pa.Table = connection.sql(select).to_arrow_table()
    return missing.cast(arrow_schema(table))
