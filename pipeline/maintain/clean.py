"""Use case: delete the lake's files that no reader can need, and shorten the Delta logs.

A Parquet file is deleted once all of this holds:
- neither the newest version of its table nor the published DuckDB file names it;
- it was replaced `SMS_SNAPSHOT_HOURS` ago; a file that no log names (its run died before the commit) was last written
  as long ago, and at least `IN_FLIGHT` ago: `ages.py` says what that is worth where clocks are wrong;
- every run at work in the lake began after that, with `SMS_SNAPSHOT_HOURS=0`, too. Of other machines the caller knows
  the runs that are recorded where its own is; there may be more, so that in a bucket it was at least `IN_FLIGHT` ago.

What was published to a bucket stays for readers when it was replaced. So there the time of a file counts from the first
publication after it was replaced: the one before may name it.

The lock of publishing is held meanwhile, so no publication can name a file that is about to be deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipeline.lake.delta_log import replaced_files
from pipeline.lake.lake import IN_FLIGHT, DataFile, Lake
from pipeline.lake.log_entries import write_checkpoint, written_aside
from pipeline.maintain.ages import Ages
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import LAKE_TABLES, Table
from pipeline.publish.bucket import published_bucket, published_file
from pipeline.publish.database import PUBLISHING
from pipeline.publish.reading import lake_files_named

LOG_DAYS: Final = 7
"""Days for which entries of the Delta logs are kept; readers look back `SMS_SNAPSHOT_HOURS` at most."""
_SURE: Final = timedelta(days=2)
"""Time since the platform's latest answer up to which logs are shortened: Delta asks this machine's clock for it."""


@dataclass
class CleanTally:
    """What cleaning did: files deleted, their size in bytes, and unnamed files that are kept for now."""

    files: int = 0
    size: int = 0
    kept: int = 0


def clean(*, lake: Lake, settings: Settings, now: datetime, others: Collection[str] = ()) -> CleanTally:
    """Delete files that no reader can need, and shorten the logs.

    Args:
        lake: the lake.
        settings: how long replaced files are kept.
        now: the present instant.
        others: ids of runs that are at work on any machine.

    Raises:
        LakeError: the lake or the published file can't be read; nothing was deleted.
    """
    tally = CleanTally()
    with lake.lock(PUBLISHING):
        ages, deleted = Ages.of(lake, now=now, others=others), set[str]()
        published = lake_files_named(settings) if published_file(settings) else set()
        bucket = published_bucket(settings)
        published_at = [version.modified for version in bucket.versions()] if bucket else []
        kept = max(timedelta(hours=settings.snapshot_hours), IN_FLIGHT if lake.has_copies else timedelta(0))
        for table in LAKE_TABLES:
            unnamed = [
                (file, next((moment for moment in published_at if moment > since), since))
                for file, since in _unnamed(lake, table, published)
            ]
            old = [file for file, since in unnamed if ages.may_go(_name_of(file, lake), since, kept=kept)]
            lake.delete(old)
            deleted |= {_name_of(file, lake) for file in old}
            tally.files += len(old)
            tally.size += sum(file.size for file in old)
            tally.kept += len(unnamed) - len(old)
        ages.note(lake, deleted=deleted)
    if ages.known and datetime.now(UTC) - ages.known <= _SURE:
        for table in LAKE_TABLES:
            _shorten_log(lake, table, settings)
    return tally


def _name_of(file: DataFile, lake: Lake) -> str:
    return str(file.path.relative_to(lake.folder))


def _unnamed(lake: Lake, table: Table, published: set[str]) -> Iterator[tuple[DataFile, datetime]]:
    """Yield the files that neither table nor publication names, and since when that is so."""
    there = lake.files_there(table)  # first: the version read next names what is committed meanwhile
    lake.look_again()
    named = {file.path.name for file in lake.snapshot(table).files} | published
    replaced = replaced_files(lake.folder_of(table))
    for file in there:
        if file.path.name in named:
            continue
        if file.path in replaced:
            yield file, replaced[file.path]
        elif file.added_at <= datetime.now(UTC) - IN_FLIGHT:
            yield file, file.added_at


def _shorten_log(lake: Lake, table: Table, settings: Settings) -> None:
    """Write a checkpoint and delete old entries of the log; if that meets a commit, leave it for another day."""
    remembered = max(LOG_DAYS, settings.snapshot_hours / 24 + 1)
    properties = {
        "delta.logRetentionDuration": f"interval {LOG_DAYS} days",
        "delta.deletedFileRetentionDuration": f"interval {remembered * 24:.0f} hours",
    }
    folder = lake.folder_of(table)
    lake.snapshot(table)  # a damaged log is not shortened
    try:
        if DeltaTable(folder).metadata().configuration != properties:
            with lake.scratch() as scratch, written_aside(folder, scratch) as copy:
                DeltaTable(copy).alter.set_table_properties(properties)
        with lake.scratch() as scratch:
            write_checkpoint(folder, scratch)
        DeltaTable(folder).cleanup_metadata()
        lake.shorten_log(table, before=datetime.now(UTC) - timedelta(days=LOG_DAYS))
    except FileExistsError:
        return
    except (DeltaError, OSError) as error:
        raise LakeError(f"the Delta log of {table.name} can't be shortened: {error}") from error
