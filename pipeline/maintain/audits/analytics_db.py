"""Audits of the published file: it agrees with the lake, and its columns are as documented."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb

from pipeline.lake.lake import Snapshot
from pipeline.lake.snapshots import rows_in
from pipeline.maintain.audits.context import AuditContext
from pipeline.maintain.audits.finding import Finding, finding_of
from pipeline.model.phone_numbers import mask_digits
from pipeline.model.tables import LAKE_TABLES, MESSAGES, REJECTED_RECORDS, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from pipeline.publish.contents import insert_rows
from pipeline.publish.reading import attached


def published_file_agrees(context: AuditContext) -> Finding:
    """The published file agrees with the lake."""
    context.connection.execute(
        "CREATE OR REPLACE TEMP TABLE lake_tables (table_name VARCHAR, version BIGINT, rows BIGINT)"
    )
    context.connection.execute("CREATE OR REPLACE TEMP TABLE lake_days (sent_date DATE, rows BIGINT)")
    with attached(context.connection, context.settings.duckdb):
        # read after the file was opened, so that it can't be ahead of them
        snapshots = {table.name: context.lake.snapshot(table) for table in LAKE_TABLES}
        rows = {name: None if name == REJECTED_RECORDS.name else s.rows for name, s in snapshots.items()}
        insert_rows(context.connection, "lake_tables", [(name, s.version, rows[name]) for name, s in snapshots.items()])
        insert_rows(context.connection, "lake_days", list(_rows_by_day(context, snapshots[MESSAGES.name])))
        try:
            bad = context.bad_rows("published_file_agrees")
        except duckdb.IOException as error:  # a file that a view names is missing
            bad = [{"table_name": "messages", "what": mask_digits(str(error).splitlines()[0])}]
    figures = {"tables": len(LAKE_TABLES), "differences": len(bad)}
    return finding_of(bad, figures, is_severe=True)


def schema_as_documented(context: AuditContext) -> Finding:
    """Every column of the published file has its documented type, place and meaning."""
    documented = [
        (table.name, column.name, column.type, place, column.meaning)
        for table in (*LAKE_TABLES, SNAPSHOT_INFO)
        for place, column in enumerate(table.columns, 1)
    ] + [
        (view.name, name, None, place, meaning)
        for view in VIEWS
        for place, (name, meaning) in enumerate(view.columns.items(), 1)
    ]
    connection = context.connection
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE documented "
        "(table_name VARCHAR, column_name VARCHAR, data_type VARCHAR, place INTEGER, meaning VARCHAR)"
    )
    insert_rows(connection, "documented", documented)
    with attached(connection, context.settings.duckdb):
        bad = context.bad_rows("schema_as_documented")
    figures = {"columns": len(documented), "differences": len(bad)}
    return finding_of(bad, figures, is_severe=True)


def _rows_by_day(context: AuditContext, snapshot: Snapshot) -> Iterator[tuple[date, int]]:
    for day in context.days:
        if files := snapshot.of([day]):
            yield day, rows_in(files)
