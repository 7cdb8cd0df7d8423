"""What a power cut leaves of a folder: all that was synced, and of the rest what a disk that forgets may have written.

By POSIX; ext4, XFS and btrfs promise more:
- What a file holds is on the disk once the file was synced. Of each write and truncation since, any may be there: the
  later without the earlier, the beginning of a write, or zeros in its place (the size was written, the blocks not).
- A name (created, linked, renamed, deleted) is on the disk once a folder was synced that it is changed in. Of the
  changes since, any may be there, each as a whole: a rename is there or not. A file that was synced may have no name,
  and a name may lead to a file that is empty.
- A folder whose own name is lost is lost with all that is in it.
- Modes are kept; time and `sync_file_range` promise nothing.

Belongs here: what is left, written to a folder. Does not: which changes are safe (`disk.py`), what must hold then.
"""

from __future__ import annotations

import random
import stat
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.support.disk import Change, Disk, Node, put, set_size

Survives = Callable[[Change], Change | None]
"""What is left of a change that was not synced: all of it, a part or nothing."""


def write_what_is_left(disk: Disk, at: int, survives: Survives) -> list[Change]:
    """Write what a power cut after a number of calls leaves to the disk's folder; return the changes that it lost.

    The folder must be missing.
    """
    names: dict[Node, dict[str, Node]] = defaultdict(dict)
    contents: dict[Node, bytearray] = defaultdict(bytearray)
    lost: list[Change] = []
    for change in disk.changes:
        if change.at > at:
            break
        left = change if change.safe_from <= at else survives(change)
        lost += [change] if left is not change else []
        if left:
            _apply(left, names, contents)
    written: dict[Node, Path] = {}
    for name, node in names[disk.above].items():
        _put_down(node, disk.root.with_name(name), names, contents, written)
    return lost


def _apply(change: Change, names: dict[Node, dict[str, Node]], contents: dict[Node, bytearray]) -> None:
    for each in change.names:
        if each.node is None:
            names[each.folder].pop(each.name, None)
        else:
            names[each.folder][each.name] = each.node
    if change.file and change.written is None:
        set_size(contents[change.file], change.start)
    elif change.file and change.written is not None:
        put(contents[change.file], change.start, change.written)


def _put_down(
    node: Node,
    path: Path,
    names: dict[Node, dict[str, Node]],
    contents: dict[Node, bytearray],
    written: dict[Node, Path],
) -> None:
    if stat.S_ISLNK(node.mode):
        path.symlink_to(node.target)
    elif stat.S_ISDIR(node.mode):
        path.mkdir()
        for name, inner in names[node].items():
            _put_down(inner, path / name, names, contents, written)
        path.chmod(stat.S_IMODE(node.mode))
    elif node in written:
        path.hardlink_to(written[node])
    else:
        path.write_bytes(contents[node])
        path.chmod(stat.S_IMODE(node.mode))
        written[node] = path


def everything(change: Change) -> Change:
    """Lose nothing."""
    return change


def nothing(change: Change) -> None:
    """Lose all that was not synced."""


def names_alone(change: Change) -> Change | None:
    """Lose what files hold, and keep their names: the disk had no time for blocks."""
    return change if change.names else None


def contents_alone(change: Change) -> Change | None:
    """Lose names, and keep what files hold."""
    return change if change.file else None


def some(chance: random.Random) -> Survives:
    """Lose some changes, keep others, and of others a part: writes are cut or become zeros."""
    share = chance.choice([0.1, 0.5, 0.9])

    def survives(change: Change) -> Change | None:
        if chance.random() < share:
            return change
        if not change.written or chance.random() < 0.5:
            return None
        if chance.random() < 0.5:
            return replace(change, written=bytes(len(change.written)))
        return replace(change, written=change.written[: chance.randrange(len(change.written))])

    return survives


def any_of_them(chance: random.Random) -> Survives:
    """Choose how a disk forgets."""
    return chance.choice([nothing, names_alone, contents_alone, some(chance), some(chance), some(chance)])
