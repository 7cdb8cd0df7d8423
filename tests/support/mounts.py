"""A disk of its own for a folder, so small that it is soon full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, limit: str) -> Iterator[None]:
    """Mount a tmpfs with a limit, `size=64k` or `nr_inodes=70`, for the block; skip the test where nobody may."""
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", limit, "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def set_limit(folder: Path, limit: str) -> None:
    """Change the limit of a mounted disk."""
    subprocess.run(["mount", "-o", f"remount,{limit}", folder], check=True)
