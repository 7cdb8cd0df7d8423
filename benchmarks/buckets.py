"""What a lake in a bucket costs beside one in a folder: time, requests, memory, and money by list price.

    python -m benchmarks.buckets [--messages N,N] [--days D] [--delay MS,MS] [--write NAME]

The S3 server is moto on this machine, behind a proxy that counts requests and may take so long for each. The platform
answers at once, so what is seen is the pipeline's own work and the store's. Steps follow one another on one lake: the
first run, one with nothing due, one of all days anew (`--force`), a publication.
"""

from __future__ import annotations

import argparse
import compileall
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.contenders import CONTENDERS, HERE, OWN_PYTHON, RESULT, Task
from benchmarks.end_to_end import PACKAGES, environment_of, running_server
from benchmarks.measuring import Cost, cost_of
from benchmarks.messages import write_log
from benchmarks.report import table_of, write_section
from tests.support.buckets import Bucket, opened_bucket, running_store

COMMAND = str(OWN_PYTHON.with_name("sms-delivery"))
STEPS = ("first run", "nothing due", "run --force", "publish")
WRITING = {"PUT", "POST", "LIST"}
DOLLARS_PER_WRITE, DOLLARS_PER_READ = 0.005 / 1000, 0.0004 / 1000
"""S3 Standard, us-east-1: PUT, COPY, POST and LIST; GET and all others. Deleting costs nothing."""
DOLLARS_PER_GB_AND_MONTH = 0.023
HEADER = (
    "messages", "days", "step", "lake", "wall", "times folder", "CPU", "peak memory",
    "requests", "of them PUT, POST, LIST", "price of the requests", "stored", "price a month",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a lake lies: its name in the table, its settings, its bucket if it is in one."""

    name: str
    settings: Mapping[str, str]
    bucket: Bucket | None = None

    def kinds(self) -> Counter[str]:
        """Return how many requests of each kind the bucket has had."""
        requests = self.bucket.requests if self.bucket else []
        return Counter("LIST" if "list-type" in request.path else request.method for request in requests)

    def stored_bytes(self, folder: Path) -> int:
        """Return what the lake takes."""
        if self.bucket is None:
            return sum(path.stat().st_size for path in (folder / "lake").rglob("*") if path.is_file())
        pages = self.bucket.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.name)
        return sum(entry["Size"] for page in pages for entry in page.get("Contents", []))


@dataclass(frozen=True)
class Step:
    """What a step on a lake cost."""

    name: str
    place: str
    cost: Cost
    requests: Counter[str]
    stored_bytes: int

    @property
    def writing(self) -> int:
        """Requests that S3 counts as writing."""
        return sum(self.requests[kind] for kind in WRITING)

    @property
    def dollars(self) -> float:
        """Price of the requests."""
        reading = self.requests.total() - self.writing - self.requests["DELETE"]
        return self.writing * DOLLARS_PER_WRITE + reading * DOLLARS_PER_READ


def main() -> None:
    """Read the command line, measure, print and, if wanted, write."""
    chosen = _arguments().parse_args()
    for package in PACKAGES:
        compileall.compile_dir(HERE.parent / package, quiet=2)
    rows: list[Sequence[object]] = []
    for messages in chosen.messages:
        steps = list(measured(messages, days=chosen.days, delays=chosen.delay))
        rows += [_row(messages, chosen.days, step, steps) for step in steps]
    lines = table_of(HEADER, rows)
    print("\n".join(["", *lines]))
    if chosen.write:
        write_section(chosen.write, lines)


def measured(messages: int, *, days: int, delays: Sequence[int]) -> Iterator[Step]:
    """Play the steps on a lake in a folder, then in a bucket with each delay; a step that fails ends the benchmark."""
    last = (datetime.now(UTC) - timedelta(days=1)).date()
    dates = [last - timedelta(days=back) for back in reversed(range(days))]
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for day in dates:
            write_log(logs / f"sent-{day}.jsonl", messages=messages // days, day=day)
        base_url = stack.enter_context(running_server(0))
        for place in _places(stack, delays):
            with tempfile.TemporaryDirectory() as folder:
                task = Task(base_url, logs / f"sent-{last}.jsonl", last, Path(folder))
                yield from _steps(place, task, first=f"{dates[0]}", last=f"{last}")


def _places(stack: ExitStack, delays: Sequence[int]) -> Iterator[Place]:
    yield Place("folder", {})
    for delay in delays:
        with running_store() as server:  # a new one for each: moto keeps all objects in memory
            bucket = stack.enter_context(opened_bucket(server))
            bucket.rules.seconds = delay / 1000
            base = f"s3://{bucket.name}"
            given = {"SMS_LAKE": f"{base}/lake", "SMS_CACHE": "cache", "SMS_DUCKDB": f"{base}/published/{RESULT}"}
            yield Place(f"bucket, {delay} ms", {**bucket.environment, **given}, bucket)


def _steps(place: Place, task: Task, *, first: str, last: str) -> Iterator[Step]:
    environment = environment_of(CONTENDERS["pipeline"], task) | dict(place.settings)
    span = ("--from", first, "--to", last)
    commands = (("run", *span), ("run", *span), ("run", "--force", *span), ("publish",))
    for name, arguments in zip(STEPS, commands, strict=True):
        before = place.kinds()
        cost = cost_of([COMMAND, *arguments], folder=task.folder, environment=environment)
        assert not cost.status, (task.folder / "output.txt").read_text("utf-8", errors="replace")[-2000:]
        step = Step(name, place.name, cost, place.kinds() - before, place.stored_bytes(task.folder))
        print(f"{name:<12} {place.name:<14} {cost.wall_seconds:7.2f} s {step.requests}", flush=True)
        yield step


def _row(messages: int, days: int, step: Step, steps: Sequence[Step]) -> Sequence[object]:
    (beside,) = (one for one in steps if one.name == step.name and one.place == "folder")
    asked = step.requests.total()
    return [
        f"{messages:,}", days, step.name, step.place,
        f"{step.cost.wall_seconds:.1f} s",
        f"{step.cost.wall_seconds / beside.cost.wall_seconds:.2f}",
        f"{step.cost.cpu_seconds:.1f} s",
        f"{step.cost.peak_bytes / 1e6:,.0f} MB",
        *([f"{asked:,}", f"{step.writing:,}", f"${step.dollars:.4f}"] if asked else ["-"] * 3),
        f"{step.stored_bytes / 1e6:,.1f} MB",
        f"${step.stored_bytes / 1e9 * DOLLARS_PER_GB_AND_MONTH:.4f}" if asked else "-",
    ]  # fmt: skip


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=_numbers, default=[200_000], help="in all, evenly over the days")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--delay", type=_numbers, default=[0, 20], help="milliseconds that the store takes a request")
    parser.add_argument("--write", metavar="NAME", help="section of benchmarks/README.md to write the table into")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
