"""What is slow to make, made once for the tests of a module and put back for each of them.

A published file names its lake by its absolute path, so that a copy elsewhere would not do: each test of the module
has the same folder, which is emptied before it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path


class Kept:
    """A folder for one test after the other, and a copy of what the first of them made there."""

    def __init__(self, beside: Path) -> None:
        """Use two folders in `beside`."""
        self._folder, self._copy = beside / "now", beside / "kept"

    def emptied(self) -> Path:
        """Return the folder, with nothing in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        return self._folder

    def put(self, make: Callable[[], object]) -> None:
        """Put back what `make` made in the folder once; call it if that was not yet."""
        if self._copy.exists():
            shutil.rmtree(self._folder)
            shutil.copytree(self._copy, self._folder, symlinks=True)
        else:
            make()
            shutil.copytree(self._folder, self._copy, symlinks=True)
