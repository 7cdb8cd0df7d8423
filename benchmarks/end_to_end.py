"""The whole work, by the pipeline, by its peers and by a floor, in turns, against a fast server on this machine.

    python -m benchmarks.end_to_end [--messages N,N] [--latency MS,MS] [--rounds R] [--contenders NAME,NAME] [--write]

Each run is a process of its own with an empty folder. Its result is checked message by message; one that is wrong is
named and not counted. In each round all contenders run once, each time another one first. `--write` puts the tables
into README.md beside this file.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

from benchmarks.checking import faults_of
from benchmarks.contenders import CONTENDERS, HERE, RESULT, Contender, Task
from benchmarks.measuring import cost_of
from benchmarks.messages import write_expected, write_log
from benchmarks.report import write_section
from benchmarks.results import Load, Run, lines_of
from benchmarks.rule import MOST_IDS

LONGEST_WAIT_SECONDS = 60
"""What peers that ask one call after the other may wait for answers; longer runs are for pipeline and floor."""
HUGE = Load(10_000_000, 0)
"""For the peak of memory alone: once, by the pipeline."""
OWN = ("pipeline", "floor")
PACKAGES = ("pipeline", "assets")


def main() -> None:
    """Read the command line, measure, print and, if wanted, write."""
    chosen = _arguments().parse_args()
    loads = [Load(messages, latency) for messages in chosen.messages for latency in chosen.latency]
    contenders = [CONTENDERS[name] for name in chosen.contenders]
    for package in PACKAGES:
        compileall.compile_dir(HERE.parent / package, quiet=2)  # as an installed package is
    with tempfile.TemporaryDirectory(dir=chosen.dir) as folder:
        runs = [run for load in loads for run in runs_of(load, contenders, rounds=chosen.rounds, folder=Path(folder))]
        if chosen.huge:
            runs += runs_of(HUGE, [CONTENDERS["pipeline"]], rounds=1, folder=Path(folder))
    lines = lines_of(runs)
    print("\n".join(["", *lines]))
    if chosen.write:
        write_section("end_to_end", lines)


def runs_of(load: Load, contenders: Sequence[Contender], *, rounds: int, folder: Path) -> Iterator[Run]:
    """Let the contenders that suit a load run in turns."""
    day = (datetime.now(UTC) - timedelta(days=1)).date()
    log, expected = folder / f"sent-{day}.jsonl", folder / "expected.parquet"
    write_log(log, messages=load.messages, day=day)
    write_expected(expected, messages=load.messages, day=day)
    suited = [contender for contender in contenders if suits(contender, load)]
    with running_server(load.latency_ms) as base_url:
        for number in range(rounds):
            first = number % len(suited)
            for contender in [*suited[first:], *suited[:first]]:
                yield said(run_once(contender, load, base_url=base_url, log=log, day=day, expected=expected))


def suits(contender: Contender, load: Load) -> bool:
    """Tell whether a contender is done within reasonable time."""
    return contender.name in OWN or load.messages / MOST_IDS * load.latency_ms / 1000 <= LONGEST_WAIT_SECONDS


def run_once(contender: Contender, load: Load, *, base_url: str, log: Path, day: date, expected: Path) -> Run:
    """Run a contender in an empty folder, and check what it made."""
    with tempfile.TemporaryDirectory(dir=log.parent) as folder:
        task = Task(base_url, log, day, Path(folder))
        before = calls_of(base_url)
        os.sync()  # what the last one wrote is not this one's burden
        cost = cost_of(contender.command(task), folder=task.folder, environment=environment_of(contender, task))
        calls = calls_of(base_url) - before
        if cost.status:
            said_last = (task.folder / "output.txt").read_text("utf-8", errors="replace").splitlines()[-1:]
            faults = [f"ended with status {cost.status}: {''.join(said_last)}"]
        else:
            faults = faults_of(task.folder / RESULT, expected)
    return Run(load, contender.name, cost, calls, tuple(faults))


def environment_of(contender: Contender, task: Task) -> dict[str, str]:
    """Return this process's environment without what would set up Python, Dagster or the pipeline another way."""
    kept = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a command needs PATH, HOME and the like
        if not name.startswith(("SMS_", "DAGSTER_", "PYTHON"))
    }
    return {**kept, **contender.settings(task)}


@contextmanager
def running_server(latency_ms: int) -> Iterator[str]:
    """Start the server, give its base URL, and stop it."""
    command = [sys.executable, "-m", "benchmarks.server", "--latency", str(latency_ms)]
    with subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def calls_of(base_url: str) -> int:
    """Return how many requests the server has answered."""
    with urlopen(base_url.replace("/sms", "/tally")) as answer:  # noqa: S310 - our own server
        return int(json.load(answer)["calls"])


def said(run: Run) -> Run:
    """Print a run."""
    cost = run.cost
    print(
        f"{run.load.messages:>10,} messages {run.load.latency_ms:>3} ms  {run.contender:<12}"
        f"{cost.wall_seconds:8.2f} s {cost.cpu_seconds:8.2f} s CPU {cost.peak_bytes / 1e6:8.0f} MB"
        f"{run.calls:>8,} calls  {'; '.join(run.faults) or 'right'}",
        flush=True,
    )
    return run


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=_numbers, default=[20_000, 200_000, 1_000_000])
    parser.add_argument("--latency", type=_numbers, default=[0, 50], help="milliseconds by which answers are delayed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", type=_names, default=",".join(CONTENDERS), help=", ".join(CONTENDERS))
    parser.add_argument("--huge", action="store_true", help=f"also {HUGE.messages:,} messages, by the pipeline, once")
    parser.add_argument("--dir", type=Path, help="folder to work in (default: that for temporary files)")
    parser.add_argument("--write", action="store_true", help="write the tables into benchmarks/README.md")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in CONTENDERS]:
        raise argparse.ArgumentTypeError(f"no contender is called {', '.join(unknown)}")
    if missing := [name for name in names if not CONTENDERS[name].is_installed()]:
        raise argparse.ArgumentTypeError(f"{', '.join(missing)} needs `make .venv-peers/installed`")
    return names


if __name__ == "__main__":
    main()
