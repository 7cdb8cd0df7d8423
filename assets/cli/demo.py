"""The demo: a simulated API, sent logs, the whole chain, and a table of the delivery rates.

What belongs here: the demo's settings and what it prints. What does not: the simulated messages
(`pipeline/api/simulator/`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb

from assets.cli.home import make_home
from assets.cli.output import say
from assets.cli.phases import seconds_text
from assets.cli.run import refresh
from assets.partitions import RECENT_DAYS
from assets.resources import utc_now
from pipeline.api.simulator.server import SimulatorOptions, running
from pipeline.api.simulator.story import LABEL, SHOP, incidents, write_story
from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.workers import follow
from pipeline.lake.atomic import replace_text
from pipeline.lake.lake import Lake
from pipeline.lake.queries import rows_of
from pipeline.model.accounts import load_accounts
from pipeline.model.env_file import NAME as ENV_FILE
from pipeline.model.settings import Settings, given_settings

API_KEY, API_SECRET = "demo-key", "demo-secret"
"""The simulator's."""
DAYS_SHOWN: Final = 7
WRITTEN_BY: Final = "# Written by `sms-delivery demo`; `sms-delivery ui` starts the simulated API that it names."
"""First line of the demo's `.env`."""
_COLUMNS: Final = "sent, delivered, failed, outstanding, unknown, delivery_rate, delivery_rate_final, is_mature"
_DAYS: Final = f"""
FROM (SELECT sent_date::VARCHAR AS day, {_COLUMNS} FROM delivery_by_day ORDER BY sent_date DESC LIMIT {DAYS_SHOWN})
ORDER BY day
"""
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
    paths = write_story(folder / "logs", messages=messages, days=dates, now=now)
    say(f"wrote {messages:,} sent messages to {len(paths)} logs in {_short(folder / 'logs')}")
    with running(simulated_api(folder), record=False) as simulator:
        say(f"the simulated API answers at {simulator.base_url}")
        write_env(folder, simulator.base_url)
        make_home(folder / "dagster")
        values = _settings(folder, simulator.base_url)
        settings = given_settings(folder, **values, max_requests_per_second=0, start_date=dates[0])
        earlier, recent = dates[: -RECENT_DAYS - 1], dates[-RECENT_DAYS - 1 :]
        if earlier:
            _catch_up(settings, earlier, now)
        refresh(settings, first=recent[0], last=recent[-1])
    _print_rates(settings, folder)


def simulated_api(folder: Path) -> SimulatorOptions:
    """Return how the API behaves for the logs of a demo's folder: with the incidents before their last day."""
    last = date.fromisoformat(_log_days(folder)[-1])
    return SimulatorOptions(api_key=API_KEY, api_secret=API_SECRET, price_details=True, incidents=incidents(last))


def _log_days(folder: Path) -> list[str]:
    return sorted(path.stem.removeprefix("sent-") for path in (folder / "logs").glob("sent-*.jsonl"))


def _catch_up(settings: Settings, days: Sequence[date], now: datetime) -> None:
    """Follow the weeks before, as if a run had done so long ago; Dagster would take 20 ms to record each event."""
    started = time.monotonic()
    lake = Lake.open(settings.lake, mode=settings.file_mode, recorded=settings.recorded)
    collect(days, lake=lake, settings=settings, now=now)
    follow(days, lake=lake, accounts=load_accounts(settings), settings=settings, now=now)
    derive_messages(days, lake=lake, settings=settings, now=now)
    derive_rates(days, lake=lake, settings=settings, now=now)
    seconds = seconds_text(time.monotonic() - started)
    say(f"days {days[0]} to {days[-1]} are in the lake already ({seconds})")


def write_env(folder: Path, base_url: str) -> None:
    """Leave the demo's settings in a `.env` of its folder, so that every command and shell there agrees.

    Partitions start at the first day that has a log.
    """
    values = {**_settings(folder, base_url), "max_requests_per_second": 0, "start_date": _log_days(folder)[0]}
    lines = [f"SMS_{name.upper()}={value}" for name, value in values.items()]
    replace_text(folder / ENV_FILE, "\n".join([WRITTEN_BY, *lines, ""]), mode=0o600)


def _settings(folder: Path, base_url: str) -> dict[str, Any]:
    return {
        "api_base_url": base_url,
        "api_key": API_KEY,
        "api_secret": API_SECRET,
        "app_id": SHOP,
        "sent_logs": str(folder / "logs" / "sent-{date}.jsonl"),
        "sent_log_labels": LABEL,
        "lake": folder / "lake",
        "duckdb": folder / "analytics.duckdb",
        "report": folder / "report.html",
    }


def _print_rates(settings: Settings, folder: Path) -> None:
    with duckdb.connect(settings.duckdb, read_only=True) as connection:
        days, countries = rows_of(connection, _DAYS), rows_of(connection, _COUNTRIES)
    note = "" if all(row[-1] for row in days) else " (* messages are still under way)"
    say(f"\nDelivery rates by day, the last {len(days)}{note}")
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
