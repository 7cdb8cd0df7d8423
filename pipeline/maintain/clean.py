"""Use case: delete the lake's files that no reader can need, and shorten the transaction logs.

A Parquet file goes once all of this holds:
- neither the newest version of its table nor the published DuckDB file names it;
- it was replaced `SMS_SNAPSHOT_HOURS` ago, or, where no log knows it (a run died before its commit), it was last
  written as long ago, and `IN_FLIGHT` ago at least;
- nobody who is at work in the lake began before that moment. This holds with `SMS_SNAPSHOT_HOURS=0`, too.

No publication can come between looking and deleting: the lock of publishing is held.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from pipeline.lake.lake import Lake
from pipeline.lake.queries import literal
from pipeline.lake.snapshots import replaced_files
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import LAKE_TABLES, Table
from pipeline.publish.database import PUBLISHING

IN_FLIGHT: Final = timedelta(hours=1)
"""Shortest age at which a file that no log knows is taken for a dead run's; one at work commits within minutes."""
LOG_DAYS: Final = 7
"""Days for which entries of the transaction logs are kept; nothing looks back further than `SMS_SNAPSHOT_HOURS`."""
_NAMED: Final = re.compile(r"'((?:[^']|'')+\.parquet)'")


@dataclass
class CleanTally:
    """What cleaning did: files deleted and their bytes, and files that no table names but that are kept for now."""

    files: int = 0
    size: int = 0
    kept: int = 0


def clean(*, lake: Lake, settings: Settings, now: datetime) -> CleanTally:
    """Delete files that no reader can need, and shorten the logs.

    Args:
        lake: the tables.
        settings: `SMS_SNAPSHOT_HOURS` and the published file.
        now: the present.

    Raises:
        LakeError: the lake or the published file can't be read; nothing was deleted.
    """
    tally = CleanTally()
    with lake.lock(PUBLISHING):
        began = lake.working_since() or now
        published = _published_files(settings.duckdb)
        for table in LAKE_TABLES:
            for path, since in _unnamed(lake, table, published):
                if since + timedelta(hours=settings.snapshot_hours) <= now and since < began:
                    _delete(path, tally)
                else:
                    tally.kept += 1
    for table in LAKE_TABLES:
        _shorten_log(lake, table, settings)
    return tally


def _unnamed(lake: Lake, table: Table, published: set[str]) -> Iterator[tuple[Path, datetime]]:
    """Yield the files that neither table nor publication names, and since when a reader may be without them."""
    there = lake.files_there(table)  # first: what is committed meanwhile is named by the version that is read then
    named = {file.path.name for file in lake.snapshot(table).files} | published
    replaced = replaced_files(lake.folder_of(table))
    for file in there:
        if file.path.name in named:
            continue
        if file.path in replaced:
            yield file.path, replaced[file.path]
            continue
        with contextlib.suppress(FileNotFoundError):
            written = datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
            if written <= datetime.now(UTC) - IN_FLIGHT:
                yield file.path, written


def _delete(path: Path, tally: CleanTally) -> None:
    with contextlib.suppress(FileNotFoundError):
        size = path.stat().st_size
        path.unlink()
        tally.files += 1
        tally.size += size


def _published_files(path: Path) -> set[str]:
    """Return the names of the files that the published views read; a name is there once in all folders."""
    if not path.exists():
        return set()
    try:
        # Attached, not opened: of a path that this process has open already, opening gives the file of that time.
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH {literal(str(path))} AS published (READ_ONLY)")
            views = connection.execute("SELECT sql FROM duckdb_views() WHERE database_name = 'published'").fetchall()
    except duckdb.Error as error:
        raise LakeError(f"SMS_DUCKDB: {path} can't be read, so no old file was deleted: {error}") from error
    texts = [text for (sql,) in views for text in _NAMED.findall(sql)]  # of many names a line each, or of one
    return {Path(name.replace("''", "'")).name for text in texts for name in text.split("\n")}


def _shorten_log(lake: Lake, table: Table, settings: Settings) -> None:
    """Write a checkpoint and delete entries of the log that nobody needs; what meets a commit waits for another day."""
    remembered = max(LOG_DAYS, settings.snapshot_hours / 24 + 1)
    properties = {
        "delta.logRetentionDuration": f"interval {LOG_DAYS} days",
        "delta.deletedFileRetentionDuration": f"interval {remembered * 24:.0f} hours",
    }
    try:
        handle = DeltaTable(lake.folder_of(table))
        if handle.metadata().configuration != properties:
            handle.alter.set_table_properties(properties)
            handle = DeltaTable(lake.folder_of(table))
        handle.create_checkpoint()
        handle.cleanup_metadata()
    except CommitFailedError:
        return
    except DeltaError as error:
        raise LakeError(f"the log of {table.name} can't be shortened: {error}") from error
