"""Names in the Delta log of a table: application transactions are renamed in all of its entries and checkpoints.

Belongs here: rewriting files of the log without changing what they commit. Does not: which names change, and why
(`maintain/forget.py`), commits (`commits.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.atomic import written_whole
from pipeline.lake.copies import copies_of
from pipeline.lake.lake import Lake
from pipeline.lake.log_entries import LOG
from pipeline.model.errors import LakeError
from pipeline.model.tables import Table

Rename = Callable[[str], str]


def rename_transactions(lake: Lake, table: Table, rename: Rename) -> None:
    """Give the application transactions of a table the names that `rename` returns, in every file of its log.

    A file is replaced as a whole, so a reader finds the former names or the new ones; what is committed is the same.

    Raises:
        LakeError: a file can't be read or written.
    """
    log = lake.folder_of(table) / LOG
    if copies := copies_of(lake.folder):
        copies.bring_whole_log(log)
    try:
        for path in sorted(log.glob("*.json")):
            with contextlib.suppress(FileNotFoundError):  # cleaned meanwhile
                _rename_in_entry(path, rename)
        for path in sorted(log.glob("*.checkpoint*.parquet")):
            with contextlib.suppress(FileNotFoundError):
                _rename_in_checkpoint(path, rename)
    except (OSError, pa.ArrowException) as error:
        raise LakeError(f"the Delta log of {table.name} can't be rewritten: {error}") from error


def _rename_in_entry(path: Path, rename: Rename) -> None:
    former = path.read_text("utf-8").split("\n")
    lines = [_renamed_line(line, rename) if '"txn"' in line else line for line in former]
    if lines != former:
        with _in_its_place(path) as temporary:
            temporary.write_text("\n".join(lines), "utf-8")


def _renamed_line(line: str, rename: Rename) -> str:
    action: dict[str, Any] = json.loads(line)
    name = action.get("txn", {}).get("appId")
    if name is None or rename(name) == name:
        return line
    action["txn"]["appId"] = rename(name)
    return json.dumps(action, separators=(",", ":"))


def _rename_in_checkpoint(path: Path, rename: Rename) -> None:
    table = pq.read_table(path)
    if "txn" not in table.column_names:
        return
    former = table["txn"].to_pylist()
    renamed = [action and action | {"appId": rename(action["appId"])} for action in former]
    if renamed != former:
        place = table.column_names.index("txn")
        column = pa.array(renamed, table.schema.field("txn").type)
        with _in_its_place(path) as temporary:
            pq.write_table(table.set_column(place, table.schema.field("txn"), column), temporary)


@contextlib.contextmanager
def _in_its_place(path: Path) -> Iterator[Path]:
    """Replace a file by one of the same mode and age: cleaning goes by its age."""
    state = path.stat()
    with written_whole(path, mode=state.st_mode & 0o777) as temporary:
        yield temporary
        if copies := copies_of(path.parents[2]):
            copies.replace(path, temporary)
        os.utime(temporary, ns=(state.st_atime_ns, state.st_mtime_ns))
