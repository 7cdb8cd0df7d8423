"""The rate tables in one DuckDB file of the lake, so that a publication reads only what changed since the last.

Reading thousands of small Parquet files takes many seconds; copying one file takes a fraction of one. The file is
not the truth: it says of which files of the lake it was made, and can be deleted at any time. It is not what
analysts open, so nobody can have changed it. Its storage version is that of the published file, which begins as
a copy of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from pipeline.lake import Lake, Snapshot
from pipeline.tables import DELIVERY_ROLLUPS_DAILY, RATE_TABLES, Table
from pipeline.warehouse import STORAGE_VERSION, create_table, literal, relation, rows_of

COPY: Final = "rates"
"""Name under which the file is attached."""
MADE_OF: Final = "made_of"
"""The table that says of which files it was made; what begins as a copy drops it."""
_FOLDER: Final = "_rates"
_Days = dict[date | None, set[str]]


def forget_copy(lake: Lake) -> None:
    """Delete the file: free space in it may still hold what was erased from the lake."""
    shutil.rmtree(lake.folder / _FOLDER, ignore_errors=True)


@contextmanager
def copied_rates(
    connection: duckdb.DuckDBPyConnection, lake: Lake, snapshots: Mapping[str, Snapshot]
) -> Iterator[set[date]]:
    """Bring the file up to date, attached as `rates`, and give the days whose daily roll-ups changed.

    What changed counts as seen once the block ends well: after a kill in it the next publication sees it again.
    The caller holds the lock of publishing.

    Args:
        connection: to attach it to.
        lake: where it is.
        snapshots: the rate tables, by name.
    """
    _attach(connection, lake)
    connection.execute("BEGIN")
    try:
        changed = {table.name: _update(connection, table, snapshots[table.name]) for table in RATE_TABLES}
        yield changed[DELIVERY_ROLLUPS_DAILY.name]
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):  # there is none any more if committing failed
            connection.execute("ROLLBACK")
        raise
    if any(changed.values()):
        connection.execute(f"CHECKPOINT {COPY}")
    connection.execute(f"DETACH {COPY}")


def path_of(lake: Lake) -> Path:
    """Return where the file is; another model of the tables has another file."""
    model = repr([(table.name, table.columns) for table in RATE_TABLES])
    return lake.folder / _FOLDER / f"{hashlib.blake2b(model.encode(), digest_size=8).hexdigest()}.duckdb"


def _attach(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    path = path_of(lake)
    path.parent.mkdir(exist_ok=True)
    attach = f"ATTACH {literal(str(path))} AS {COPY} (STORAGE_VERSION '{STORAGE_VERSION}')"
    try:
        connection.execute(attach)
    except duckdb.Error:  # it is damaged
        forget_copy(lake)
        path.parent.mkdir()
        connection.execute(attach)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {COPY}.{MADE_OF} (table_name VARCHAR, sent_date DATE, file VARCHAR)"
    )
    for table in RATE_TABLES:
        create_table(connection, table, catalog=COPY)


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
    connection.execute(
        f"DELETE FROM {COPY}.{MADE_OF} WHERE table_name = {literal(table.name)} AND sent_date IN ({days})"
    )
    if files:
        rows = ", ".join(
            f"({literal(table.name)}, DATE {literal(str(file.sent_date))}, {literal(file.path.name)})" for file in files
        )
        connection.execute(f"INSERT INTO {COPY}.{MADE_OF} VALUES {rows}")
    return changed


def _made_of(connection: duckdb.DuckDBPyConnection, table: Table) -> _Days:
    found: _Days = defaultdict(set)
    select = f"SELECT sent_date, file FROM {COPY}.{MADE_OF} WHERE table_name = {literal(table.name)}"
    for day, file in rows_of(connection, select):
        found[day].add(file)
    return found


def _files_of(snapshot: Snapshot) -> _Days:
    found: _Days = defaultdict(set)
    for file in snapshot.files:
        found[file.sent_date].add(file.path.name)
    return found
