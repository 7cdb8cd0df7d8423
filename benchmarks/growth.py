"""What a refresh costs when nothing is due, by what the lake holds; and what a publication and its queries cost.

Each run is `sms-delivery run` in a fresh process, and beside each one an empty Dagster job of the same shape in
another (`empty_job.py`): the difference is what the project itself costs. Nothing may be asked: no platform is there.

    python -m benchmarks.growth            all of it, about 20 minutes and 3 GB in a temporary folder
    python -m benchmarks.growth --quick    a tenth of the sizes, nothing written to the README
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from benchmarks import published_file
from benchmarks.made_lake import OPEN_DAYS, environment_of, make_lake, settings_in
from benchmarks.measuring import cost_of
from benchmarks.report import table_of, write_section
from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.follow.workers import follow
from pipeline.lake.delta_log import add_action, commit_info, now_ms
from pipeline.lake.lake import DataFile, Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.maintain.audits.context import opened_context
from pipeline.maintain.audits.registry import AUDITS
from pipeline.maintain.clean import clean
from pipeline.maintain.compact import compact
from pipeline.maintain.due import open_days
from pipeline.model.accounts import load_accounts
from pipeline.model.settings import Settings, environment_with
from pipeline.model.tables import DELIVERY_REPORTS
from pipeline.publish.database import publish
from pipeline.publish.page.writing import write_page

PAIRS = 5
EMPTY_JOB = Path(__file__).with_name("empty_job.py")
NOTHING_DUE = "API: 0 answers in 0 batches, 0 requests: none"


@dataclass(frozen=True)
class Seconds:
    """What something took."""

    wall: float
    cpu: float

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall - other.wall, self.cpu - other.cpu)

    @property
    def cells(self) -> tuple[str, str]:
        """As a table shows it."""
        return f"{self.wall:.2f} s", f"{self.cpu:.2f} s"


@dataclass(frozen=True)
class Sizes:
    """How large the lakes are."""

    open_rows: int
    partitions: tuple[int, ...]
    commits: int
    messages: int
    days_published: tuple[int, ...]


FULL = Sizes(1_000_000, (10, 100, 1_000), 10_000, 30_000_000, (365, 3_000))
QUICK = Sizes(100_000, (10, 30, 100), 1_000, 1_000_000, (36, 300))


def main() -> None:
    """Measure, print, and write the section of the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes, nothing written to the README")
    parser.add_argument("--dir", type=Path, help="folder to work in (default: a temporary one)")
    chosen = parser.parse_args()
    sizes = QUICK if chosen.quick else FULL
    lines = []
    for lines_of in (open_lake, partitions, earlier_commits, published):
        with tempfile.TemporaryDirectory(dir=chosen.dir) as folder:
            section = lines_of(Path(folder), sizes)
        print("\n".join(section), flush=True)
        lines += section
    if not chosen.quick:
        write_section("growth", lines)


def open_lake(folder: Path, sizes: Sizes) -> list[str]:
    """Measure a run over four large open days, and the price of each part of it."""
    settings = settings_in(folder)
    lake = make_lake(settings, days=OPEN_DAYS, closed_rows=0, open_rows=sizes.open_rows)
    run, empty = interleaved(settings)
    prices = list(prices_of(lake, settings))
    return [
        f"A run with nothing due over four open days of {sizes.open_rows:,} messages, in a fresh process:",
        "",
        *table_of(
            ("", "wall", "CPU"),
            [
                ("the run", *run.cells),
                ("an empty Dagster job of its shape", *empty.cells),
                ("beyond Dagster (goal: 2 s)", *(run - empty).cells),
            ],
        ),
        "",
        "The price of each asset and check in it, in one process:",
        "",
        *table_of(("part", "wall", "CPU"), [(name, *_milliseconds(cost)) for name, cost in prices]),
        "",
    ]


def partitions(folder: Path, sizes: Sizes) -> list[str]:
    """Measure the same run for lakes of few and of many days."""
    rows = []
    for days in sizes.partitions:
        place = folder / str(days)
        place.mkdir()
        settings = settings_in(place)
        make_lake(settings, days=days, closed_rows=1_000, open_rows=1_000)
        run, empty = interleaved(settings)
        rows.append((f"{days:,}", *run.cells, *(run - empty).cells))
        shutil.rmtree(place)
    return [
        "A run with nothing due, by the partitions that the lake holds (1,000 messages each, four of them open):",
        "",
        *table_of(("partitions", "wall", "CPU", "wall beyond Dagster", "CPU beyond Dagster"), rows),
        "",
    ]


def earlier_commits(folder: Path, sizes: Sizes) -> list[str]:
    """Measure the same run where answers came in very many commits: none compacted, and after maintenance."""
    settings = settings_in(folder)
    days = sizes.partitions[1]
    lake = make_lake(settings, days=days, closed_rows=1_000, open_rows=1_000)
    few, empty = interleaved(settings)
    append_answers(lake, settings, commits=sizes.commits)
    many, _ = interleaved(settings)
    now = datetime.now(UTC)
    compact(lake=lake, settings=settings, now=now)
    publish(lake=lake, settings=settings, now=now)
    clean(lake=lake, settings=settings, now=now)
    kept, _ = interleaved(settings)
    what = f"{days:,} partitions, before and after {sizes.commits:,} commits to `delivery_reports` of one file each:"
    figures = (("before", few), (f"after {sizes.commits:,} commits", many), ("after these and maintenance", kept))
    return [
        f"A run with nothing due, {what}",
        "",
        *table_of(
            ("lake", "wall", "CPU", "wall beyond Dagster", "CPU beyond Dagster"),
            [(name, *cost.cells, *(cost - empty).cells) for name, cost in figures],
        ),
        "",
    ]


def published(folder: Path, sizes: Sizes) -> list[str]:
    """Measure publications and what analysts ask of them."""
    rows = []
    for days in sizes.days_published:
        messages = sizes.messages if days == sizes.days_published[0] else days * 100
        place = folder / str(days)
        place.mkdir()
        rows += [
            (f"{messages:,} in {days:,} partitions", what, f"{seconds * 1000:.0f} ms")
            for what, seconds in published_file.measure(place, messages, days)
            if not what.startswith("making")
        ]
        shutil.rmtree(place)
    return [
        "Publications (goals: 0.2 s and 0.6 s), and queries on new connections (rates 40 ms, one message 80 ms):",
        "",
        *table_of(("messages", "what", "median wall"), rows),
        "",
    ]


def interleaved(settings: Settings) -> tuple[Seconds, Seconds]:
    """Return the medians of a run with nothing due and of an empty job; one of each after the other."""
    command = [str(Path(sys.executable).with_name("sms-delivery")), "run"]
    spent(command, settings)  # reads the logs, derives what is behind
    runs, empty = [], []
    for _ in range(PAIRS):
        cost, said = spent(command, settings)
        assert NOTHING_DUE in said, said
        assert "logs: 0 of" in said, said
        runs.append(cost)
        empty.append(spent([sys.executable, str(EMPTY_JOB)], settings)[0])
    return median(runs), median(empty)


def spent(command: Sequence[str], settings: Settings) -> tuple[Seconds, str]:
    """Run a command in a process of its own; return what it took and what it said."""
    folder = settings.lake.parent
    cost = cost_of(command, folder=folder, environment=environment_with(environment_of(settings)))
    said = (folder / "output.txt").read_text("utf-8")
    assert cost.status == 0, said
    return Seconds(cost.wall_seconds, cost.cpu_seconds), said


def prices_of(lake: Lake, settings: Settings) -> Iterator[tuple[str, Seconds]]:
    """Give the median price of what each asset and each check calls."""
    now = datetime.now(UTC)
    days = sorted(lake.snapshot(DELIVERY_REPORTS).days())
    accounts = load_accounts(settings)
    parts: dict[str, Callable[[], object]] = {
        "days to run for": lambda: open_days(lake=lake, settings=settings, now=now, before=days[0]),
        "`sent_messages`": lambda: collect(days, lake=lake, settings=settings, now=now),
        "`delivery_reports`": lambda: follow(days, lake=lake, accounts=accounts, settings=settings, now=now),
        "`messages`": lambda: derive_messages(days, lake=lake, settings=settings, now=now),
        "`delivery_rates`": lambda: derive_rates(days, lake=lake, settings=settings, now=now),
        "`analytics_db`": lambda: publish(lake=lake, settings=settings, now=now),
        "`delivery_page`": lambda: write_page(settings=settings),
    }
    for name, work in parts.items():
        yield name, median([timed(work) for _ in range(PAIRS)])
    for name, audit in AUDITS.items():
        costs = []
        for _ in range(PAIRS):
            with opened_context(days, lake=lake, settings=settings, now=now) as context:
                costs.append(timed(lambda audit=audit, context=context: audit.run(context)))  # type: ignore[misc] # bound now
        yield f"check `{name}`", median(costs)


def append_answers(lake: Lake, settings: Settings, *, commits: int) -> None:
    """Add very many commits of one answer each to closed days, as runs leave them, an hour ago, and derive the days.

    Made through Delta each would list the files of those before it: hours.
    """
    table, root = DELIVERY_REPORTS, lake.folder_of(DELIVERY_REPORTS)
    present = lake.snapshot(table)
    closed = present.days()[:-OPEN_DAYS]
    models = [_one_answer(lake, file) for file in present.of(closed)]
    for number in range(commits):
        model = models[number % len(models)]
        path = lake.new_file(table, model.sent_date)
        os.link(model.path, path)
        action = add_action(table, replace(model, path=path, added_ms=0), root, data_change=True)
        action["add"]["modificationTime"] = now_ms() - 3_600_000
        log = root / "_delta_log" / f"{present.version + 1 + number:020}.json"
        log.write_text(f"{json.dumps(action)}\n{json.dumps(commit_info(table))}\n", "ascii")
        if number == commits - commits // 200:
            DeltaTable(root).create_checkpoint()
    for model in models:
        model.path.unlink()
    derive_messages(closed, lake=lake, settings=settings, now=datetime.now(UTC))
    derive_rates(closed, lake=lake, settings=settings, now=datetime.now(UTC))


def _one_answer(lake: Lake, file: DataFile) -> DataFile:
    """Write one answer for a message of a day."""
    assert file.sent_date is not None
    row = {
        "app_id": "app0",
        "msg_id": "2611230000000000000",
        "status": "not_found",
        "observed_at": file.maxima["observed_at"],
        "call_id": "made up",
        "sent_date": file.sent_date,
    }
    return lake.write(
        DELIVERY_REPORTS, pa.Table.from_pylist([row], schema=arrow_schema(DELIVERY_REPORTS)), file.sent_date
    )


def timed(work: Callable[[], object]) -> Seconds:
    """Return what something takes in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def median(costs: Sequence[Seconds]) -> Seconds:
    """Return the median wall and the median CPU."""
    return Seconds(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))


def _milliseconds(cost: Seconds) -> tuple[str, str]:
    return f"{cost.wall * 1000:.0f} ms", f"{cost.cpu * 1000:.0f} ms"


if __name__ == "__main__":
    main()
