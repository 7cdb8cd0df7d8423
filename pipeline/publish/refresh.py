"""Bring the cache up to date: replace the days of rate tables and the views whose files in the lake changed.

Belongs here: finding and rebuilding what changed. Does not: the cache file itself (`cache.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import date

import duckdb

from pipeline.lake.lake import DataFile, Snapshot
from pipeline.lake.queries import literal, relation, rows_of
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, DETAIL_TABLES, RATE_TABLES, REJECTED_RECORDS, Table
from pipeline.publish.cache import BUILT_FROM, CACHE, Sources, record_sources, sources_of
from pipeline.publish.contents import add_detail_view


def refresh_rates(connection: duckdb.DuckDBPyConnection, snapshots: Mapping[str, Snapshot]) -> set[date]:
    """Replace the changed days of the rate tables in the cache; return the changed days of the daily roll-up."""
    changed = {table.name: _refresh_table(connection, snapshots[table.name]) for table in RATE_TABLES}
    return changed[DELIVERY_ROLLUPS_DAILY.name]


def refresh_views(connection: duckdb.DuckDBPyConnection, snapshots: Mapping[str, Snapshot]) -> int:
    """Rebuild the detail views that name other files than before; return the rows of `rejected_records`."""
    connection.execute(f"USE {CACHE}")
    for table in DETAIL_TABLES:
        select = _detail_select(table, snapshots[table.name].files)
        sources: Sources = {None: hashlib.blake2b(select.encode(), digest_size=16).hexdigest()}
        if sources_of(connection, table.name) != sources:
            add_detail_view(connection, table, select)
            record_sources(connection, table.name, sources, rows=_rows_if_distinct(connection, table))
    connection.execute("USE work")
    recorded = f"SELECT rows FROM {CACHE}.{BUILT_FROM} WHERE name = '{REJECTED_RECORDS.name}'"
    ((rows,),) = rows_of(connection, recorded)
    return int(rows)


def _refresh_table(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> set[date]:
    before, present = sources_of(connection, snapshot.table.name), _files_by_day(snapshot.files)
    changed = {day for day in before.keys() | present.keys() if day and before.get(day) != present.get(day)}
    if changed:
        _replace_days(connection, snapshot.table, snapshot.of(changed), changed)
        record_sources(connection, snapshot.table.name, present)
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


def _detail_select(table: Table, files: Sequence[DataFile]) -> str:
    select = relation(table, files)
    if table is REJECTED_RECORDS:  # two runs at once may store the same reject
        key = ", ".join(table.key)
        return f"SELECT DISTINCT ON ({key}) * FROM ({select}) ORDER BY {key}, rejected_at"
    return select


def _rows_if_distinct(connection: duckdb.DuckDBPyConnection, table: Table) -> int | None:
    """Count the rows of the one view that has fewer rows than its files."""
    if table is not REJECTED_RECORDS:
        return None
    ((rows,),) = rows_of(connection, f"SELECT count(*) FROM {table.name}")
    return int(rows)
