"""Small texts of a lake: settings, marks, notes. Files of a folder, or objects of a bucket.

Belongs here: reading, replacing and changing one. Does not: what it says, and locks: the caller holds one, which other
machines do not see. So in a bucket `change_text` repeats its work if another writer was faster, and what is read may be
some seconds old (`copies.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.lake.atomic import replace_text
from pipeline.lake.copies import copies_of
from pipeline.lake.locks import SharedFolder


def read_text(lake: SharedFolder, name: str) -> str | None:
    """Return a text; None if there is none."""
    if copies := copies_of(lake.folder):
        return copies.text(name)
    path = lake.folder / name
    return path.read_text("utf-8") if path.is_file() else None


def write_text(lake: SharedFolder, name: str, text: str) -> None:
    """Replace a text, whatever it says; the last writer wins."""
    if copies := copies_of(lake.folder):
        copies.store.put(name, text.encode())
        copies.forget_text(name)
    else:
        replace_text(lake.folder / name, text, mode=lake.mode)


def change_text(lake: SharedFolder, name: str, work: Callable[[str | None], str], *, mode: int | None = None) -> str:
    """Replace a text by what `work` makes of it, None if there is none; return the new one."""
    if copies := copies_of(lake.folder):
        new = copies.store.change(name, lambda old: work(None if old is None else old.decode()).encode())
        copies.forget_text(name)
        return new.decode()
    text = work(read_text(lake, name))
    replace_text(lake.folder / name, text, mode=lake.mode if mode is None else mode)
    return text


def delete_text(lake: SharedFolder, name: str) -> None:
    """Delete a text; one that is not there is fine."""
    if copies := copies_of(lake.folder):
        copies.store.delete([name])
        copies.forget_text(name)
    else:
        (lake.folder / name).unlink(missing_ok=True)
