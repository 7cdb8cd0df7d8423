"""Use case: publish the lake as a DuckDB file that analysts open.

The file is built beside its place and swapped in (`swap.py`); if its place is in a bucket, it is put there, too
(`bucket.py`). An open connection keeps its snapshot, the next one gets the new one, and no writer ever locks what
analysts see. Detail tables are views over the lake's files, named one by one; rate tables are small and are copied.
First, what is published as mature is recorded (`history.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import duckdb

from pipeline import __version__
from pipeline.lake.damage import REMEDY, DamagedTableError, data_damage
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake, Snapshot, retry
from pipeline.lake.queries import LAKE_VARIABLE, database, literal
from pipeline.model.errors import LakeError
from pipeline.model.settings import CLOCK_TOLERANCE, Settings
from pipeline.model.tables import (
    DELIVERY_REPORTS,
    DELIVERY_ROLLUPS_DAILY,
    DETAIL_TABLES,
    LAKE_TABLES,
    RATE_PUBLICATIONS,
    REJECTED_RECORDS,
    SNAPSHOT_INFO,
)
from pipeline.publish.bucket import PublishedBucket, published_bucket
from pipeline.publish.cache import BUILT_FROM, CACHE, cache_path, count_rejects, opened_cache, refresh_rates
from pipeline.publish.contents import WRITE_BITS, add_detail_view, add_ready_made_views, insert_rows, opened_file
from pipeline.publish.history import record_publication
from pipeline.publish.reading import detail_select
from pipeline.publish.swap import remove_old_versions, swapped_in

PUBLISHING: Final = "publish"
"""Name of the lock that a writer of the published files holds."""


@dataclass(frozen=True)
class Publication:
    """What was published: rows by table, and when the latest answer in it arrived, None before the first; UTC.

    Attributes:
        place: path of the file, or URL of this version of it.
    """

    place: str
    rows: Mapping[str, int]
    published_at: datetime
    data_as_of: datetime | None


def publish(*, lake: Lake, settings: Settings, now: datetime) -> Publication:
    """Build the DuckDB file from the lake and put it in its place.

    Publications wait for each other, and one that another machine overtook is built again, so the last one has
    everything that was committed before it.

    Raises:
        SettingsError: readers of the file could not reach the lake.
        LakeError: the lake can't be read, or the file can't be written.
    """
    settings.check_places()
    bucket = published_bucket(settings)
    with lake.lock(PUBLISHING):
        if bucket is None:
            return _published(lake, settings, now)
        with bucket.locked():
            return retry(partial(_published, lake, settings, now, bucket))


def _published(lake: Lake, settings: Settings, now: datetime, bucket: PublishedBucket | None = None) -> Publication:
    path = settings.duckdb
    after = bucket.newest() if bucket else None  # before the lake is read
    lake.look_again()
    snapshots = {table.name: lake.snapshot(table) for table in LAKE_TABLES}
    if not lake.has_copies:  # of a bucket: what is missing here is brought when it is read
        _check_files(snapshots.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        cache = cache_path(lake)
        is_anew = lake.has_copies and not cache.exists()
        with swapped_in(path, mode=settings.file_mode & ~WRITE_BITS) as version:
            rows = _build(version, lake, snapshots, settings, cache=cache, now=now)
            # DuckDB before 1.5 does not resolve the link: its read-write connections leave a .wal beside it.
            path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
            put = bucket.publish(version, after=after) if bucket else None
        if is_anew:  # another machine may have erased a number that the version before holds
            remove_old_versions(path, at_once=True)
    except (OSError, duckdb.Error) as error:
        raise LakeError(f"SMS_DUCKDB: {path} can't be published: {error}") from error
    place = bucket.url_of(put) if bucket and put else str(path)
    return Publication(place, rows, now, _data_as_of(snapshots[DELIVERY_REPORTS.name], now))


def _data_as_of(reports: Snapshot, now: datetime) -> datetime | None:
    """Return when the latest answer arrived; one ahead of now is of a clock that was wrong, and would hide silence."""
    return reports.latest_by(now + CLOCK_TOLERANCE)


def _check_files(snapshots: Iterable[Snapshot]) -> None:
    """Refuse to publish views of files that are missing or cut: DuckDB opens one file of a view when it is created."""
    for snapshot in snapshots:
        for wrong in filter(None, map(data_damage, snapshot.files)):
            raise DamagedTableError(f"the lake's table {snapshot.table.name} is damaged: {wrong}; {REMEDY}")


def _build(
    path: Path, lake: Lake, snapshots: dict[str, Snapshot], settings: Settings, *, cache: Path, now: datetime
) -> dict[str, int]:
    """Bring the cache up to date and copy it to `path`; return the rows of each table."""
    with database(lake, settings) as connection:
        with opened_cache(connection, lake, cache):
            days = refresh_rates(connection, snapshots)
            record_publication(connection, lake, days, rollups=f"{CACHE}.{DELIVERY_ROLLUPS_DAILY.name}", now=now)
            snapshots[RATE_PUBLICATIONS.name] = lake.snapshot(RATE_PUBLICATIONS)
            rows = {name: snapshot.rows for name, snapshot in snapshots.items()}
            rows[REJECTED_RECORDS.name] = count_rejects(connection, snapshots[REJECTED_RECORDS.name])
        shutil.copyfile(cache, path)
        as_of, first = _data_as_of(snapshots[DELIVERY_REPORTS.name], now), kept_days(lake, newest=True).messages_from
        same = (now, as_of, settings.timezone.key, __version__, first)
        with opened_file(connection, path):
            connection.execute(f"DROP TABLE {BUILT_FROM}")
            info = [(name, rows[name], snapshot.version, *same) for name, snapshot in snapshots.items()]
            insert_rows(connection, SNAPSHOT_INFO.name, info)
            connection.execute(f"SET VARIABLE {LAKE_VARIABLE} = {literal(str(lake.folder))}")  # views are bound here
            for table in DETAIL_TABLES:
                select = detail_select(table, snapshots[table.name].files, lake_at=settings.lake_at)
                add_detail_view(connection, table, select)
            add_ready_made_views(connection)
    return rows
