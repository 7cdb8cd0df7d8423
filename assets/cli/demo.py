"""The demo: a simulated API, sent logs, the whole chain, and the delivery rates that came of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click
import duckdb

from assets.cli.run import refresh
from assets.resources import utc_now
from pipeline.api.simulator.sample_logs import write_sent_logs
from pipeline.api.simulator.server import SimulatorOptions, running
from pipeline.lake.queries import rows_of
from pipeline.model.settings import Settings, given_settings

APP_ID: Final = "demoApp1"
_OPTIONS: Final = SimulatorOptions(api_key="demo-key", api_secret="demo-secret")  # noqa: S106 - of the simulator
_MADE: Final = ("lake", "logs")
_SHOWN: Final = "sent, delivered, failed, outstanding, unknown, delivery_rate, delivery_rate_final, is_mature"
_DAYS: Final = f"SELECT sent_date::VARCHAR, {_SHOWN} FROM delivery_by_day ORDER BY sent_date"
_COUNTRIES: Final = f"SELECT country, {_SHOWN} FROM delivery_by_country WHERE days IS NULL ORDER BY sent DESC, country"


def run_demo(*, messages: int, days: int, folder: Path) -> Settings:
    """Run everything in a folder, without settings and credentials of the environment; return what was used.

    Raises:
        RunFailed: the run did not get all.
    """
    folder = folder.resolve()
    for name in _MADE:
        shutil.rmtree(folder / name, ignore_errors=True)
    now = utc_now()
    dates = [now.date() - timedelta(days=step) for step in reversed(range(days))]
    paths = write_sent_logs(folder / "logs", messages=messages, days=dates, now=now, app_id=APP_ID)
    click.echo(f"wrote {messages:,} sent messages to {len(paths)} logs in {_short(folder / 'logs')}")
    with running(_OPTIONS, record=False) as simulator:
        settings = _settings(folder, simulator.base_url)
        click.echo(f"the simulated API answers at {simulator.base_url}")
        refresh(settings, first=dates[0], last=dates[-1])
    _show(settings)
    return settings


@contextmanager
def simulated_api() -> Iterator[str]:
    """Run the simulated API of the demo for as long as the block lasts; give its base URL."""
    with running(_OPTIONS, record=False) as simulator:
        yield simulator.base_url


def demo_environment(folder: Path, base_url: str) -> dict[str, str]:
    """Return the settings of the demo as environment variables, for other processes."""
    return {
        "SMS_API_BASE_URL": base_url,
        "SMS_API_KEY": _OPTIONS.api_key,
        "SMS_API_SECRET": _OPTIONS.api_secret,
        "SMS_APP_ID": APP_ID,
        "SMS_SENT_LOGS": str(folder / "logs" / "sent-{date}.jsonl"),
        "SMS_LAKE": str(folder / "lake"),
        "SMS_DUCKDB": str(folder / "analytics.duckdb"),
        "SMS_REPORT": str(folder / "report.html"),
    }


def _settings(folder: Path, base_url: str) -> Settings:
    return given_settings(
        folder,
        api_base_url=base_url,
        api_key=_OPTIONS.api_key,
        api_secret=_OPTIONS.api_secret,
        app_id=APP_ID,
        sent_logs=str(folder / "logs" / "sent-{date}.jsonl"),
        lake=folder / "lake",
        duckdb=folder / "analytics.duckdb",
        report=folder / "report.html",
        max_requests_per_second=0,
    )


def _show(settings: Settings) -> None:
    with duckdb.connect(settings.duckdb, read_only=True) as connection:
        days, countries = rows_of(connection, _DAYS), rows_of(connection, _COUNTRIES)
    click.echo(
        "\nDelivery rates by day" + (" (* messages are still under way)" if not all(r[-1] for r in days) else "")
    )
    click.echo(_table("day", days))
    click.echo("\nDelivery rates by country")
    click.echo(_table("country", countries))
    click.echo(
        f"\nOpen next:\n  {_short(settings.report)} in a browser\n"
        f"  {_short(settings.duckdb)} with DuckDB (read-only), and ask: FROM delivery_by_day"
    )


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _table(label: str, rows: Sequence[tuple[Any, ...]]) -> str:
    heads = (label, "sent", "delivered", "failed", "outstanding", "unknown", "delivery_rate", "of_final")
    lines = [heads, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _cells(row: tuple[Any, ...]) -> tuple[str, ...]:
    label, sent, delivered, failed, outstanding, unknown, rate, rate_final, is_mature = row
    counts = (f"{count:,}" for count in (sent, delivered, failed, outstanding, unknown))
    return (f"{label or '-'}{'' if is_mature else ' *'}", *counts, _percent(rate), _percent(rate_final))


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
