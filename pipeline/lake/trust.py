"""Whether others can change a lake: owner and mode of its folder, of the small files in it, and of the Delta logs.

Belongs here: which entries are looked at. Does not: the rule (`model/trusted.py`), the data files, whose folders are.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from pipeline.model.errors import SettingsError
from pipeline.model.trusted import check_trusted, why_untrusted


def check_lake(folder: Path, *, mode: int) -> None:
    """Check that nobody can change the lake but its owner, and those whom `mode` lets write.

    Raises:
        SettingsError: others can; names the first such file or folder.
    """
    check_trusted(folder, "SMS_LAKE", shared=mode)
    for pattern in ("*", "*/_delta_log", "*/_delta_log/*"):
        for path in folder.glob(pattern):
            with contextlib.suppress(FileNotFoundError):  # a log entry that was staged
                if why := why_untrusted(path.lstat(), shared=mode):
                    raise SettingsError(f"SMS_LAKE: {path} {why}")
