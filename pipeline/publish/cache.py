"""Cache of the last published file; publishing copies it and rebuilds what changed.

It lies in the lake and holds the published file without the rows of `snapshot_info`. It makes a publication of many
days a hundred times as quick (benchmarks/README.md). The cache is never the truth: it may be deleted at any time.

Belongs here: where the cache is, opening and deleting it, the table that records what each part was built from.
Does not: rebuilding the parts (`refresh.py`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from pipeline import __version__
from pipeline.lake.lake import Lake
from pipeline.lake.queries import query, relation, rows_of
from pipeline.model.tables import DETAIL_TABLES, LAKE_TABLES, RATE_TABLES, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from pipeline.publish.contents import add_detail_view, add_ready_made_views, add_table, attach_for_writing, insert_rows

CACHE: Final = "cache"
"""Name under which the cache is attached."""
BUILT_FROM: Final = "built_from"
"""Table of the cache: what a table (by day) or view was built from. The published file, a copy, drops it."""
_COLUMNS: Final = "name VARCHAR, sent_date DATE, sources VARCHAR, rows BIGINT"
_FOLDER: Final = "_rates"
Sources = Mapping[date | None, str]
"""What a table's days, or under None a view, were built from."""


def cache_path(lake: Lake) -> Path:
    """Return where the cache is; other tables, views or versions have another file."""
    return lake.folder / _FOLDER / f"{_model_digest()}.duckdb"


def delete_cache(lake: Lake) -> None:
    """Delete the cache: its free space may still hold what was erased from the lake."""
    shutil.rmtree(lake.folder / _FOLDER, ignore_errors=True)


@contextmanager
def opened_cache(connection: duckdb.DuckDBPyConnection, lake: Lake) -> Iterator[None]:
    """Attach the cache as `cache`; the block is one transaction. The caller holds the lock of publishing.

    After a kill in the block the next publication finds the cache as it was, and does the same work again.
    """
    path = cache_path(lake)
    _attach(connection, lake, path)
    connection.execute("BEGIN")
    try:
        _fill_if_new(connection)
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # a failed COMMIT has ended the transaction
            connection.execute("ROLLBACK")
        raise
    if path.with_name(f"{path.name}.wal").exists():  # of now, or of a publication that died: the file is copied next
        connection.execute(f"CHECKPOINT {CACHE}")
    connection.execute(f"DETACH {CACHE}")


def sources_of(connection: duckdb.DuckDBPyConnection, name: str) -> Sources:
    """Return what a table or view of the cache was built from; empty if it was never built."""
    return dict(
        rows_of(connection, f"SELECT sent_date, sources FROM {CACHE}.{BUILT_FROM} WHERE name = $name", {"name": name})
    )


def record_sources(
    connection: duckdb.DuckDBPyConnection, name: str, sources: Sources, *, rows: int | None = None
) -> None:
    """Replace what is recorded of a table or view; `rows` is the number of its rows, where it was counted."""
    connection.execute(f"DELETE FROM {CACHE}.{BUILT_FROM} WHERE name = ?", [name])
    insert_rows(connection, f"{CACHE}.{BUILT_FROM}", [(name, day, text, rows) for day, text in sources.items()])


def _attach(connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path) -> None:
    if not path.exists():
        delete_cache(lake)  # the file of another version
    path.parent.mkdir(exist_ok=True)
    try:
        attach_for_writing(connection, path, CACHE)
    except duckdb.Error:  # the file is damaged
        delete_cache(lake)
        path.parent.mkdir()
        attach_for_writing(connection, path, CACHE)


def _fill_if_new(connection: duckdb.DuckDBPyConnection) -> None:
    """Make a new cache what the published file of an empty lake is: all tables and views, without rows."""
    if rows_of(connection, f"SELECT 1 FROM duckdb_tables() WHERE database_name = '{CACHE}' LIMIT 1"):
        return
    connection.execute(f"USE {CACHE}")
    connection.execute(f"CREATE TABLE {BUILT_FROM} ({_COLUMNS})")
    for table in (*RATE_TABLES, SNAPSHOT_INFO):
        add_table(connection, table)
    for table in DETAIL_TABLES:
        add_detail_view(connection, table, relation(table, []))
    add_ready_made_views(connection)
    connection.execute("USE work")


@functools.cache
def _model_digest() -> str:
    views = [(view, query(f"publish/sql/views/{view.name}")) for view in VIEWS]
    model = repr((__version__, duckdb.__version__, LAKE_TABLES, SNAPSHOT_INFO, views, _COLUMNS))
    return hashlib.blake2b(model.encode(), digest_size=8).hexdigest()
