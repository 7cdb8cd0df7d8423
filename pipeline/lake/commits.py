"""One commit to a table's Delta log, repeated while another writer gets in first.

What belongs here: conflicts between writers. What does not: the files (`lake.py`), the entries (`delta_log.py`).
"""

from __future__ import annotations

import contextlib
import errno
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from deltalake import DeltaTable

from pipeline.lake.copies import copies_of
from pipeline.lake.delta_log import add_action, commit_info, remove_action, transaction_action
from pipeline.lake.durable import sync_folder, sync_new_files
from pipeline.lake.log_entries import LOG, write_entry
from pipeline.lake.snapshots import DataFile, Snapshot
from pipeline.lake.store_errors import StoreError
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.tables import Table

_COMMIT_TRIES: Final = 50
_TRIES: Final = 20
_T = TypeVar("_T")


class StaleSnapshotError(LakeError):
    """Another commit did the same work in the meantime; take a new snapshot and repeat the work."""


def retry(work: Callable[[], _T]) -> _T:
    """Return what `work` returns; call it again while another writer's commit makes its snapshot stale.

    `work` takes its snapshots anew in each call. A commit that fails has deleted the files that it was to add.

    Raises:
        StaleSnapshotError: another writer was faster each time.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(StaleSnapshotError):
            return work()
    return work()


@dataclass(frozen=True)
class Change:
    """What one commit changes.

    Attributes:
        table: the table.
        add: files that were written and are not part of the table.
        remove: files that are.
        transactions: application transactions to record: name to version.
        expected: versions that these transactions must still have.
        data_change: False if the rows stay the same, in other files.
    """

    table: Table
    add: tuple[DataFile, ...] = ()
    remove: tuple[DataFile, ...] = ()
    transactions: Mapping[str, int] = field(default_factory=dict)
    expected: Mapping[str, int | None] = field(default_factory=dict)
    data_change: bool = True


def commit_change(change: Change, handle: DeltaTable, *, folder: Path, newest: Callable[[], Snapshot]) -> int:
    """Commit a change to the table in a folder; return its version. It is on the disk then, its files before its entry.

    `handle` is the table at the version that the change was worked out from; `newest` takes a new snapshot.

    Raises:
        StaleSnapshotError: a transaction was recorded, or a file to remove was removed, in the meantime.
        LakeError: it could not be committed.
        UncertainError: a store does not say whether it was.
    After the first two errors the new files are deleted.
    """
    version = handle.version() + 1
    try:
        sync_new_files((file.path for file in change.add), folder=folder, root=folder.parent)
        if copies := copies_of(folder.parent):
            copies.put(file.path for file in change.add)
        for attempt in range(_COMMIT_TRIES):
            with contextlib.suppress(FileExistsError):
                _write_entry(change, version, folder)
                break
            time.sleep(random.uniform(0, 0.02 * (attempt + 1)))  # noqa: S311 - to separate two writers
            present = newest()
            if _is_stale(change, present):
                raise _deleted(change, StaleSnapshotError(f"{change.table.name} was changed by another run")) from None
            version = present.version + 1
        else:
            raise _deleted(
                change, LakeError(f"{change.table.name} met another writer at each of {_COMMIT_TRIES} tries")
            )
    except OSError as error:
        raise _deleted(change, LakeError(_failed(change, folder, error))) from error
    except StoreError as error:  # not one that leaves open whether the entry is there: then the files must stay
        raise _deleted(change, error) from error
    try:
        sync_folder(folder / LOG)
    except OSError as error:  # the entry is there: its files must stay
        raise LakeError(_failed(change, folder, error)) from error
    return version


def _write_entry(change: Change, version: int, folder: Path) -> None:
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the table's folder has gone", str(folder))
    table = change.table
    actions = [add_action(table, file, folder, data_change=change.data_change) for file in change.add]
    actions += [remove_action(table, file, folder, data_change=change.data_change) for file in change.remove]
    actions += [transaction_action(name, of_version) for name, of_version in change.transactions.items()]
    write_entry(folder, version, [*actions, commit_info(table)])


def _failed(change: Change, folder: Path, error: OSError) -> str:
    return f"{change.table.name} could not be committed to {folder.parent}: {error}"


def _is_stale(change: Change, present: Snapshot) -> bool:
    moved = any(present.transaction(name) != version for name, version in change.expected.items())
    return moved or not {file.path for file in change.remove} <= {file.path for file in present.files}


def _deleted(change: Change, error: LakeError) -> LakeError:
    """Delete the new files of a change that failed; return the error to raise."""
    for file in change.add:
        file.path.unlink(missing_ok=True)
    if change.add and (copies := copies_of(change.add[0].path.parents[2 if change.table.is_partitioned else 1])):
        with contextlib.suppress(LakeError, SettingsError):  # else the cleaning deletes them
            copies.delete(file.path for file in change.add)
    return error
