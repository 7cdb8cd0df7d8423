"""`benchmarks/README.md`: tables of results that the benchmarks write themselves, each with its date and machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipeline import __version__

README = Path(__file__).with_name("README.md")


def write_section(name: str, lines: Sequence[str], *, path: Path = README) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->`, and put date and machine above it.

    Raises:
        ValueError: the file has no such place.
    """
    text = path.read_text("utf-8")
    place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    if not place.search(text):
        raise ValueError(f"{path} has no place for {name}")
    body = "\n".join([f"Measured {measured_on()}.", "", *lines])
    path.write_text(place.sub(lambda found: f"{found[1]}{body}\n{found[2]}", text), "utf-8")


def table_of(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table, the first column to the left and all others to the right."""
    marks = ["---", *("---:" for _ in header[1:])]
    return [_line(header), _line(marks), *map(_line, rows)]


def measured_on() -> str:
    """Return date, version, Python and machine in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{datetime.now(UTC):%Y-%m-%d} with sms-delivery {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} on {platform.machine()}, {cores} cores"
    )


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
