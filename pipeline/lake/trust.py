"""Whether others can change a lake: owner and mode of what is read as trusted, and of what links in it lead to.

Belongs here: which entries are looked at, and paths in Delta logs that lead out of the lake. Does not: the rule
(`model/trusted.py`), damage (`damage.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISLNK
from typing import Final

from pipeline.model.errors import SettingsError
from pipeline.model.trusted import check_trusted, why_untrusted

_ENTRIES: Final = ("*", "_marks/*", "_moves/*", "_versions/*", "*/_delta_log", "*/_delta_log/*")


def check_lake(folder: Path, *, mode: int) -> None:
    """Check that nobody can change the lake but its owner, and those whom `mode` lets write.

    Raises:
        SettingsError: others can; names the first such file or folder.
    """
    check_trusted(folder, "SMS_LAKE", shared=mode)
    for pattern in _ENTRIES:
        for path in folder.glob(pattern):
            _check(path, mode)


def check_data_files(paths: Iterable[Path], *, folder: Path, mode: int, known: set[Path]) -> None:
    """Check data files of a table in a folder and the folders of their days, before they are read.

    Args:
        paths: as the Delta log names them.
        folder: of the table.
        mode: the write bits that others may have.
        known: those that were checked before; the others are added.

    Raises:
        SettingsError: one leads out of the table's folder, or others can change it.
    """
    for path in paths:
        if path in known:
            continue
        if not path.is_relative_to(folder) or ".." in path.parts or ":/" in str(path.relative_to(folder)):
            raise SettingsError(
                f"SMS_LAKE: the Delta log in {folder} names {path}, which is not in it; is it your lake?"
            )
        for place in (path.parent, path):
            if place not in known:
                _check(place, mode)
                known.add(place)


def _check(path: Path, mode: int) -> None:
    """Check a file or folder; of a link also where it leads, and the folder that this is in.

    A link of another user is refused, whatever the group may write: what it leads to could be read or deleted.
    """
    with contextlib.suppress(FileNotFoundError):  # a log entry that was staged, or a file that is said to be missing
        state = path.lstat()
        is_link = S_ISLNK(state.st_mode)
        if why := why_untrusted(state, shared=0 if is_link else mode):
            raise SettingsError(f"SMS_LAKE: {path} {why}")
        if is_link:
            target = path.resolve()
            for place in (target.parent, target):
                if why := why_untrusted(place.stat(), shared=mode):
                    raise SettingsError(f"SMS_LAKE: {path} leads to {target}, and {place} {why}")
