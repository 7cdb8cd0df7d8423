"""The ids of messages whose number was erased: later answers for them are stored without a number.

A file of the lake. The ids name nobody by themselves; numbers and hashes of numbers are not kept.
"""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from pipeline.lake.lake import Lake

FILE: Final = "forgotten.json"
MessageKey = tuple[str, str]
"""app_id and msg_id."""


def forgotten_messages(lake: Lake) -> AbstractSet[MessageKey]:
    """Return the messages whose number was erased."""
    path = _path(lake)
    return {(app_id, msg_id) for app_id, msg_id in json.loads(path.read_text("utf-8"))} if path.is_file() else set()


def note_forgotten(lake: Lake, messages: AbstractSet[MessageKey]) -> None:
    """Add messages to those whose number was erased."""
    with lake.lock("forget"):
        everything = sorted(forgotten_messages(lake) | messages)
        path = _path(lake)
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps(everything), "utf-8")
        beside.chmod(lake.mode)
        beside.replace(path)


def _path(lake: Lake) -> Path:
    return lake.folder / FILE
