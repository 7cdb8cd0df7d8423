"""How reading logs and deriving scale from one worker to two: each a process of its own, held to one core of its own.

    python -m benchmarks.workers [--messages N] [--days D] [--rounds R] [--write]

One worker does all days in one run of Dagster's; two do half of the days each, at the same time, in the same lake.
Asking is left out: the platform's limit is one for all workers, and it is asked by one at a time.
"""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

from benchmarks.contenders import CONTENDERS, HERE, OWN_PYTHON, Task
from benchmarks.end_to_end import PACKAGES, environment_of, running_server
from benchmarks.messages import write_log
from benchmarks.report import table_of, write_section

COMMAND = str(OWN_PYTHON.with_name("dagster"))
STEPS = {"read logs": "sent_messages", "ask": "delivery_reports", "derive": "messages,delivery_rates"}
SCALING = ("read logs", "derive")
HEADER = ("messages", "days", "step", "one worker", "two workers", "times faster")


def main() -> None:
    """Read the command line, measure, print and, if wanted, write."""
    chosen = _arguments().parse_args()
    for package in PACKAGES:
        compileall.compile_dir(HERE.parent / package, quiet=2)
    last = (datetime.now(UTC) - timedelta(days=1)).date()
    dates = [last - timedelta(days=back) for back in reversed(range(chosen.days))]
    with tempfile.TemporaryDirectory() as logs, running_server(0) as base_url:
        for day in dates:
            write_log(Path(logs, f"sent-{day}.jsonl"), messages=chosen.messages // chosen.days, day=day)
        log = Path(logs, f"sent-{last}.jsonl")
        walls = {workers: [measured(base_url, log, dates, workers) for _ in range(chosen.rounds)] for workers in (1, 2)}
    rows = list(_rows(walls, chosen.messages, chosen.days))
    lines = table_of(HEADER, rows)
    print("\n".join(["", *lines]))
    if chosen.write:
        write_section("workers", lines)


def measured(base_url: str, log: Path, dates: Sequence[date], workers: int) -> dict[str, float]:
    """Do all steps in a new lake; return the seconds of each."""
    with tempfile.TemporaryDirectory() as folder:
        task = Task(base_url, log, dates[-1], Path(folder))
        walls = {
            step: _wall_of(task, assets, dates, workers if step in SCALING else 1) for step, assets in STEPS.items()
        }
    print(f"{workers} at work: " + ", ".join(f"{step} {walls[step]:.1f} s" for step in SCALING), flush=True)
    return walls


def _wall_of(task: Task, assets: str, dates: Sequence[date], workers: int) -> float:
    """Materialize assets of all days, a share of them in each worker; return the seconds until the last is done."""
    each = -(-len(dates) // workers)
    began = time.perf_counter()
    started = [_start(task, assets, dates[core * each :][:each], core) for core in range(workers)]
    statuses = [process.wait() for process in started]
    assert not any(statuses), (task.folder / "output-0.txt").read_text("utf-8", errors="replace")[-2000:]
    return time.perf_counter() - began


def _start(task: Task, assets: str, dates: Sequence[date], core: int) -> subprocess.Popen[bytes]:
    given = ["asset", "materialize", "-m", "assets.definitions", "--select", assets]
    command = ["taskset", "--cpu-list", f"{core}", COMMAND, *given, "--partition-range", f"{dates[0]}...{dates[-1]}"]
    environment = environment_of(CONTENDERS["pipeline"], task) | {"SMS_START_DATE": f"{dates[0] - timedelta(days=9)}"}
    with (task.folder / f"output-{core}.txt").open("wb") as output:
        return subprocess.Popen(command, cwd=task.folder, env=environment, stdout=output, stderr=subprocess.STDOUT)


def _rows(walls: dict[int, list[dict[str, float]]], messages: int, days: int) -> Iterator[Sequence[object]]:
    for step in SCALING:
        one, two = (median(round_of[step] for round_of in walls[workers]) for workers in (1, 2))
        yield f"{messages:,}", days, step, f"{one:.1f} s", f"{two:.1f} s", f"{one / two:.2f}"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2_000_000, help="in all, evenly over the days")
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into README.md beside this file")
    return parser


if __name__ == "__main__":
    assert len(os.sched_getaffinity(0)) > 1, "two workers need two cores"
    main()
