"""One published table or view, or some of its rows, as Parquet, CSV or an Excel sheet.

Belongs here: which rows, and how values are written in each format. Does not belong here: the place of the file
(`export.py`), the cells of a sheet (`sheet.py`).

In CSV and Excel, times are local to SMS_TIMEZONE without an offset, and text that a spreadsheet would take for a
formula is guarded.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import duckdb

from pipeline.lake.queries import literal, rows_of
from pipeline.model.errors import SettingsError
from pipeline.model.progress import Progress
from pipeline.model.tables import LAKE_TABLES, PARTITION_KEY, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from pipeline.publish.expressions import checked_expression, shown
from pipeline.publish.sheet import FORMULA_STARTS, MOST_ROWS, write_sheet

ENDINGS: Final = (".csv", ".parquet", ".xlsx")
_ROWS_AT_ONCE: Final = 10_000
_NAMES: Final = {
    "table": [table.name for table in (*LAKE_TABLES, SNAPSHOT_INFO)],
    "view": [view.name for view in VIEWS],
}


@dataclass(frozen=True)
class Extract:
    """What is taken: a table or view, and which of its rows.

    Attributes:
        kind: table or view.
        name: its name.
        where: a condition that a person wrote; None for all rows.
    """

    kind: Literal["table", "view"]
    name: str
    where: str | None = None

    def check(self) -> None:
        """Check the name.

        Raises:
            SettingsError: there is no such table or view.
        """
        names = _NAMES[self.kind]
        if self.name not in names:
            close = difflib.get_close_matches(self.name, names, n=3) or names
            raise SettingsError(f"--{self.kind}: there is no {self.kind} of that name; there is {', '.join(close)}")


def write_extract(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    extract: Extract,
    *,
    days: str | None,
    zone: str,
    on_progress: Progress,
) -> int:
    """Write the rows to a new file of a scratch folder, in the format of its ending; return their number.

    `connection` shows what is published under its names. `days` is a condition on `sent_date`; `on_progress` is told
    the rows of a sheet.

    Raises:
        SettingsError: there is no `sent_date`, `where` is no condition, or a sheet can't hold so many rows.
    """
    types = {name: kind for name, kind, *_ in rows_of(connection, f"DESCRIBE {extract.name}")}
    if days and PARTITION_KEY not in types:
        raise SettingsError(f"--from, --to: {extract.name} has no column {PARTITION_KEY}; leave them out")
    rows = _take(connection, extract, days)
    if path.suffix == ".parquet":
        connection.execute(f"COPY taken TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
    elif path.suffix == ".csv":
        texts = ", ".join(f'"{name}"' for name, kind in types.items() if _is_text(kind))
        quoted = f", FORCE_QUOTE ({texts})" if texts else ""
        connection.execute(
            f"COPY (SELECT {_columns(types, zone, is_guarded=True)} FROM taken) TO {literal(str(path))} "
            f"(FORMAT csv, HEADER{quoted})"
        )
    else:
        _check_size(rows)
        result = connection.execute(f"SELECT {_columns(types, zone, is_guarded=False)} FROM taken")
        comment = f"{extract.kind} {extract.name} of sms-delivery; times are those of {zone}"
        found = _rows_of(result, rows, on_progress)
        write_sheet(path, name=extract.name, heads=list(types), rows=found, scratch=path.parent, comment=comment)
    return rows


def _take(connection: duckdb.DuckDBPyConnection, extract: Extract, days: str | None) -> int:
    """Store the chosen rows in the table `taken`; return their number."""
    conditions = [days] if days else []
    if extract.where is not None:
        conditions.append(checked_expression(connection, extract.where, source=extract.name, option="--where"))
    select = f"SELECT * FROM {extract.name} WHERE {' AND '.join(conditions) or 'true'}"
    try:
        ((rows,),) = rows_of(connection, f"CREATE TABLE taken AS {select}")
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        if extract.where is None:
            raise
        raise SettingsError(f"--where: {shown(error)}") from None
    return int(rows)


def _columns(types: Mapping[str, str], zone: str, *, is_guarded: bool) -> str:
    """Return the columns as a spreadsheet gets them."""
    return ", ".join(f'{_shown(name, kind, zone, is_guarded)} AS "{name}"' for name, kind in types.items())


def _shown(name: str, kind: str, zone: str, is_guarded: bool) -> str:
    column = f'"{name}"'
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"{column} AT TIME ZONE {literal(zone)}"
    if kind.startswith("MAP"):
        return f"to_json({column})::VARCHAR"
    if is_guarded and _is_text(kind):
        return f"CASE WHEN contains({literal(FORMULA_STARTS)}, {column}[1]) THEN '''' || {column} ELSE {column} END"
    return column


def _is_text(kind: str) -> bool:
    return kind == "VARCHAR" or kind.startswith("MAP")


def _check_size(rows: int) -> None:
    if rows > MOST_ROWS:
        raise SettingsError(
            f"FILE: an Excel sheet holds {MOST_ROWS:,} rows, and these are {rows:,}; "
            "choose fewer by --from, --to or --where, or write .csv or .parquet"
        )


def _rows_of(result: duckdb.DuckDBPyConnection, rows: int, on_progress: Progress) -> Iterator[tuple[Any, ...]]:
    done = 0
    while some := result.fetchmany(_ROWS_AT_ONCE):
        yield from some
        done += len(some)
        on_progress(done, rows)
