"""Puts a table's Delta log right as far as its files allow, and says what was lost.

Belongs here: the log. Does not: data files that a log names and rows that were lost (`repair.py`), finding damage
(`lake/damage.py`).

Nothing is deleted: what is damaged is moved to `_damaged` in the lake. Each step leaves a log that is sound, or damaged
in a way that the next repair puts right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipeline.lake.damage import LogFiles, checkpoint_damage, entry_damage
from pipeline.lake.delta_log import add_action, commit_info, log_actions, snapshot_of
from pipeline.lake.durable import make_folder, sync_folder, sync_new_files
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.log_entries import LAST_CHECKPOINT, LOG, entry_path, write_checkpoint, write_entry
from pipeline.lake.opening import create_empty
from pipeline.lake.snapshots import DataFile, rows_in
from pipeline.lake.versions import Noted, note_version, noted
from pipeline.maintain.retain import DROPPED
from pipeline.model.errors import LakeError
from pipeline.model.tables import MESSAGES, PARTITION_KEY, RATE_TABLES, Table

DAMAGED: Final = "_damaged"
"""Folder of the lake to which `repair` moves damaged files."""
DERIVED: Final = (MESSAGES, *RATE_TABLES)
"""Tables that are derived from others: lost rows of theirs come back."""
_EMPTY: Final = "empty, it is derived again"


def repair_log(lake: Lake, table: Table, published: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Put a log right; yield what was done, and whether rows were lost by it.

    `published` are names of data files that the published file reads.

    Raises:
        LakeError, OSError: it can't be put right.
    """
    changed = False
    for text in (*_bad_checkpoints(lake, table), *_torn_end(lake, table)):
        changed = True
        yield text
    files = LogFiles.of(lake.folder_of(table))
    if files.newest < 0 or (files.first_needed == 0 and not _is_sound(files, 0)):
        yield from _new_log(lake, table, published)
        return
    for text in _gaps(lake, table, files):
        changed = True
        yield text
    snapshot = _readable(lake, table)
    if snapshot is None:
        yield from _new_log(lake, table, published)
        return
    yield from _noted_again(lake, snapshot)
    if changed:
        with lake.scratch() as scratch:
            write_checkpoint(lake.folder_of(table), scratch)


def set_aside(lake: Lake, path: Path) -> str:
    """Move a damaged file or folder of a table to `_damaged`; return where it is."""
    folder = lake.folder / DAMAGED
    make_folder(folder)
    table = path.relative_to(lake.folder).parts[0]
    number = 1
    while (target := folder / f"{table}-{path.name}.{number}").exists():
        number += 1
    path.rename(target)
    sync_folder(folder)
    sync_folder(path.parent)
    return str(target)


def count_damaged_files(lake: Lake) -> int:
    """Return how many damaged files of tables and logs `repair` has moved there and nobody has deleted."""
    return sum(path.is_file() for path in (lake.folder / DAMAGED).rglob("*.*"))


def _is_sound(files: LogFiles, version: int) -> bool:
    return version in files.entries and entry_damage(entry_path(files.log, version)) is None


def _bad_checkpoints(lake: Lake, table: Table) -> Iterator[tuple[str, bool]]:
    files = LogFiles.of(lake.folder_of(table))
    for path in map(files.checkpoint_path, sorted(files.checkpoints)):
        wrong = checkpoint_damage(path) or _unreadable(path)
        if wrong:
            yield f"{wrong}: moved to {set_aside(lake, path)}; a new one is made", False
    files = LogFiles.of(lake.folder_of(table))
    if files.named is not None and files.named not in files.checkpoints:
        path = files.log / LAST_CHECKPOINT
        yield f"{path} names a checkpoint that is missing: moved to {set_aside(lake, path)}; a new one is made", False


def _unreadable(path: Path) -> str | None:
    try:
        pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        return f"{path} can't be read ({str(error).partition(chr(10))[0]})"
    return None


def _torn_end(lake: Lake, table: Table) -> Iterator[tuple[str, bool]]:
    """Move entries aside that are damaged and the last: a commit that was never complete."""
    while True:
        files = LogFiles.of(lake.folder_of(table))
        if files.newest < max(files.first_needed, 1):
            return
        path = entry_path(files.log, files.newest)
        wrong = entry_damage(path)
        if wrong is None:
            return
        yield f"{wrong}: moved to {set_aside(lake, path)}; what it committed is as if it never was", True


def _gaps(lake: Lake, table: Table, files: LogFiles) -> Iterator[tuple[str, bool]]:
    """Put an entry that changes nothing in the place of each one that is missing or damaged."""
    for version in range(files.first_needed, files.newest + 1):
        path = entry_path(files.log, version)
        wrong = entry_damage(path)
        if wrong is None:
            continue
        if path.exists():
            set_aside(lake, path)
        write_entry(lake.folder_of(table), version, [commit_info(table)])
        sync_folder(files.log)
        yield f"{wrong}: what it committed is lost; an entry without change is in its place", True


def _readable(lake: Lake, table: Table) -> Snapshot | None:
    """Return the table as its log says now; None if Delta can't read it."""
    folder = lake.folder_of(table)
    try:
        return snapshot_of(table, DeltaTable(folder), folder)
    except (DeltaError, OSError):
        return None


def _noted_again(lake: Lake, snapshot: Snapshot) -> Iterator[tuple[str, bool]]:
    """Replace a note that doesn't fit the log."""
    table, now = snapshot.table, Noted(snapshot.version, snapshot.rows)
    try:
        note = noted(lake, table)
    except LakeError:
        note = Noted(-1, 0)
    if note is None or (note.version < now.version and note.version >= 0) or note == now:
        return
    note_version(lake, table, now)
    lost = f"; {note.rows - now.rows:,} of {note.rows:,} rows are lost" if note.rows > now.rows else ""
    yield f"version {note.version} was noted and the log ends with {now.version}: noted again{lost}", True


def _new_log(lake: Lake, table: Table, published: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Make a log of the data files that were part of the table: of a derived one, of those that can't be derived."""
    folder = lake.folder_of(table)
    files = list(_underivable(lake, table) if table in DERIVED else _adopted(lake, table, published))
    with lake.scratch() as scratch:
        new = scratch / table.name
        create_empty(new, table)
        write_entry(
            new, 1, [*(add_action(table, file, folder, data_change=True) for file in files), commit_info(table)]
        )
        sync_new_files((new / LOG).iterdir(), folder=new / LOG, root=new)
        was = ""
        if (folder / LOG).is_dir():
            was = f", the old one is {set_aside(lake, folder / LOG)}"
        make_folder(folder)
        (new / LOG).rename(folder / LOG)
        sync_folder(folder)
    note_version(lake, table, Noted(1, rows_in(files)))
    what = f"of {len(files):,} files, {rows_in(files):,} rows"
    if table in DERIVED:
        what = f"{what} of days whose messages were dropped; the rest is derived again" if files else _EMPTY
    yield f"{folder / LOG} has no beginning that can be read: a new log is made {what}{was}", True


def _adopted(lake: Lake, table: Table, published: Collection[str]) -> Iterator[DataFile]:
    """Yield the data files that were part of the table, by what is left of the log, and by the published file.

    Those of days that were dropped stay out.
    """
    first = kept_days(lake).messages if table in DROPPED else date.min
    added, removed = _named(lake, table, "add"), _named(lake, table, "remove")
    there = [file.path for file in lake.files_there(table)]
    known = added | set(published)
    for path in there:
        file = _described(table, path) if not published or path.name in known else None
        if file and path.name not in removed and not (file.sent_date and file.sent_date < first):
            yield file


def _underivable(lake: Lake, table: Table) -> Iterator[DataFile]:
    """Yield the files of rates whose messages were dropped: they can't be derived again. A day is one file."""
    first, removed = kept_days(lake).messages, _named(lake, table, "remove")
    newest: dict[date, DataFile] = {}
    for path in [file.path for file in lake.files_there(table) if file.path.name not in removed]:
        file = _described(table, path) if table in RATE_TABLES else None
        if file and file.sent_date and file.sent_date < first:
            newest[file.sent_date] = max(file, newest.get(file.sent_date, file), key=lambda each: each.added_ms)
    yield from newest.values()


def _named(lake: Lake, table: Table, action: str) -> set[str]:
    """Return the names of the data files that what is left of the log adds or removes."""
    return {Path(found["path"]).name for found in log_actions(lake.folder_of(table), action)}


def _described(table: Table, path: Path) -> DataFile | None:
    """Describe a data file by itself; None if it can't be read."""
    try:
        rows = pq.read_table(path, columns=list(table.logged_maxima), partitioning=None)
    except (OSError, pa.ArrowException):
        return None
    status = path.stat()
    maxima: dict[str, Any] = {name: pa.compute.max(rows[name]).as_py() for name in table.logged_maxima}
    maxima = {name: value for name, value in maxima.items() if value is not None}
    count = pq.read_metadata(path).num_rows
    return DataFile(path, _day_of(table, path), count, status.st_size, int(status.st_mtime * 1000), maxima)


def _day_of(table: Table, path: Path) -> date | None:
    text = path.parent.name.removeprefix(f"{PARTITION_KEY}=") if table.is_partitioned else ""
    return date.fromisoformat(text) if text[:1].isdigit() else None
