"""Cache of the last published file; publishing copies it and rebuilds what changed.

It lies in the lake and holds the tables of the published file, `snapshot_info` without rows. It makes a publication of
many days a hundred times as quick (benchmarks/README.md). The cache is never the truth: it may be deleted at any time.
It is its owner's alone, whatever `SMS_FILE_MODE` says, and holds no views: what is opened for writing could run.

Belongs here: where the cache is, opening and deleting it, replacing the days of rate tables. Does not: the published
file (`database.py`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from pipeline import __version__
from pipeline.lake.durable import sync_folder
from pipeline.lake.lake import DataFile, Lake, Snapshot
from pipeline.lake.notes import erased_elsewhere
from pipeline.lake.queries import literal, relation, rows_of
from pipeline.model.tables import (
    DELIVERY_ROLLUPS_DAILY,
    LAKE_TABLES,
    RATE_TABLES,
    REJECTED_RECORDS,
    SNAPSHOT_INFO,
    Table,
)
from pipeline.model.trusted import is_private_file
from pipeline.model.views import VIEWS
from pipeline.publish.contents import add_table, attach_for_writing, insert_rows, strange_entries, view_select
from pipeline.publish.reading import detail_select

CACHE: Final = "cache"
"""Name under which the cache is attached."""
BUILT_FROM: Final = "built_from"
"""Table of the cache: what a table (by day) or view was built from. The published file, a copy, drops it."""
_COLUMNS: Final = "name VARCHAR, sent_date DATE, sources VARCHAR, rows BIGINT"
_FOLDER: Final = "_rates"
Sources = Mapping[date | None, str]
"""What a table's days, or under None the whole, were built from."""


def cache_path(lake: Lake) -> Path:
    """Return where the cache is; other tables, views or versions have another file.

    So has a lake in a bucket after another machine erased a number: the old file's free space may still hold it.
    """
    return cache_folder(lake.folder) / f"{_model_digest()}{erased_elsewhere(lake)}.duckdb"


def cache_folder(lake: Path) -> Path:
    """Return the folder of this user's cache in the folder of a lake."""
    return lake / f"{_FOLDER}-{os.geteuid()}"


def delete_cache(lake: Lake) -> None:
    """Delete the cache: its free space may still hold what was erased from the lake."""
    for place in lake.folder.glob(f"{_FOLDER}*"):
        if place.is_symlink() or not place.is_dir():
            place.unlink()
        shutil.rmtree(place, ignore_errors=True)
    sync_folder(lake.folder)


@contextmanager
def opened_cache(connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path) -> Iterator[None]:
    """Attach the cache at its path as `cache`; the block is one transaction. The caller holds the lock.

    After a failure or a kill in the block the next publication finds the cache as it was, and does the same work again.
    """
    _attach(connection, lake, path)
    connection.execute("BEGIN")
    _fill_if_new(connection)
    yield
    connection.execute("COMMIT")
    if path.with_name(f"{path.name}.wal").exists():  # of now, or of a publication that died: the file is copied next
        connection.execute(f"CHECKPOINT {CACHE}")
    connection.execute(f"DETACH {CACHE}")


def _attach(connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path) -> None:
    """Attach the cache if it is ours alone, undamaged and nothing but tables; else a new one."""
    if is_private_file(path):
        try:
            attach_for_writing(connection, path, CACHE)
            if not strange_entries(connection, CACHE, views=()):
                return
            connection.execute(f"DETACH {CACHE}")
        except duckdb.Error:  # the file is damaged
            connection.execute(f"DETACH DATABASE IF EXISTS {CACHE}")
    delete_cache(lake)  # or the file of another version
    path.parent.mkdir(mode=0o700)
    attach_for_writing(connection, path, CACHE)
    path.chmod(0o600)


def _fill_if_new(connection: duckdb.DuckDBPyConnection) -> None:
    """Make a new cache hold all tables of the published file that are no views, without rows."""
    if rows_of(connection, f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{CACHE}' LIMIT 1"):
        return
    connection.execute(f"USE {CACHE}")
    connection.execute(f"CREATE TABLE {BUILT_FROM} ({_COLUMNS})")
    for table in (*RATE_TABLES, SNAPSHOT_INFO):
        add_table(connection, table)
    connection.execute("USE work")


@functools.cache
def _model_digest() -> str:
    views = [(view, view_select(view.name)) for view in VIEWS]
    model = repr((__version__, duckdb.__version__, LAKE_TABLES, SNAPSHOT_INFO, views, _COLUMNS))
    return hashlib.blake2b(model.encode(), digest_size=8).hexdigest()


def refresh_rates(connection: duckdb.DuckDBPyConnection, snapshots: Mapping[str, Snapshot]) -> set[date]:
    """Replace the changed days of the rate tables in the cache; return the changed days of the daily roll-up."""
    changed = {table.name: _refresh_table(connection, snapshots[table.name]) for table in RATE_TABLES}
    return changed[DELIVERY_ROLLUPS_DAILY.name]


def count_rejects(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> int:
    """Return the rows of the view `rejected_records`, which has fewer than its files; counted if these changed."""
    name, select = REJECTED_RECORDS.name, detail_select(REJECTED_RECORDS, snapshot.files)
    sources: Sources = {None: hashlib.blake2b(select.encode(), digest_size=16).hexdigest()}
    if _sources_of(connection, name) != sources:
        ((rows,),) = rows_of(connection, f"SELECT count(*) FROM ({select})")
        _record_sources(connection, name, sources, rows=int(rows))
    ((rows,),) = rows_of(connection, f"SELECT rows FROM {CACHE}.{BUILT_FROM} WHERE name = '{name}'")
    return int(rows)


def _refresh_table(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> set[date]:
    before, present = _sources_of(connection, snapshot.table.name), _files_by_day(snapshot.files)
    changed = {day for day in before.keys() | present.keys() if day and before.get(day) != present.get(day)}
    if changed:
        _replace_days(connection, snapshot.table, snapshot.of(changed), changed)
        _record_sources(connection, snapshot.table.name, present)
    return changed


def _files_by_day(files: Sequence[DataFile]) -> Sources:
    names: dict[date | None, list[str]] = {}
    for file in files:
        names.setdefault(file.sent_date, []).append(file.path.name)
    return {day: "\n".join(sorted(of_day)) for day, of_day in names.items()}


def _replace_days(
    connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[DataFile], days: Collection[date]
) -> None:
    """Replace the rows of some days; all later rows are written again, so that rows stay in the order of days."""
    name, key = f"{CACHE}.{table.name}", ", ".join(table.key)
    listed = ", ".join(f"DATE {literal(day.isoformat())}" for day in sorted(days))
    since = f"sent_date >= DATE {literal(min(days).isoformat())}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE later AS FROM {name} WHERE {since} AND sent_date NOT IN ({listed}) "
        f"UNION ALL {relation(table, files)}"
    )
    connection.execute(f"DELETE FROM {name} WHERE {since}")
    connection.execute(f"INSERT INTO {name} FROM later ORDER BY {key}")
    connection.execute("DROP TABLE later")


def _sources_of(connection: duckdb.DuckDBPyConnection, name: str) -> Sources:
    """Return what a table or view of the cache was built from; empty if it was never built."""
    select = f"SELECT sent_date, sources FROM {CACHE}.{BUILT_FROM} WHERE name = $name"
    return dict(rows_of(connection, select, {"name": name}))


def _record_sources(
    connection: duckdb.DuckDBPyConnection, name: str, sources: Sources, *, rows: int | None = None
) -> None:
    """Replace what is recorded of a table or view; `rows` is the number of its rows, where it was counted."""
    connection.execute(f"DELETE FROM {CACHE}.{BUILT_FROM} WHERE name = ?", [name])
    insert_rows(connection, f"{CACHE}.{BUILT_FROM}", [(name, day, text, rows) for day, text in sources.items()])
