"""Audits of the published file: it shows what the lake holds, and its columns are as documented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import duckdb

from pipeline.api.responses import mask_digits
from pipeline.lake.lake import Snapshot
from pipeline.lake.queries import literal
from pipeline.lake.snapshots import rows_in
from pipeline.maintain.audits.scene import Finding, Scene, judged
from pipeline.model.tables import LAKE_TABLES, MESSAGES, REJECTED_RECORDS, SNAPSHOT_INFO
from pipeline.model.views import VIEWS


def published_file_agrees(scene: Scene) -> Finding:
    """The published file shows what the lake holds."""
    scene.connection.execute(
        "CREATE OR REPLACE TEMP TABLE lake_tables (table_name VARCHAR, version BIGINT, rows BIGINT)"
    )
    scene.connection.execute("CREATE OR REPLACE TEMP TABLE lake_days (sent_date DATE, rows BIGINT)")
    with _published(scene):
        # After the file was opened: it can't be ahead of what is read now.
        snapshots = {table.name: scene.lake.snapshot(table) for table in LAKE_TABLES}
        rows = {name: None if name == REJECTED_RECORDS.name else s.rows for name, s in snapshots.items()}
        _insert(scene.connection, "lake_tables", [(name, s.version, rows[name]) for name, s in snapshots.items()])
        _insert(scene.connection, "lake_days", list(_rows_by_day(scene, snapshots[MESSAGES.name])))
        try:
            bad = scene.bad("published_file_agrees")
        except duckdb.IOException as error:  # a file that a view names has gone
            bad = [{"table_name": "messages", "what": mask_digits(str(error).splitlines()[0])}]
    figures = {"tables": len(LAKE_TABLES), "differences": len(bad)}
    return judged(bad, figures, is_severe=True)


def schema_as_documented(scene: Scene) -> Finding:
    """Every column of the published file has the type and the meaning that the documentation says."""
    documented: list[tuple[str | int | None, ...]] = [
        (table.name, column.name, column.type, place, column.meaning)
        for table in (*LAKE_TABLES, SNAPSHOT_INFO)
        for place, column in enumerate(table.columns, 1)
    ]
    documented += [
        (view.name, name, None, place, meaning)
        for view in VIEWS
        for place, (name, meaning) in enumerate(view.columns.items(), 1)
    ]
    connection = scene.connection
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE documented "
        "(table_name VARCHAR, column_name VARCHAR, data_type VARCHAR, place INTEGER, meaning VARCHAR)"
    )
    _insert(connection, "documented", documented)
    with _published(scene):
        bad = scene.bad("schema_as_documented")
    figures = {"columns": len(documented), "differences": len(bad)}
    return judged(bad, figures, is_severe=True)


def _rows_by_day(scene: Scene, snapshot: Snapshot) -> Iterator[tuple[date, int]]:
    for day in scene.days:
        if files := snapshot.of([day]):
            yield day, rows_in(files)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Add rows to a table, columns as lists: a list of VALUES is parsed and bound cell by cell, ten times as slowly."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(f"INSERT INTO {table} SELECT {', '.join(['unnest(?)'] * len(columns))}", columns)


@contextmanager
def _published(scene: Scene) -> Iterator[None]:
    scene.connection.execute(f"ATTACH {literal(str(scene.settings.duckdb))} AS published (READ_ONLY)")
    try:
        yield
    finally:
        scene.connection.execute("DETACH published")
