"""What a command costs: wall, CPU and peak memory of the process and all that it starts."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

SAMPLING_SECONDS = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """What a command took, and how it ended."""

    status: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def cost_of(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run a command to its end in a folder; what it says is in `output.txt` there.

    CPU is that of the process and of all children that were waited for.
    """
    with (folder / "output.txt").open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        with Memory(process.pid) as memory:
            _, waited, usage = os.wait4(process.pid, 0)
            wall_seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(waited)
    return Cost(process.returncode, wall_seconds, usage.ru_utime + usage.ru_stime, memory.peak_bytes)


class Memory:
    """Watches resident memory of a process and its descendants while it is open; shared pages count for each.

    `ru_maxrss` won't do: between fork and exec a child counts as large as the process that started it. So the kernel's
    high-water mark of each process is read as long as it lives, and the sum over all of them twenty times a second.
    """

    def __init__(self, pid: int) -> None:
        """Watch the tree below this process."""
        self.peak_bytes = 0
        self._pid, self._ended = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLING_SECONDS):
            pids = list(family_of(self._pid))
            together = sum(map(resident_bytes, pids))
            self.peak_bytes = max(self.peak_bytes, together, *map(highest_bytes, pids))


def family_of(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants that live."""
    yield pid
    try:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text("ascii").split():
                yield from family_of(int(child))
    except (FileNotFoundError, ProcessLookupError):
        return


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has now, 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


def highest_bytes(pid: int) -> int:
    """Return the most memory that a process has had so far, 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    marks = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(marks[0].split()[1]) * 1024 if marks else 0
