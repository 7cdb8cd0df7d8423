"""Answers that follow their messages: a corrected message may have another app or day.

What belongs here: the note of what moves, and moving it. What does not: which messages are corrected (`collect`).

An answer lies in the partition of its message, and two tables can't change in one commit. So a note of the moves is
written before the messages are committed, and the answers move after. If the process dies between the two, the next
run moves them; a note of messages that were never committed moves nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import duckdb

from pipeline.lake.copies import copies_of
from pipeline.lake.durable import make_folder, sync_file, sync_folder
from pipeline.lake.lake import IN_FLIGHT, DataFile, Lake, retry
from pipeline.lake.queries import literal, query, rows_of, show_files, write_partition
from pipeline.model.tables import DELIVERY_REPORTS, SENT_MESSAGES

_FOLDER: Final = "_moves"
_LOCK: Final = "moves"
_NOTE: Final = "moves"
"""Application transaction of commits of moved answers."""


@contextmanager
def answers_follow(connection: duckdb.DuckDBPyConnection, lake: Lake, moves: str | None) -> Iterator[None]:
    """Commit messages in the block; after it their answers move.

    Args:
        connection: where `moves` can be run.
        lake: where messages and answers are.
        moves: query of app_id, msg_id, sent_date, new_app_id and new_date; None if nothing moves.

    Raises:
        LakeError: the lake can't be read or written.
    """
    if moves is None or not rows_of(connection, f"SELECT 1 FROM ({moves}) LIMIT 1"):
        yield
        return
    with lake.lock(_LOCK):
        own = _note(connection, lake, moves)
        yield
        _move_all(connection, lake, own)


def has_unfinished_moves(lake: Lake) -> bool:
    """Say whether a process died, or is at work, between a commit of messages and moving their answers."""
    return bool(_notes(lake))


def finish_moves(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Move the answers that processes which died have left.

    Raises:
        LakeError: the lake can't be read or written.
    """
    with lake.lock(_LOCK):
        _move_all(connection, lake)


def _notes(lake: Lake) -> list[Path]:
    folder = lake.folder / _FOLDER
    if copies := copies_of(lake.folder):
        return [lake.folder / found.name for found in copies.stored_in(folder)]
    return sorted(folder.glob("*.parquet"))


def _delete(lake: Lake, note: Path, own: Path | None) -> None:
    """Delete a note whose answers have moved, unless its messages may still be committed by another machine."""
    if copies := copies_of(lake.folder):
        put = {found.name: found.modified for found in copies.stored_in(note.parent)}.get(copies.name_of(note))
        if note == own or (put and put < datetime.now(UTC) - IN_FLIGHT):
            copies.delete([note])
        return
    note.unlink()
    sync_folder(note.parent)


def _note(connection: duckdb.DuckDBPyConnection, lake: Lake, moves: str) -> Path:
    folder = lake.folder / _FOLDER
    make_folder(folder)
    beside = folder / ".note.tmp"
    connection.execute(f"COPY ({moves}) TO {literal(str(beside))} (FORMAT parquet)")
    beside.chmod(lake.mode)
    sync_file(beside)
    note = beside.rename(folder / f"{uuid.uuid4()}.parquet")
    sync_folder(folder)
    if copies := copies_of(lake.folder):
        copies.put([note])
    return note


def _move_all(connection: duckdb.DuckDBPyConnection, lake: Lake, own: Path | None = None) -> None:
    for note in _notes(lake):
        retry(partial(_move, connection, lake, note))
        _delete(lake, note, own)


def _move(connection: duckdb.DuckDBPyConnection, lake: Lake, note: Path) -> None:
    if copies := copies_of(lake.folder):
        copies.bring({note: 0})
    noted = f"read_parquet({literal(str(note))})"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW noted_moves AS SELECT * FROM {noted}")
    days = {
        day
        for (day,) in rows_of(connection, "SELECT sent_date FROM noted_moves UNION SELECT new_date FROM noted_moves")
    }
    present = lake.snapshot(DELIVERY_REPORTS)
    show_files(connection, SENT_MESSAGES, lake.snapshot(SENT_MESSAGES).of(days))
    show_files(connection, DELIVERY_REPORTS, present.of(days))
    connection.execute(query("lake/sql/moving_answers"))
    leaving = {day for (day,) in rows_of(connection, "SELECT DISTINCT sent_date FROM moving_answers")}
    arriving = {day for (day,) in rows_of(connection, "SELECT DISTINCT new_date FROM moving_answers")}
    add: list[DataFile] = []
    for day in sorted(leaving | arriving):
        select = query("lake/sql/arriving_answers")
        if day in leaving:
            select = f"({query('lake/sql/staying_answers')}) UNION ALL BY NAME ({select})"
        parameters = {"day": day.isoformat()}
        file = write_partition(connection, lake, DELIVERY_REPORTS, select=select, day=day, parameters=parameters)
        add += [file] if file else []
    if add:
        version = (present.transaction(_NOTE) or 0) + 1
        lake.commit(present, add=add, remove=present.of(leaving), transactions={_NOTE: version})
