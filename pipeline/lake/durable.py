"""What is on the disk: files and folders synced, so that a power cut can't take back what was said to be done.

Belongs here: `fsync`. Does not: which files make up a change (`commits.py`, `atomic.py`), and their order.

A file's content is on the disk once the file was synced, its name once its folder was. A rename or a link may reach
the disk before the content does: so a file is synced before it gets its name.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What file systems say that keep no folders of their own, such as mounted Windows shares."""


def sync_file(path: Path) -> None:
    """Return once the content of a file is on the disk.

    Raises:
        OSError: it is not.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Return once the names in a folder are on the disk: files created, renamed and deleted in it.

    Raises:
        OSError: they are not.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def sync_new_files(paths: Iterable[Path], *, folder: Path, root: Path) -> None:
    """Return once new files below `folder` are on the disk, with their names and those of all folders up to `root`."""
    new = list(paths)
    for path in new:
        sync_file(path)
    folders = {above for path in (*new, folder / "any") for above in path.parents if above.is_relative_to(root)}
    for above in sorted(folders, reverse=True):
        sync_folder(above)


def make_folder(path: Path) -> None:
    """Create a folder, with those above it, so that it is on the disk."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)
