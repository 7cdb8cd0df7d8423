"""Requests of simulated days, as the schedule makes them: how many, how full, and how soon a final state is known.

    python -m benchmarks.requests [--messages N,N] [--apps N,N] [--minutes M,M] [--pushed S,S] [--days D]
                                  [--rows FILE,FILE] [--write]

The pipeline's own code on a real lake: each tick stores what was sent since the last one, takes the reports that were
pushed, asks for what is due and derives. The clock is simulated; the platform is the simulator, called without a
socket. `pushed` is the share of final messages whose report arrives, 0 where none are pushed: 0.9 loses every tenth.
Each row is printed once it is known; `--rows` makes the table of rows that were printed into files, and plays nothing.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import pyarrow as pa

from benchmarks.report import table_of, write_section
from benchmarks.rule import API_KEY, API_SECRET
from pipeline.api.batches import MAX_IDS
from pipeline.api.client import Clock
from pipeline.api.push_journal import HourFile
from pipeline.api.pushes import PushRules, line_of
from pipeline.api.simulator.app import build_app
from pipeline.api.simulator.calls import Call
from pipeline.api.simulator.options import SimulatorOptions
from pipeline.api.simulator.rules import fate_of, make_msg_id, sent_at_of
from pipeline.collect.pushed_reports import take_pushed
from pipeline.derive.messages import derive_messages
from pipeline.follow.workers import follow
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.model.accounts import load_accounts
from pipeline.model.phone_numbers import NumberPolicy
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import SENT_MESSAGES

Final = tuple[datetime, str, str]
"""When a message becomes final, its id and its app."""
START = datetime(2026, 3, 2, tzinfo=UTC)
SOON = timedelta(hours=1)
"""Messages that are final within this time count for the time until that is known."""
_BETWEEN = " | "
OPEN_DAYS = 9
"""Days that a tick covers: as long as a message is asked for, and one more for the hours."""
MANY = 20_000
"""Messages a day from which a tick's requests are hardly ever half-empty."""


@dataclass(frozen=True)
class Load:
    """Messages a day, over how many apps, the minutes between two ticks, and the share of reports that are pushed."""

    messages: int
    apps: int
    minutes: int
    pushed: float = 0

    @property
    def goal(self) -> float:
        """Most requests beside the least for the freshness."""
        return 1.05 if self.messages >= MANY or self.pushed else 1.10


@dataclass
class Outcome:
    """What the platform saw.

    Attributes:
        requests: requests made.
        least: fewest requests with which each tick could ask for every new message, or where reports are pushed for
            every message that became final: ceil(messages / 200) per tick and app.
        sent: messages sent.
        asked: how often each id was asked for.
        known_at: tick that first saw the final state of an id.
    """

    requests: int = 0
    least: int = 0
    sent: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    known_at: dict[str, datetime] = field(default_factory=dict)

    @property
    def share_of_least(self) -> float:
        """Requests beside the least."""
        return self.requests / self.least

    def delays(self) -> list[float]:
        """Minutes from final to known, of messages that were final soon."""
        found = []
        for msg_id, known_at in self.known_at.items():
            fate = fate_of(msg_id)
            sent_at = sent_at_of(msg_id)
            if fate.final_at and sent_at and fate.final_at - sent_at <= SOON:
                found.append((known_at - fate.final_at) / timedelta(minutes=1))
        return found


class _Asgi(httpx.ASGITransport):
    """Takes path and query as the client encoded them."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(raw_path=request.extensions["target"])
        return await super().handle_async_request(httpx.Request(request.method, url, headers=request.headers))


class Platform:
    """The simulator at a simulated time, and what it was asked for."""

    def __init__(self) -> None:
        """Start at the beginning."""
        self.now = START
        self.outcome = Outcome()
        options = SimulatorOptions(API_KEY, API_SECRET)
        self.transport = _Asgi(build_app(options, clock=lambda: self.now, on_call=self._note))

    def _note(self, call: Call) -> None:
        self.outcome.requests += 1
        self.outcome.asked.update(call.msg_ids)
        for msg_id in call.msg_ids:
            final_at = fate_of(msg_id).final_at
            if final_at and final_at <= self.now:
                self.outcome.known_at.setdefault(msg_id, self.now)


def simulate(load: Load, *, days: int, folder: Path) -> Outcome:
    """Play the ticks of some days in an empty folder."""
    settings = given_settings(
        folder, api_key=API_KEY, api_secret=API_SECRET, api_base_url="http://127.0.0.1/sms",
        max_requests_per_second=0, start_date=START.date(), pushed_reports=folder / "pushed",
    )  # fmt: skip
    finals: list[Final] = []
    lake = Lake.open(settings.lake, mode=settings.file_mode, recorded={})
    platform, step = Platform(), timedelta(minutes=load.minutes)
    clock = Clock(now=lambda: platform.now)
    for _ in range(timedelta(days=days) // step):
        platform.now += step
        _send(lake, load, platform, finals, since=platform.now - step)
        _push(load, platform, finals, settings)
        take_pushed(lake=lake, settings=settings, now=platform.now)
        covered = [platform.now.date() - timedelta(days=back) for back in range(OPEN_DAYS)]
        follow(
            covered, lake=lake, accounts=load_accounts(settings), settings=settings, now=platform.now,
            clock=clock, transport=platform.transport,
        )  # fmt: skip
        derive_messages(covered, lake=lake, settings=settings, now=platform.now)
    return platform.outcome


def _push(load: Load, platform: Platform, finals: list[Final], settings: Settings) -> None:
    """Push the reports of the messages that have become final, each as the platform does once it is."""
    of_app: Counter[str] = Counter()
    lines = []
    while finals and finals[0][0] <= platform.now:
        final_at, msg_id, app_id = heapq.heappop(finals)
        of_app[app_id] += 1
        if int(msg_id) * 2654435761 % 1000 < load.pushed * 1000:
            pushed = {"appId": app_id, "msgid": msg_id, "status": int(fate_of(msg_id).status)}
            lines.append(line_of(pushed, PushRules(NumberPolicy(), None, final_at))[0])
    if load.pushed:
        platform.outcome.least += sum(math.ceil(ids / MAX_IDS) for ids in of_app.values())
        folder, moment = settings.pushed_reports or Path(), platform.now.timestamp()
        file = HourFile(folder, mode=0o600, now=lambda: platform.now)
        file.append(b"".join(lines))
        file.close()
        for path in folder.iterdir():  # the hour of a file is over by the simulated clock alone
            os.utime(path, (moment, moment))


def _send(lake: Lake, load: Load, platform: Platform, finals: list[Final], *, since: datetime) -> None:
    """Store the messages sent since the last tick, evenly over time and apps."""
    gap = timedelta(days=1) / load.messages
    first, last = math.ceil((since - START) / gap), math.ceil((platform.now - START) / gap)
    rows = [_row(number, START + number * gap, load.apps) for number in range(first, last)]
    for day in sorted({row["sent_date"] for row in rows}):
        table = pa.Table.from_pylist([row for row in rows if row["sent_date"] == day], arrow_schema(SENT_MESSAGES))
        lake.append(SENT_MESSAGES, [lake.write(SENT_MESSAGES, table, day)])
    for row in rows:
        if final_at := fate_of(row["msg_id"]).final_at:
            heapq.heappush(finals, (final_at, row["msg_id"], row["app_id"]))
    of_app = Counter(row["app_id"] for row in rows)
    if not load.pushed:
        platform.outcome.least += sum(math.ceil(ids / MAX_IDS) for ids in of_app.values())
    platform.outcome.sent += len(rows)


def _row(number: int, sent_at: datetime, apps: int) -> dict[str, Any]:
    return {
        "app_id": f"app{number % apps}",
        "msg_id": make_msg_id(sent_at, number % 1_000_000),
        "sent_at": sent_at,
        "sent_date": sent_at.date(),
        "file": "simulated",
        "line": number,
    }


def cells_of(load: Load, outcome: Outcome, *, days: int) -> list[str]:
    """Return the cells of a load."""
    cuts = quantiles(outcome.delays(), n=100)
    share = outcome.share_of_least
    return [
        f"{load.messages:,}", str(load.apps), f"{load.minutes} min", f"{load.pushed:.0%}", str(days),
        f"{outcome.requests:,}",
        f"{share:.2f}" + ("" if share <= load.goal else " **missed**"),
        f"{outcome.requests / math.ceil(outcome.sent / MAX_IDS):.2f}",
        f"{outcome.asked.total() / outcome.sent:.2f}",
        " / ".join(f"{cuts[place - 1]:.1f}" for place in (50, 95, 99)),
    ]  # fmt: skip


def main() -> None:
    """Read the command line, play, print and, if wanted, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=_numbers, default=[2_000, 20_000, 100_000])
    parser.add_argument("--apps", type=_numbers, default=[1, 3])
    parser.add_argument("--minutes", type=_numbers, default=[5, 15, 60])
    parser.add_argument("--pushed", type=_shares, default=[0, 1])
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--rows", type=_paths, default=[], help="files of rows that were printed; nothing is played")
    parser.add_argument("--write", action="store_true", help="put the table into README.md beside this file")
    chosen = parser.parse_args()
    ways = itertools.product(chosen.messages, chosen.apps, chosen.minutes, chosen.pushed)
    loads = [Load(*way) for way in ways]
    header = [
        "messages a day", "apps", "every", "pushed", "days", "requests", "x least", "x ceil(n / 200)",
        "questions a message", "final to known, minutes: p50 / p95 / p99",
    ]  # fmt: skip
    rows = _printed(chosen.rows) if chosen.rows else list(_played(loads, days=chosen.days))
    lines = table_of(header, rows)
    print("\n".join(lines))
    if chosen.write:
        write_section("requests", lines)


def _played(loads: Sequence[Load], *, days: int) -> Iterator[list[str]]:
    for load in loads:
        with tempfile.TemporaryDirectory() as folder:
            cells = cells_of(load, simulate(load, days=days, folder=Path(folder)), days=days)
        print(_BETWEEN.join(cells), flush=True)
        yield cells


def _printed(paths: Sequence[Path]) -> list[list[str]]:
    """Return the rows that `_played` printed into files, in the order of the loads."""
    rows = [
        line.split(_BETWEEN) for path in paths for line in path.read_text("utf-8").splitlines() if line[:1].isdigit()
    ]
    return sorted(rows, key=lambda row: [float(cell.split()[0].strip("%").replace(",", "")) for cell in row[:4]])


def _paths(text: str) -> list[Path]:
    return [Path(part) for part in text.split(",")]


def _shares(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
