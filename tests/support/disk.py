"""A disk, and when what is written to it is safe: recorded calls replayed onto a model of a file system.

By POSIX, what a file holds is safe once the file was synced, and a name once a folder was synced that it is changed in.

Belongs here: names, files, and which changes are safe since when. Does not: the recording (`syscalls.py`), what a power
cut leaves of changes that are not (`power_cuts.py`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.support.syscalls import Call

_NEVER: Final = 2**62


@dataclass(eq=False)
class Node:
    """A file, a folder or a symbolic link, as it is now: with `content`, `names` or a `target`."""

    mode: int
    target: str = ""
    content: bytearray = field(default_factory=bytearray)
    names: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Name:
    """What a name in a folder means from now on: None if it is deleted. `path` is where it is, for people."""

    folder: Node
    name: str
    node: Node | None
    path: Path


@dataclass(eq=False)
class Change:
    """A change of names, or of the content of a file; it is on the disk from the call `safe_from` on.

    Attributes:
        at: number of the call that made it.
        start: where `written` goes; the new size if nothing is written.
    """

    at: int
    names: tuple[Name, ...] = ()
    file: Node | None = None
    start: int = 0
    written: bytes | None = None
    safe_from: int = _NEVER

    def __str__(self) -> str:
        """Say what is changed."""
        if self.file is None:
            return ", ".join(f"{name.path}{'' if name.node else ' deleted'}" for name in self.names)
        return f"size {self.start}" if self.written is None else f"{len(self.written)} bytes at {self.start}"


@dataclass
class _Opened:
    """A file that is open; without a node it is of no interest."""

    node: Node | None
    position: int = 0
    appends: bool = False

    def take(self, written: bytes) -> int:
        """Return where bytes go that are written now; they move the position."""
        start = len(self.node.content) if self.node and self.appends else self.position
        self.position = start + len(written)
        return start


class Disk:
    """A folder as it was, and all changes since that recorded calls made.

    Attributes:
        calls: number of calls that were replayed.
        changes: in order.
    """

    def __init__(self, root: Path) -> None:
        """Take the folder as it is now, all of it synced; it may be missing."""
        self.calls = 0
        self.changes: list[Change] = []
        self.root = root
        self.above = Node(stat.S_IFDIR)
        self._unsynced: list[Change] = []
        self._opened: dict[int, _Opened] = {}
        self._umask = 0o022
        self._at = root.parent
        if root.is_dir():
            self._name(Name(self.above, root.name, self._load(root), root))
        self._sync(None)

    def _load(self, path: Path) -> Node:
        node = Node(path.lstat().st_mode)
        if path.is_symlink():
            node.target = str(path.readlink())
        elif path.is_dir():
            for entry in sorted(path.iterdir()):
                self._name(Name(node, entry.name, self._load(entry), entry))
        else:
            self._write(node, 0, path.read_bytes())
        return node

    def replay(self, calls: Iterable[Call], *, working_folder: Path) -> None:
        """Do what the calls did that a process in a working folder made."""
        self._at = working_folder
        for call in calls:
            self.calls += 1
            _ACTS.get(call.name, _nothing)(self, call)

    def _name(self, *names: Name) -> None:
        self._add(Change(self.calls, names))
        for each in names:
            if each.node is None:
                each.folder.names.pop(each.name, None)
            else:
                each.folder.names[each.name] = each.node

    def _write(self, file: Node, start: int, written: bytes) -> None:
        self._add(Change(self.calls, file=file, start=start, written=written))
        put(file.content, start, written)

    def _resize(self, file: Node, size: int) -> None:
        self._add(Change(self.calls, file=file, start=size))
        set_size(file.content, size)

    def _add(self, change: Change) -> None:
        self.changes.append(change)
        self._unsynced.append(change)

    def _sync(self, node: Node | None) -> None:
        """Make safe what a file holds or the names in a folder; without a node, all of the disk."""
        unsynced, self._unsynced = self._unsynced, []
        for change in unsynced:
            if node is None or change.file is node or any(name.folder is node for name in change.names):
                change.safe_from = self.calls
            else:
                self._unsynced.append(change)

    def _find(self, path: str, at: bytes = b"AT_FDCWD", *, follow: bool = False) -> Name | None:
        """Look a path up, from an open folder or the working folder on; None if it is of no interest."""
        if at != b"AT_FDCWD" and not path.startswith("/"):
            opened = self._opened[int(at)].node
            return Name(opened, path, opened.names.get(path), Path(path)) if opened else None
        whole = Path(os.path.normpath(self._at / path))
        if whole == self.root.parent:
            return Name(self.above, "", self.above, whole)
        if not whole.is_relative_to(self.root):
            return None
        folder = self.above
        for part in whole.relative_to(self.root.parent).parts[:-1]:
            folder = folder.names[part]
        node = folder.names.get(whole.name)
        if follow and node and stat.S_ISLNK(node.mode):
            return self._find(str(whole.parent / node.target), follow=True)
        return Name(folder, whole.name, node, whole)

    # What each call does

    def _open(self, call: Call) -> None:
        at, path, mode = (0, 1, 3) if call.name == "openat" else (-1, 0, 2)
        found = self._find(call.text(path), call.arguments[at] if at == 0 else b"AT_FDCWD", follow=True)
        node = found.node if found else None
        if found and node is None:
            node = Node(stat.S_IFREG | call.number(mode) & ~self._umask)
            self._name(replace(found, node=node))
        elif node and call.has("O_TRUNC") and node.content:
            self._resize(node, 0)
        self._opened[call.result] = _Opened(node, appends=call.has("O_APPEND"))

    def _duplicate(self, call: Call) -> None:
        if call.name != "fcntl" or call.arguments[1].startswith(b"F_DUPFD"):
            self._opened[call.result] = self._opened.get(call.number(0), _Opened(None))

    def _close(self, call: Call) -> None:
        self._opened.pop(call.number(0), None)

    def _seek(self, call: Call) -> None:
        self._of(call).position = call.result

    def _of(self, call: Call, place: int = 0) -> _Opened:
        return self._opened.get(call.number(place), _Opened(None))

    def _write_next(self, call: Call) -> None:
        opened = self._of(call)
        if opened.node:
            written = call.written(1)[: call.result]
            self._write(opened.node, opened.take(written), written)

    def _write_there(self, call: Call) -> None:
        if node := self._of(call).node:
            self._write(node, call.number(3), call.written(1)[: call.result])

    def _copy(self, call: Call) -> None:
        target, source = self._of(call), self._of(call, 1)
        if target.node:
            assert source.node, "the source was not recorded"
            start = int(call.arguments[2].strip(b"[").partition(b"]")[0])
            written = bytes(source.node.content[start : start + call.result])
            assert len(written) == call.result
            self._write(target.node, target.take(written), written)

    def _truncate(self, call: Call) -> None:
        if node := self._of(call).node:
            self._resize(node, call.number(1))

    def _fsync(self, call: Call) -> None:
        if node := self._of(call).node:
            self._sync(node)

    def _sync_all(self, call: Call) -> None:
        del call
        self._sync(None)

    def _rename(self, call: Call) -> None:
        old, new = self._two(call)
        assert (old is None) == (new is None), "a file comes from or goes to where nothing is recorded"
        if old and new:
            self._name(replace(old, node=None), replace(new, node=old.node))

    def _link(self, call: Call) -> None:
        old, new = self._two(call)
        if new:
            assert old, "a link to a file that was not recorded"
            self._name(replace(new, node=old.node))

    def _two(self, call: Call) -> tuple[Name | None, Name | None]:
        if call.name in {"rename", "link"}:
            return self._find(call.text(0)), self._find(call.text(1))
        return self._find(call.text(1), call.arguments[0]), self._find(call.text(3), call.arguments[2])

    def _symlink(self, call: Call) -> None:
        if new := self._find(call.text(1)):
            self._name(replace(new, node=Node(stat.S_IFLNK | 0o777, target=call.text(0))))

    def _delete(self, call: Call) -> None:
        if found := self._find(*self._path(call)):
            self._name(replace(found, node=None))

    def _make_folder(self, call: Call) -> None:
        if found := self._find(*self._path(call)):
            self._name(replace(found, node=Node(stat.S_IFDIR | call.number(-1) & ~self._umask)))

    def _path(self, call: Call) -> tuple[str, bytes]:
        return (call.text(1), call.arguments[0]) if call.name.endswith("at") else (call.text(0), b"AT_FDCWD")

    def _set_mode(self, call: Call) -> None:
        if call.name == "fchmod":
            node = self._of(call).node
        else:
            path, at = self._path(call)
            found = self._find(path, at, follow=True)
            node = found.node if found else None
        if node:
            node.mode = stat.S_IFMT(node.mode) | call.number(2 if call.name == "fchmodat" else 1)

    def _set_umask(self, call: Call) -> None:
        self._umask = call.number(0)

    def _refuse(self, call: Call) -> None:
        raise AssertionError(f"{call.name} is no part of the model")


def _nothing(disk: Disk, call: Call) -> None:
    """Do nothing for calls that change neither names nor files."""


_ACTS: Final[dict[str, Callable[[Disk, Call], None]]] = {
    name: act
    for names, act in {
        "open openat": Disk._open,
        "dup dup2 dup3 fcntl": Disk._duplicate,
        "close": Disk._close,
        "lseek": Disk._seek,
        "write writev": Disk._write_next,
        "pwrite64 pwritev": Disk._write_there,
        "sendfile": Disk._copy,
        "ftruncate": Disk._truncate,
        "fsync fdatasync": Disk._fsync,
        "sync syncfs": Disk._sync_all,
        "rename renameat renameat2": Disk._rename,
        "link linkat": Disk._link,
        "symlink": Disk._symlink,
        "unlink unlinkat rmdir": Disk._delete,
        "mkdir mkdirat": Disk._make_folder,
        "chmod fchmod fchmodat": Disk._set_mode,
        "umask": Disk._set_umask,
        "chdir fchdir creat pwritev2 copy_file_range truncate fallocate symlinkat": Disk._refuse,
    }.items()
    for name in names.split()
}


def put(content: bytearray, start: int, written: bytes) -> None:
    """Write bytes into a file's content; a hole before them is zeros."""
    if start > len(content):
        content.extend(bytes(start - len(content)))
    content[start : start + len(written)] = written


def set_size(content: bytearray, size: int) -> None:
    """Cut a file's content, or fill it up with zeros."""
    del content[size:]
    content.extend(bytes(size - len(content)))
