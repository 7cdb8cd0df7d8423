"""Run the benchmarks of parts, each beside its floor, and write what they say.

    python -m benchmarks.parts            writes the sections "logs" and "parts" of benchmarks/README.md
    python -m benchmarks.parts -k logs    some of them, printed only

Anything after it goes to pytest.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.parts.bench_logs import logs_table
from benchmarks.parts.table import parts_table
from benchmarks.report import write_section

HERE = Path(__file__).parent


def main() -> int:
    """Run, print, write; return pytest's status."""
    chosen = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "benchmarks.json"
        arguments = ["-q", "-c", str(HERE / "pytest.ini"), str(HERE), f"--benchmark-json={told}", *chosen]
        status = int(pytest.main([*arguments, "--benchmark-columns=median,iqr,rounds", "--benchmark-sort=name"]))
        if status:
            return status
        found = json.loads(told.read_text("utf-8"))["benchmarks"]
    logs = [one for one in found if one["name"].startswith("bench_reading")]
    sections = {"logs": logs_table(logs), "parts": parts_table([one for one in found if one not in logs])}
    for name, lines in sections.items():
        print("\n".join(lines))
        if not chosen:
            write_section(name, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
