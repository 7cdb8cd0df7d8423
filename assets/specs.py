"""What assets say before any run: columns, location, owner, kind, tags, code version, freshness.

What belongs here: the arguments of `dg.asset` but for partitions and dependencies (`assets.py`). What does not: what a
column means (`pipeline/model/tables.py`) and what a run found (`metadata.py`). No setting needs to be set.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from pipeline import __version__
from pipeline.lake.queries import digest
from pipeline.model import tables
from pipeline.model.settings import Settings
from pipeline.model.tables import Table
from pipeline.model.views import VIEWS

FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=12), warn_window=timedelta(hours=6))
"""Time without a refresh after which the published file and the page turn yellow and red.

Partitioned assets have no policy: Dagster looks at the newest materialization of any day, so that a backfill of last
year would make today look fresh. The check `nothing_overdue` says whether every day is up to date.
"""
_DERIVED_BY = {
    "messages": ("derive/sql/messages",),
    "delivery_rates": (
        "derive/sql/delivery_rates_daily",
        "derive/sql/delivery_rates_hourly",
        "derive/sql/delivery_rollups_daily",
        "derive/sql/delivery_rollups_hourly",
        "derive/sql/rate_measures",
        "derive/sql/messages_by_hour",
    ),
}
"""Queries that decide an asset's rows; its code version is a digest of them."""


def column_schema(table: Table) -> dg.TableSchema:
    """Return a table's columns for Dagster: type, meaning, and whether it is a key."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type,
                description=column.meaning,
                constraints=dg.TableColumnConstraints(other=["key"] if column.name in table.key else []),
            )
            for column in table.columns
        ],
        constraints=dg.TableConstraints(other=[f"one row each {', '.join(table.key)}"]),
    )


def asset_spec(name: str, settings: Settings) -> dict[str, Any]:
    """Return the arguments of `dg.asset` that describe the asset `name`."""
    return {
        "group_name": "sms_delivery",
        "owners": ["team:sms-delivery"],
        "code_version": code_version(name),
        "metadata": _metadata(name, settings),
        **_DESCRIPTION[name],
    }


def code_version(name: str) -> str:
    """Return the digest of an asset's queries if they decide its rows, else the version of the package."""
    return digest(*_DERIVED_BY[name]) if name in _DERIVED_BY else __version__


def _metadata(name: str, settings: Settings) -> dict[str, Any]:
    if name in _TABLES:
        table = _TABLES[name]
        return _of_table(table, "deltalake", settings.lake / table.name)
    if name == "analytics_db":
        return _of_table(tables.SNAPSHOT_INFO, "duckdb", settings.duckdb) | {"tables_and_views": _tables_and_views()}
    return {"dagster/storage_kind": "html", **_uri(settings.report)}


def _of_table(table: Table, storage_kind: str, path: Path) -> dict[str, Any]:
    return {
        "dagster/column_schema": column_schema(table),
        "dagster/table_name": table.name,
        "dagster/storage_kind": storage_kind,
        **_uri(path),
    }


def _tables_and_views() -> dg.MarkdownMetadataValue:
    rows = [*((t.name, "table", t.row) for t in tables.LAKE_TABLES), *((v.name, "view", v.row) for v in VIEWS)]
    lines = ["| name | | what a row is |", "|---|---|---|", *(f"| `{n}` | {kind} | {row} |" for n, kind, row in rows)]
    return dg.MetadataValue.md("\n".join(lines))


def _uri(path: Path) -> dict[str, str]:
    """Return the location, if it is known when definitions load: a wrong setting leaves relative paths."""
    return {"dagster/uri": path.as_uri()} if path.is_absolute() else {}


_DESCRIPTION: Mapping[str, dict[str, Any]] = {
    "sent_messages": {"kinds": {"python", "deltalake"}, "tags": {"source": "sent_logs", "personal_data": "number"}},
    "delivery_reports": {"kinds": {"python", "deltalake"}, "tags": {"source": "getreport", "personal_data": "number"}},
    "messages": {"kinds": {"duckdb", "deltalake"}, "tags": {"personal_data": "number"}},
    "delivery_rates": {"kinds": {"duckdb", "deltalake"}, "tags": {"personal_data": "none"}},
    "analytics_db": {"freshness_policy": FRESH, "kinds": {"duckdb"}, "tags": {"personal_data": "number"}},
    "delivery_page": {"freshness_policy": FRESH, "kinds": {"html"}, "tags": {"personal_data": "none"}},
}
_TABLES: Mapping[str, Table] = {
    "sent_messages": tables.SENT_MESSAGES,
    "delivery_reports": tables.DELIVERY_REPORTS,
    "messages": tables.MESSAGES,
    "delivery_rates": tables.DELIVERY_RATES_DAILY,
}
"""The table whose columns an asset shows."""
