"""Audits of the published file: it agrees with the lake, and its columns are as documented."""

from __future__ import annotations

import duckdb

from pipeline.lake.snapshots import rows_in
from pipeline.maintain.audits.context import AuditContext, Finding, finding_of
from pipeline.model.phone_numbers import mask_digits
from pipeline.model.tables import LAKE_TABLES, MESSAGES, REJECTED_RECORDS, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from pipeline.publish.reading import detail_files, detail_select


def published_file_agrees(context: AuditContext) -> Finding:
    """The published DuckDB file agrees with the lake, and the files that it names exist (else error).

    If it fails: `sms-delivery publish`; if it still fails, an older lake was restored or files were deleted by hand.
    """
    context.attach_published()
    # read after the file was opened, so that it can't be ahead of them
    snapshots = {table.name: context.lake.snapshot(table) for table in LAKE_TABLES}
    rows = {name: None if name == REJECTED_RECORDS.name else s.rows for name, s in snapshots.items()}
    tables = [(name, s.version, rows[name]) for name, s in snapshots.items()]
    context.fill("lake_tables", "table_name VARCHAR, version BIGINT, rows BIGINT", tables)
    messages = snapshots[MESSAGES.name]
    days = [(day, rows_in(files)) for day in context.days if (files := messages.of([day]))]
    context.fill("lake_days", "sent_date DATE, rows BIGINT", days)
    shown = detail_select(MESSAGES, detail_files(context.connection, MESSAGES, context.lake.folder))
    try:
        context.connection.execute(f"CREATE OR REPLACE TEMP VIEW published_messages AS {shown}")
        bad = context.bad_rows("published_file_agrees")
    except duckdb.IOException as error:  # a file that a view names is missing
        bad = [{"table_name": "messages", "what": mask_digits(str(error).splitlines()[0])}]
    figures = {"tables": len(LAKE_TABLES), "differences": len(bad)}
    return finding_of(bad, figures, is_severe=True)


def schema_as_documented(context: AuditContext) -> Finding:
    """Every column has the documented type, place and meaning (else error).

    If it fails, another version made the file: `sms-delivery publish`.
    """
    documented = [
        (table.name, column.name, column.type, place, column.meaning)
        for table in (*LAKE_TABLES, SNAPSHOT_INFO)
        for place, column in enumerate(table.columns, 1)
    ] + [
        (view.name, name, None, place, meaning)
        for view in VIEWS
        for place, (name, meaning) in enumerate(view.columns.items(), 1)
    ]
    columns = "table_name VARCHAR, column_name VARCHAR, data_type VARCHAR, place INTEGER, meaning VARCHAR"
    context.fill("documented", columns, documented)
    context.attach_published()
    bad = context.bad_rows("schema_as_documented")
    figures = {"columns": len(documented), "differences": len(bad)}
    return finding_of(bad, figures, is_severe=True)
