"""What assets say before any run: columns, location, owner, kind, tags, code version, freshness.

What belongs here: the facts that all assets have. What does not: those of one asset (`assets.py`), what a column means
(`pipeline/model/tables.py`) and what a run found (`metadata.py`). No setting needs to be set.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from assets.project import Project
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


def asset_spec(
    name: str,
    settings: Settings,
    *,
    deps: Sequence[str] = (),
    queries: Sequence[str] = (),
    source: str | None = None,
    numbers: bool = False,
    **facts: Any,
) -> dg.AssetSpec:
    """Return what an asset says of itself.

    Args:
        name: without the prefix.
        settings: where things are, and the prefix.
        deps: names of the assets that it is made from.
        queries: queries that decide its rows; its code version is a digest of them, else the version of the package.
        source: what brings its rows in from outside.
        numbers: it holds phone numbers.
        facts: further arguments of `dg.AssetSpec`.
    """
    project = Project.of(settings)
    return dg.AssetSpec(
        project.key(name),
        deps=project.keys(*deps),
        group_name=project.named("sms_delivery"),
        owners=["team:sms-delivery"],
        code_version=digest(*queries) if queries else __version__,
        tags={"personal_data": "number" if numbers else "none", **({"source": source} if source else {})},
        **facts,
    )


def table_spec(table: Table, settings: Settings, *, of: str | None = None, **facts: Any) -> dg.AssetSpec:
    """Return what the asset of a table of the lake says of itself; `of` names it if the table does not."""
    about = about_lake_table(table, settings)
    return asset_spec(
        of or table.name, settings, **{"kinds": {"duckdb", "deltalake"}, "description": table.row, **facts},
        metadata=about,
    )  # fmt: skip


def about_lake_table(table: Table, settings: Settings) -> dict[str, Any]:
    """Return columns, name and place of a table of the lake, as metadata."""
    url = f"{settings.lake_url}/{table.name}" if settings.lake_url else None
    return about_table(table, "deltalake", settings.lake / table.name, url=url)


def about_table(table: Table, storage_kind: str, path: Path, *, url: str | None) -> dict[str, Any]:
    """Return columns, name and place of a table, as metadata; `url` is of one in a bucket."""
    return {
        "dagster/column_schema": column_schema(table),
        "dagster/table_name": table.name,
        **about_file(storage_kind, path),
        **({"dagster/uri": url} if url else {}),
    }


def about_file(storage_kind: str, path: Path) -> dict[str, Any]:
    """Return kind and location, if it is known when definitions load: a wrong setting leaves relative paths."""
    uri = {"dagster/uri": path.as_uri()} if path.is_absolute() else {}
    return {"dagster/storage_kind": storage_kind, **uri}


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


def tables_and_views() -> dg.MarkdownMetadataValue:
    """Return a list of what the published file holds."""
    rows = [*((t.name, "table", t.row) for t in tables.LAKE_TABLES), *((v.name, "view", v.row) for v in VIEWS)]
    lines = ["| name | | what a row is |", "|---|---|---|", *(f"| `{n}` | {kind} | {row} |" for n, kind, row in rows)]
    return dg.MetadataValue.md("\n".join(lines))
