"""The demo: a simulated API, sent logs, the whole chain, and a table of the delivery rates.

What belongs here: the demo's settings and what it prints. What does not: the simulated messages
(`pipeline/api/simulator/`).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import duckdb

from assets.cli.home import make_home
from assets.cli.output import say
from assets.cli.run import refresh
from assets.resources import utc_now
from pipeline.api.simulator.sample_logs import write_sent_logs
from pipeline.api.simulator.server import SimulatorOptions, running
from pipeline.lake.atomic import replace_text
from pipeline.lake.queries import rows_of
from pipeline.model.env_file import NAME as ENV_FILE
from pipeline.model.settings import Settings, given_settings

APP_ID: Final = "demoApp1"
API: Final = SimulatorOptions(api_key="demo-key", api_secret="demo-secret")  # noqa: S106 - the simulator's
WRITTEN_BY: Final = "# Written by `sms-delivery demo`; `sms-delivery ui` starts the simulated API that it names."
"""First line of the demo's `.env`."""
_COLUMNS: Final = "sent, delivered, failed, outstanding, unknown, delivery_rate, delivery_rate_final, is_mature"
_DAYS: Final = f"SELECT sent_date::VARCHAR, {_COLUMNS} FROM delivery_by_day ORDER BY sent_date"
_COUNTRIES: Final = (
    f"SELECT country, {_COLUMNS} FROM delivery_by_country WHERE days IS NULL ORDER BY sent DESC, country"
)


def run_demo(*, messages: int, days: int, folder: Path) -> None:
    """Run the whole chain in a folder, without settings of the environment.

    Raises:
        RunFailed: something is missing.
    """
    folder = folder.resolve()
    for name in ("lake", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    now = utc_now()
    dates = [now.date() - timedelta(days=step) for step in reversed(range(days))]
    paths = write_sent_logs(folder / "logs", messages=messages, days=dates, now=now, app_id=APP_ID)
    say(f"wrote {messages:,} sent messages to {len(paths)} logs in {_short(folder / 'logs')}")
    with running(API, record=False) as simulator:
        write_env(folder, simulator.base_url)
        make_home(folder / "dagster")
        values = _settings(folder, simulator.base_url)
        settings = given_settings(folder, **values, max_requests_per_second=0, start_date=dates[0])
        say(f"the simulated API answers at {simulator.base_url}")
        refresh(settings, first=dates[0], last=dates[-1])
    _print_rates(settings, folder)


def write_env(folder: Path, base_url: str) -> None:
    """Leave the demo's settings in a `.env` of its folder, so that every command and shell there agrees.

    Partitions start at the first day that has a log.
    """
    first = min(path.stem.removeprefix("sent-") for path in (folder / "logs").glob("sent-*.jsonl"))
    values = {**_settings(folder, base_url), "max_requests_per_second": 0, "start_date": first}
    lines = [f"SMS_{name.upper()}={value}" for name, value in values.items()]
    replace_text(folder / ENV_FILE, "\n".join([WRITTEN_BY, *lines, ""]), mode=0o600)


def _settings(folder: Path, base_url: str) -> dict[str, Any]:
    return {
        "api_base_url": base_url,
        "api_key": API.api_key,
        "api_secret": API.api_secret,
        "app_id": APP_ID,
        "sent_logs": str(folder / "logs" / "sent-{date}.jsonl"),
        "lake": folder / "lake",
        "duckdb": folder / "analytics.duckdb",
        "report": folder / "report.html",
    }


def _print_rates(settings: Settings, folder: Path) -> None:
    with duckdb.connect(settings.duckdb, read_only=True) as connection:
        days, countries = rows_of(connection, _DAYS), rows_of(connection, _COUNTRIES)
    note = "" if all(row[-1] for row in days) else " (* messages are still under way)"
    say(f"\nDelivery rates by day{note}")
    say(_table("day", days))
    say("\nDelivery rates by country")
    say(_table("country", countries))
    say(
        f"\nOpen next:\n  {_short(settings.report)} in a browser\n"
        f"  {_short(settings.duckdb)} with DuckDB (read-only), and ask: FROM delivery_by_day\n"
        f"  the Dagster UI: sms-delivery ui, in {_short(folder)}"
    )


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _table(label: str, rows: Sequence[tuple[Any, ...]]) -> str:
    heads = (label, "sent", "delivered", "failed", "outstanding", "unknown", "delivery_rate", "of_final")
    lines = [heads, *map(_cells, rows)]
    width, *widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([name.ljust(width), *map(str.rjust, cells, widths)]) for name, *cells in lines)


def _cells(row: tuple[Any, ...]) -> tuple[str, ...]:
    label, sent, delivered, failed, outstanding, unknown, rate, rate_final, is_mature = row
    counts = (f"{count:,}" for count in (sent, delivered, failed, outstanding, unknown))
    return (f"{label or '-'}{'' if is_mature else ' *'}", *counts, _percent(rate), _percent(rate_final))


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
