"""Files that appear whole: written under a temporary name beside their place, synced, then renamed.

Belongs here: temporary names and their removal. Does not: what is written.
"""

from __future__ import annotations

import glob
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.lake.durable import make_folder, sync_file, sync_folder


@contextmanager
def written_whole(path: Path, *, mode: int) -> Iterator[Path]:
    """Give a temporary path to write to; when the block ends without an error, the file gets its mode and is renamed.

    Readers find the old file or the new one, after a power cut, too. Nothing is left beside it, whether the block fails
    or not.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        temporary.chmod(mode)
        sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        for leftover in (temporary, temporary.with_name(f"{temporary.name}.wal")):
            leftover.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of writers that died. The caller holds a lock, so that none is in use."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*tmp*"):
        leftover.unlink(missing_ok=True)


def replace_text(path: Path, text: str, *, mode: int) -> None:
    """Replace a small text file of the lake. The caller holds a lock."""
    make_folder(path.parent)
    remove_leftovers(path)
    with written_whole(path, mode=mode) as temporary:
        temporary.write_text(text, "utf-8")
