"""What the assets say about themselves before any run: columns, places, owners, kinds, tags, versions of their code.

Column meanings come from `pipeline/model/tables.py`, the one model; nothing here needs a setting to be set.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from pipeline import __version__
from pipeline.lake.queries import digest
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_RATES_DAILY, DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES, SNAPSHOT_INFO, Table
from pipeline.model.tables import LAKE_TABLES as TABLES
from pipeline.model.views import VIEWS

GROUP = "sms_delivery"
OWNERS = ["team:sms-delivery"]
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=12), warn_window=timedelta(hours=6))
"""When the published file and the page turn yellow and red: nothing was refreshed for that long.

Only they have a policy. Of a partitioned asset Dagster looks at its newest materialization, of whatever day: a backfill
of last year would make today look fresh. Whether every day is up to date says the check `nothing_overdue`.
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
"""Queries that decide what an asset's rows are: its code version follows them, so that a change of one shows."""


def column_schema(table: Table) -> dg.TableSchema:
    """Return a table's columns with type and meaning, as Dagster shows them; keys are marked."""
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


def about(name: str, settings: Settings) -> dict[str, Any]:
    """Return the arguments of `dg.asset` that describe the asset `name`."""
    return {
        "group_name": GROUP,
        "owners": OWNERS,
        "code_version": code_version(name),
        **_ABOUT[name],
        "metadata": _METADATA[name](settings),
    }


def code_version(name: str) -> str:
    """Return the version of what decides an asset's rows: of its queries, where these do, else of the package."""
    return digest(*_DERIVED_BY[name]) if name in _DERIVED_BY else __version__


def _of_table(table: Table) -> Any:
    def metadata(settings: Settings) -> Mapping[str, Any]:
        return {
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": table.name,
            "dagster/storage_kind": "deltalake",
            **_uri(settings.lake / table.name),
        }

    return metadata


def _of_database(settings: Settings) -> Mapping[str, Any]:
    rows = [*((t.name, "table", t.row) for t in TABLES), *((v.name, "view", v.row) for v in VIEWS)]
    lines = ["| name | | what a row is |", "|---|---|---|", *(f"| `{n}` | {kind} | {row} |" for n, kind, row in rows)]
    return {
        "dagster/column_schema": column_schema(SNAPSHOT_INFO),
        "dagster/table_name": SNAPSHOT_INFO.name,
        "dagster/storage_kind": "duckdb",
        "tables_and_views": dg.MetadataValue.md("\n".join(lines)),
        **_uri(settings.duckdb),
    }


def _of_page(settings: Settings) -> Mapping[str, Any]:
    return {"dagster/storage_kind": "html", **_uri(settings.report)}


def _uri(path: Path) -> dict[str, str]:
    """Return where it lies, if that is known when definitions load: a wrong setting leaves relative paths."""
    return {"dagster/uri": path.as_uri()} if path.is_absolute() else {}


_ABOUT: Mapping[str, dict[str, Any]] = {
    "sent_messages": {"kinds": {"python", "deltalake"}, "tags": {"source": "sent_logs", "personal_data": "number"}},
    "delivery_reports": {"kinds": {"python", "deltalake"}, "tags": {"source": "getreport", "personal_data": "number"}},
    "messages": {"kinds": {"duckdb", "deltalake"}, "tags": {"personal_data": "number"}},
    "delivery_rates": {"kinds": {"duckdb", "deltalake"}, "tags": {"personal_data": "none"}},
    "analytics_db": {"freshness_policy": FRESH, "kinds": {"duckdb"}, "tags": {"personal_data": "number"}},
    "delivery_page": {"freshness_policy": FRESH, "kinds": {"html"}, "tags": {"personal_data": "none"}},
}
_METADATA: Mapping[str, Any] = {
    "sent_messages": _of_table(SENT_MESSAGES),
    "delivery_reports": _of_table(DELIVERY_REPORTS),
    "messages": _of_table(MESSAGES),
    "delivery_rates": _of_table(DELIVERY_RATES_DAILY),
    "analytics_db": _of_database,
    "delivery_page": _of_page,
}
