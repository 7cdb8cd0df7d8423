"""What it costs that a commit is on the disk before the run goes on: whole runs with syncs and without, in turns.

    python -m benchmarks.syncs [--messages N,N] [--latency MS,MS] [--rounds R] [--dir FOLDER] [--write]

Each run is a process of its own with an empty folder, checked as in `benchmarks.end_to_end`. Beside the ratio stands
the time that the process spent in `os.fsync`: on a busy machine the ratio is noise, and that time is not.
"""

from __future__ import annotations

import argparse
import compileall
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import CONTENDERS, HERE, OWN_PYTHON, Contender, Task
from benchmarks.end_to_end import PACKAGES, runs_of
from benchmarks.report import table_of, write_section
from benchmarks.results import Load, Run

HEADER = (
    "messages",
    "latency",
    "runs",
    "wall with",
    "wall without",
    "with / without",
    "syncs",
    "time in syncs",
    "share",
)
SYNCED, UNSYNCED = "with syncs", "without"


@dataclass(frozen=True)
class Measured:
    """A load, its runs, and what each run with syncs spent in them: their number, seconds."""

    load: Load
    runs: Sequence[Run]
    syncs: Sequence[tuple[int, float]]

    def row(self) -> list[object]:
        """Return the row of the table: medians."""
        wall = {
            name: statistics.median(run.cost.wall_seconds for run in self.runs if run.contender == name)
            for name in (SYNCED, UNSYNCED)
        }
        count = statistics.median(number for number, _ in self.syncs)
        seconds = statistics.median(seconds for _, seconds in self.syncs)
        return [
            f"{self.load.messages:,}",
            f"{self.load.latency_ms} ms",
            len(self.syncs),
            f"{wall[SYNCED]:.2f} s",
            f"{wall[UNSYNCED]:.2f} s",
            f"{wall[SYNCED] / wall[UNSYNCED]:.3f}",
            f"{count:.0f}",
            f"{seconds * 1000:.0f} ms",
            f"{seconds / wall[SYNCED]:.1%}",
        ]


def main() -> None:
    """Read the command line, measure, print and, if wanted, write."""
    chosen = _arguments().parse_args()
    for package in PACKAGES:
        compileall.compile_dir(HERE.parent / package, quiet=2)
    loads = [Load(messages, latency) for messages in chosen.messages for latency in chosen.latency]
    with tempfile.TemporaryDirectory(dir=chosen.dir) as folder:
        measured = [measure(load, rounds=chosen.rounds, folder=Path(folder)) for load in loads]
    lines = table_of(HEADER, [each.row() for each in measured])
    print("\n".join(["", *lines]))
    if chosen.write:
        write_section("syncs", lines)


def measure(load: Load, *, rounds: int, folder: Path) -> Measured:
    """Run with syncs and without in turns; a wrong result ends the benchmark."""
    record, syncs, runs = folder / "syncs.json", list[tuple[int, float]](), list[Run]()
    for run in runs_of(
        load, [_contender(SYNCED, "timed", record), _contender(UNSYNCED, "none", record)], rounds=rounds, folder=folder
    ):
        assert not run.faults, run.faults
        runs.append(run)
        if run.contender == SYNCED:
            noted = json.loads(record.read_text("ascii"))
            syncs.append((noted["syncs"], noted["seconds"]))
    return Measured(load, runs, syncs)


def _contender(name: str, way: str, record: Path) -> Contender:
    pipeline = CONTENDERS["pipeline"]

    def arguments(task: Task) -> list[str]:
        return [str(HERE / "synced_run.py"), way, str(record), *pipeline.arguments(task)[1:]]

    return Contender(name, OWN_PYTHON, arguments, pipeline.settings)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=_numbers, default=[20_000, 200_000])
    parser.add_argument("--latency", type=_numbers, default=[0, 50], help="milliseconds by which answers are delayed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="folder to work in: on the disk to be measured")
    parser.add_argument("--write", action="store_true", help="write the table into benchmarks/README.md")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
