"""The published file but for `snapshot_info`, kept in the lake, so that a publication makes anew only what changed.

Reading thousands of small Parquet files takes many seconds, and hundreds of comments a tenth of one; copying one file
takes less. The file is not the truth: it says of which files of the lake each table and view in it was made, and can
be deleted at any time. It is not what analysts open, so nobody can have changed it. Its storage version is that of
the published file, which begins as a copy of it.

What belongs here: keeping it, and the rates in it. What does not: the views in it (`publish.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

import duckdb

from pipeline import __version__
from pipeline.lake.lake import Lake, Snapshot
from pipeline.lake.queries import STORAGE_VERSION, create_table, literal, query, relation, rows_of
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, LAKE_TABLES, RATE_TABLES, SNAPSHOT_INFO, Table
from pipeline.model.views import VIEWS

COPY: Final = "rates"
"""Name under which the file is attached."""
_MADE_OF: Final = "made_of"
"""The table that names the files of which each day of each rate table was made."""
_MADE_AS: Final = "made_as"
"""The table that has, of each rate table and detail view, a digest of what it was made of, and its rows if counted."""
BOOKS: Final = (_MADE_OF, _MADE_AS)
"""The tables that say of what it was made; what begins as a copy drops them."""
_FOLDER: Final = "_rates"
_Days = dict[date | None, set[str]]


def forget_copy(lake: Lake) -> None:
    """Delete the file: free space in it may still hold what was erased from the lake."""
    shutil.rmtree(lake.folder / _FOLDER, ignore_errors=True)


@contextmanager
def opened_copy(connection: duckdb.DuckDBPyConnection, lake: Lake) -> Iterator[None]:
    """Attach the file as `rates`, and write what the block changes in it, whole or not at all.

    What changed counts as seen once the block ends well: after a kill in it the next publication sees it again.
    The caller holds the lock of publishing.
    """
    path = path_of(lake)
    _attach(connection, lake, path)
    connection.execute("BEGIN")
    try:
        for book, columns in zip(BOOKS, ("sent_date DATE, file VARCHAR", "digest VARCHAR, rows BIGINT"), strict=True):
            connection.execute(f"CREATE TABLE IF NOT EXISTS {COPY}.{book} (name VARCHAR, {columns})")
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # there is none any more if committing failed
            connection.execute("ROLLBACK")
        raise
    if path.with_name(f"{path.name}.wal").exists():  # of now, or of a publication that died
        connection.execute(f"CHECKPOINT {COPY}")
    connection.execute(f"DETACH {COPY}")


def path_of(lake: Lake) -> Path:
    """Return where the file is; another model of tables and views, or another version, has another file."""
    return lake.folder / _FOLDER / f"{_model()}.duckdb"


@cache
def _model() -> str:
    views = [(view, query(f"publish/sql/views/{view.name}")) for view in VIEWS]
    model = repr((__version__, duckdb.__version__, LAKE_TABLES, SNAPSHOT_INFO, views))
    return hashlib.blake2b(model.encode(), digest_size=8).hexdigest()


def _attach(connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path) -> None:
    if not path.exists():  # one of another model is of no use any more
        forget_copy(lake)
    path.parent.mkdir(exist_ok=True)
    attach = f"ATTACH {literal(str(path))} AS {COPY} (STORAGE_VERSION '{STORAGE_VERSION}')"
    try:
        connection.execute(attach)
    except duckdb.Error:  # it is damaged
        forget_copy(lake)
        path.parent.mkdir()
        connection.execute(attach)


def made_as(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, int | None]]:
    """Return what the tables and views of the file were made of: digest and rows by name; empty for a new file."""
    return {name: (digest, rows) for name, digest, rows in rows_of(connection, f"FROM {COPY}.{_MADE_AS}")}


def note_made(connection: duckdb.DuckDBPyConnection, name: str, digest: str, rows: int | None = None) -> None:
    """Note of what a table or view of the file was made."""
    connection.execute(f"DELETE FROM {COPY}.{_MADE_AS} WHERE name = {literal(name)}")
    connection.execute(f"INSERT INTO {COPY}.{_MADE_AS} VALUES (?, ?, ?)", [name, digest, rows])


def digest_of(text: str) -> str:
    """Return a short text that stands for a longer one."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def bring_rates_up_to_date(connection: duckdb.DuckDBPyConnection, snapshots: Mapping[str, Snapshot]) -> set[date]:
    """Replace what changed in the rate tables of the file; return the days whose daily roll-ups changed.

    Args:
        connection: where the file is open.
        snapshots: the rate tables, by name.
    """
    known = made_as(connection)
    changed: dict[str, set[date]] = {}
    for table in RATE_TABLES:
        snapshot = snapshots[table.name]
        digest = digest_of("\n".join(sorted(file.path.name for file in snapshot.files)))
        if known.get(table.name, ("",))[0] != digest:
            create_table(connection, table, catalog=COPY)
            changed[table.name] = _update(connection, table, snapshot)
            note_made(connection, table.name, digest)
    return changed.get(DELIVERY_ROLLUPS_DAILY.name, set())


def _update(connection: duckdb.DuckDBPyConnection, table: Table, snapshot: Snapshot) -> set[date]:
    """Replace the days whose files are others than those it was made of; rows stay in the order of days."""
    there, wanted = _made_of(connection, table), _files_of(snapshot)
    changed = {day for day in there.keys() | wanted.keys() if day and there.get(day) != wanted.get(day)}
    if not changed:
        return changed
    days = ", ".join(f"DATE {literal(day.isoformat())}" for day in sorted(changed))
    since = f"sent_date >= DATE {literal(min(changed).isoformat())}"
    name, key, files = f"{COPY}.{table.name}", ", ".join(table.key), snapshot.of(changed)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE later AS FROM {name} WHERE {since} AND sent_date NOT IN ({days}) "
        f"UNION ALL {relation(table, files)}"
    )
    connection.execute(f"DELETE FROM {name} WHERE {since}")
    connection.execute(f"INSERT INTO {name} FROM later ORDER BY {key}")
    connection.execute("DROP TABLE later")
    connection.execute(f"DELETE FROM {COPY}.{_MADE_OF} WHERE name = {literal(table.name)} AND sent_date IN ({days})")
    if files:
        rows = ", ".join(
            f"({literal(table.name)}, DATE {literal(str(file.sent_date))}, {literal(file.path.name)})" for file in files
        )
        connection.execute(f"INSERT INTO {COPY}.{_MADE_OF} VALUES {rows}")
    return changed


def _made_of(connection: duckdb.DuckDBPyConnection, table: Table) -> _Days:
    found: _Days = defaultdict(set)
    select = f"SELECT sent_date, file FROM {COPY}.{_MADE_OF} WHERE name = {literal(table.name)}"
    for day, file in rows_of(connection, select):
        found[day].add(file)
    return found


def _files_of(snapshot: Snapshot) -> _Days:
    found: _Days = defaultdict(set)
    for file in snapshot.files:
        found[file.sent_date].add(file.path.name)
    return found
