"""The page that a manager opens: delivery by day and by country, as of when, and what the numbers mean.

One self-contained file without scripts; every value from a log is escaped. Read from the published DuckDB
file, so that page and file agree.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline.errors import LakeError
from pipeline.settings import Settings
from pipeline.warehouse import query, rows_of

_DAYS: Final = 60
_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; font-size: .9rem; }
th, td { text-align: right; border-bottom: 1px solid #8884; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.bar { display: inline-block; height: .7em; background: #4477aa; vertical-align: baseline; }
.young { font-style: italic; }
.young .bar { background: repeating-linear-gradient(45deg, #4477aa 0 3px, #4477aa66 3px 6px); }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; }
"""
_DEFINITIONS: Final = (
    ("Delivery rate", "delivered / sent. A message counts on the day on which it was sent."),
    ("Of final", "delivered / (delivered + failed): leaves out messages without a final answer."),
    ("Outstanding", "sending, not found or never asked: the platform may still say something."),
    ("Unknown", "no final answer after the time that SMS_UNKNOWN_AFTER_HOURS allows."),
    ("Young days", "in italics, marked *: messages are still under way, and the rate will rise."),
    ("Latency", "receive time - send time of delivered messages: the platform's own figure."),
)


def write_page(*, settings: Settings) -> Path:
    """Write the page from the published DuckDB file, swapped in whole; return its path.

    Raises:
        LakeError: there is no published file, or the page can't be written.
    """
    path = settings.report
    try:
        with duckdb.connect(settings.duckdb, read_only=True) as connection:
            text = _page(connection)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.tmp")
        beside.write_text(text, "utf-8")
        beside.chmod(settings.file_mode)
        beside.replace(path)
    except (OSError, duckdb.Error) as error:
        raise LakeError(f"SMS_REPORT: {path} can't be written: {error}") from error
    return path


def _page(connection: duckdb.DuckDBPyConnection) -> str:
    days = rows_of(connection, query("days", folder="page"))[-_DAYS:]
    countries = rows_of(connection, query("countries", folder="page"))
    ((published_at, as_of, zone),) = rows_of(connection, query("as_of", folder="page"))
    definitions = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in _DEFINITIONS)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>SMS delivery</title><style>{_STYLE}</style></head><body><h1>SMS delivery</h1>"
        f"<p>Answers up to {html.escape(as_of or 'none yet')}, published {html.escape(published_at)}; "
        f"days are those of {html.escape(zone)}.</p>"
        f"<h2>By day</h2>{_table('Day', days)}<h2>By country, all days</h2>{_table('Country', countries)}"
        f"<h2>What the numbers mean</h2><dl>{definitions}</dl></body></html>\n"
    )


def _table(first: str, rows: Sequence[tuple[Any, ...]]) -> str:
    """Make a table of rows (label, sent, delivered, failed, outstanding, unknown, rate, rate of final, p95, mature)."""
    heads = [first, "Sent", "Delivered", "Failed", "Outstanding", "Unknown", "Delivery rate", "Of final", "Latency p95"]
    if not any(row[-2] is not None for row in rows):  # of several days there is none: percentiles don't add up
        heads.pop()
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(_row(row) for row in rows) or f"<tr><td colspan='{len(heads)}'>No message yet.</td></tr>"
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _row(row: tuple[Any, ...]) -> str:
    label, *counts, rate, rate_final, p95, is_mature = row
    cells = "".join(f"<td>{count:,}</td>" for count in counts)
    bar = f"<span class='bar' style='width:{5 * (rate or 0):.2f}em'></span>"
    return (
        f"<tr class='{'mature' if is_mature else 'young'}'><td>{html.escape(str(label or 'not known'))}"
        f"{'' if is_mature else ' *'}</td>{cells}<td>{bar} {_percent(rate)}</td><td>{_percent(rate_final)}</td>"
        f"<td>{'' if p95 is None else f'{p95:,.0f} s'}</td></tr>"
    )


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
