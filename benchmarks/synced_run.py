"""The command with its syncs counted and timed, or left out: a process of `benchmarks.syncs`.

    python -m benchmarks.synced_run timed|none RECORD run …

DuckDB's own syncs are made in both.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from assets.cli.main import main as command


def main() -> None:
    """Replace `os.fsync`, run the command, write what its syncs took to RECORD."""
    way, record, *arguments = sys.argv[1:]
    sync, took = os.fsync, list[float]()

    def timed(fd: Any) -> None:
        began = time.perf_counter()
        if way == "timed":
            sync(fd)
            took.append(time.perf_counter() - began)

    os.fsync = timed
    sys.argv = ["sms-delivery", *arguments]
    try:
        command()
    finally:
        Path(record).write_text(json.dumps({"syncs": len(took), "seconds": sum(took)}), "ascii")


if __name__ == "__main__":
    main()
