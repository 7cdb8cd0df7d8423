"""The `.env`: which one is read, and its lines.

Belongs here: finding and reading the file. Does not: what its lines mean (`settings.py`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from pipeline.model.trusted import read_trusted, why_untrusted

NAME: Final = ".env"


@dataclass(frozen=True)
class Place:
    """A `.env` that is there; `barrier` is the folder that others may write, for which it is not read."""

    path: Path
    barrier: Path | None


def find_env_files(folder: Path) -> Iterator[Place]:
    """Yield the `.env` of a folder, an absolute path, and of those above it, nearest first.

    The search ends at the first folder, but the given one, in which others may put a file: those from there on have
    a barrier.
    """
    barrier: Path | None = None
    for above in (folder, *folder.parents):
        opened = above if why_untrusted(above.stat()) else None
        if above != folder:
            barrier = barrier or opened
        path = above / NAME
        if path.exists() and not path.is_dir():
            yield Place(path, barrier)
        barrier = barrier or opened


def env_file_of(folder: Path) -> Path | None:
    """Return the `.env` that is read for a folder: its own, or the nearest above it; None if there is none."""
    place = next(find_env_files(folder), None)
    return place.path if place and place.barrier is None else None


def env_values(path: Path, *, expanded: bool = False) -> dict[str, str]:
    """Return the values of a `.env` by name, as they are written: `${HOME}` stays; lines without a value are left out.

    `expanded` gives them as Dagster copies them into the environment.

    Raises:
        SettingsError: the file can't be read, or others may write it.
    """
    values = dotenv_values(stream=io.StringIO(read_trusted(path, NAME)), interpolate=expanded)
    return {name: value for name, value in values.items() if value is not None}
