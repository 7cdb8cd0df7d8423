"""How many pushed reports `sms-delivery listen` takes: one in a request or many, answered once they are on the disk.

    python -m benchmarks.pushes [--reports N] [--connections N,N] [--each N,N] [--write]

The receiver is the real command in a process of its own, held to one core where the system allows it; the sender is
this process, over kept connections. A row says how many reports were answered with 200 per second of the receiver's
CPU, which other work on the machine hardly changes, and per second by the clock, and how long each request waited. At
the end all that was answered must be in the files.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import quantiles

from benchmarks.report import table_of, write_section
from benchmarks.requests import START
from pipeline.api.simulator.rules import make_msg_id
from pipeline.model.settings import environment_with

TOKEN = "token-of-the-benchmark"  # noqa: S105 - of nobody
GOAL = 2_000
COMMAND = str(Path(sys.executable).with_name("sms-delivery"))


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Run the receiver on one core for the block; give its host and port, and its process."""
    given = {"SMS_PUSH_TOKEN": TOKEN, "SMS_PUSHED_REPORTS": "pushed"}
    arguments = [COMMAND, "listen", "--port", "0", "--max-requests-per-second", "0"]
    process = subprocess.Popen(arguments, cwd=folder, env=environment_with(given), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("POST http://").partition("/")[0]
        if hasattr(os, "sched_setaffinity") and len(cores := os.sched_getaffinity(0)) > 1:
            os.sched_setaffinity(process.pid, {max(cores)})
        host, _, port = address.rpartition(":")
        yield host, int(port), process.pid
    finally:
        process.terminate()
        process.wait()


def request_of(numbers: range) -> bytes:
    """Return a push as the platform's Java client sends it: an object, or an array of several."""
    reports = b",".join(map(_report, numbers))
    body = b"[" + reports + b"]" if len(numbers) > 1 else reports
    head = (
        f"POST /reports/{TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Java/1.8.0_392\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _report(number: int) -> bytes:
    msg_id = make_msg_id(START, number)
    return (
        f'{{"appId":"app1","msgid":"{msg_id}","mobile":"9185632{number % 10_000:04d}","status":{number % 12 == 0:d},'
        '"reason":"","timestamp":1613037003000,"mcc":"404","mnc":"45",'
        '"pricedetail":{"pay":"0.02","price":"0.02","currency":"USD","chargeCnt":1}}'
    ).encode()


async def send(host: str, port: int, requests: Sequence[range], waits: list[float]) -> None:
    """Send requests one after the other over one connection."""
    reader, writer = await asyncio.open_connection(host, port)
    for numbers in requests:
        began = time.perf_counter()
        writer.write(request_of(numbers))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        waits.append(time.perf_counter() - began)
    writer.close()


async def flood(host: str, port: int, reports: int, connections: int, each: int) -> tuple[float, list[float]]:
    """Send all reports over some connections; return the seconds that it took and how long each request waited."""
    waits: list[float] = []
    requests = [range(first, min(first + each, reports)) for first in range(0, reports, each)]
    began = time.perf_counter()
    parts = (requests[first::connections] for first in range(connections))
    await asyncio.gather(*(send(host, port, part, waits) for part in parts))
    return time.perf_counter() - began, waits


def cpu_seconds(pid: int) -> float:
    """Return the CPU that a process has used, user and system (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(reports: int, connections: int, each: int) -> list[str]:
    """Return the cells of a row."""
    with tempfile.TemporaryDirectory() as folder:
        with listening(Path(folder)) as (host, port, pid):
            before = cpu_seconds(pid)
            seconds, waits = asyncio.run(flood(host, port, reports, connections, each))
            busy = cpu_seconds(pid) - before
        stored = sum(path.read_bytes().count(b"\n") for path in Path(folder, "pushed").iterdir())
    assert stored == reports, (stored, reports)
    cuts, rate = quantiles(waits, n=100), reports / seconds
    return [
        str(connections), str(each), f"{reports:,}",
        f"{reports / busy:,.0f}" + ("" if reports / busy >= GOAL else " **missed**"), f"{rate:,.0f}",
        " / ".join(f"{1000 * cuts[place - 1]:.1f}" for place in (50, 95, 99)),
    ]  # fmt: skip


def main() -> None:
    """Read the command line, measure, print and, if wanted, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=20_000)
    parser.add_argument("--connections", default="16,64")
    parser.add_argument("--each", default="1,100", help="reports in a request")
    parser.add_argument("--write", action="store_true", help="put the table into README.md beside this file")
    chosen = parser.parse_args()
    header = [
        "connections", "reports a request", "reports", "reports per second of CPU", "reports a second by the clock",
        "answered after, ms: p50 / p95 / p99",
    ]  # fmt: skip
    ways = itertools.product(chosen.each.split(","), chosen.connections.split(","))
    rows = [measured(chosen.reports, int(connections), int(each)) for each, connections in ways]
    lines = table_of(header, rows)
    print("\n".join(lines))
    if chosen.write:
        write_section("pushes", lines)


if __name__ == "__main__":
    main()
