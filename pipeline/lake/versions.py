"""The newest version known of each table, and its rows: a log that lost its end or an entry is noticed by them.

Belongs here: the notes (`_versions/TABLE.json`). Does not: what is wrong with a log that they don't fit (`damage.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from pipeline.lake.atomic import remove_leftovers, replace_text
from pipeline.lake.copies import copies_of
from pipeline.lake.locks import SharedFolder
from pipeline.lake.snapshots import Snapshot
from pipeline.model.errors import LakeError
from pipeline.model.tables import LAKE_TABLES, Table

VERSIONS: Final = "_versions"


@dataclass(frozen=True)
class Noted:
    """A version of a table that was committed, and its rows."""

    version: int
    rows: int


def noted(lake: SharedFolder, table: Table) -> Noted | None:
    """Return the note of a table; None for a lake of an earlier version, and in a bucket, which loses no end of a log.

    Raises:
        LakeError: the note can't be read.
    """
    if copies_of(lake.folder):
        return None
    path = lake.folder / VERSIONS / f"{table.name}.json"
    try:
        return Noted(**json.loads(path.read_text("utf-8"))) if path.is_file() else None
    except (ValueError, TypeError) as error:
        raise LakeError(f"{path} is damaged; delete it, then run `sms-delivery doctor`") from error


def note_commit(
    lake: SharedFolder, table: Table, version: int, *, more_rows: int, newest: Callable[[], Snapshot]
) -> None:
    """Note a version that was just committed, unless a later one is noted.

    `more_rows` is what the commit added; `newest` takes a snapshot, for where other commits came between.
    """
    if copies_of(lake.folder):
        return
    with lake.lock(VERSIONS):
        former = noted(lake, table)
        if former and former.version >= version:
            return
        if former and former.version == version - 1:
            now = Noted(version, former.rows + more_rows)
        else:
            snapshot = newest()
            now = Noted(snapshot.version, snapshot.rows)
        note_version(lake, table, now)


def note_version(lake: SharedFolder, table: Table, now: Noted) -> None:
    """Replace the note of a table. The caller holds the lock of the notes, or is alone."""
    replace_text(lake.folder / VERSIONS / f"{table.name}.json", json.dumps(asdict(now)), mode=lake.mode)


def clear_notes(lake: SharedFolder) -> None:
    """Delete notes that a dead process did not finish."""
    with lake.lock(VERSIONS):
        for table in LAKE_TABLES:
            remove_leftovers(lake.folder / VERSIONS / f"{table.name}.json")
