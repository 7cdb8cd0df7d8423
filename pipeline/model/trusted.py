"""Files and folders whose content is trusted: owner and mode are checked before anything is read.

Belongs here: who else may write something, and reading a small file that nobody else may write. Does not: what such a
file says (`env_file.py`, `accounts.py`), which files a lake has (`lake/trust.py`).

Trusted is what belongs to us or to root and is writable by no one else. A group of one user alone, as systems with
umask 002 give to each user, counts as the user. Group root does not: containers give it to users of any number.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from pathlib import Path
from typing import Final

from pipeline.model.errors import SettingsError

MOST_BYTES: Final = 1 << 20
"""A larger file holds no settings."""
_ROOT: Final = 0


def why_untrusted(state: os.stat_result, *, shared: int = 0) -> str | None:
    """Return why others can change a file or folder, and what to do; None if they can't.

    Args:
        state: of the file or folder; a link is judged by its owner alone.
        shared: write bits that the operator gave to others (`SMS_FILE_MODE`); with the group's bit, owners that share
            one of our groups are trusted, too.
    """
    is_shared = bool(shared & stat.S_IWGRP) and state.st_gid in {os.getegid(), *os.getgroups()}
    if state.st_uid not in {os.geteuid(), _ROOT} and not is_shared:
        owner, we = user_name(state.st_uid), user_name(os.geteuid())
        return f"belongs to user {owner}, but this is user {we}; chown it, or remove it"
    open_to = 0 if stat.S_ISLNK(state.st_mode) else state.st_mode & (stat.S_IWGRP | stat.S_IWOTH) & ~shared
    if open_to & stat.S_IWOTH:
        return "can be changed by every user; chmod go-w it"
    if open_to and not _is_private(state.st_gid):
        return f"can be changed by group {_group(state.st_gid)}; chmod g-w it"
    return None


def check_trusted(path: Path, name: str, *, shared: int = 0) -> None:
    """Check a file or folder that is read as trusted, and the link to it if it is one; a missing one is fine.

    Raises:
        SettingsError: others can change it; begins with `name`.
    """
    for state_of in (path.lstat, path.stat):
        try:
            why = why_untrusted(state_of(), shared=shared)
        except FileNotFoundError:
            return
        if why:
            raise SettingsError(f"{name}: {path} {why}")


def check_owner(path: Path, name: str) -> None:
    """Check that a file or folder is not another user's, unless one of our groups has it, too; a missing one is fine.

    Raises:
        SettingsError: it is; begins with `name`.
    """
    check_trusted(path, name, shared=stat.S_IWGRP | stat.S_IWOTH)


def read_trusted(path: Path, name: str) -> str:
    """Return the text of a small file that nobody else may write; it is checked and read as one and the same file.

    Raises:
        SettingsError: it can't be read, others may write it, or it is no UTF-8 text; begins with `name`.
    """
    try:
        # A FIFO would be waited for without O_NONBLOCK.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123
            state = os.fstat(stream.fileno())
            why = why_untrusted(state) if stat.S_ISREG(state.st_mode) else "is not a regular file"
            content = b"" if why else stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{name}: {path} can't be read: {error.strerror}") from error
    if why or len(content) > MOST_BYTES:
        raise SettingsError(f"{name}: {path} {why or f'is larger than {MOST_BYTES >> 20} MiB'}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:  # its message would quote bytes of secrets
        raise SettingsError(f"{name}: {path} is not UTF-8 text; save it as UTF-8") from None


def copy_trusted(source: Path, target: Path, name: str, *, shared: int = 0) -> None:
    """Copy a file that nobody else may write; it is checked and copied as one and the same file.

    Raises:
        SettingsError: others may write it, or it is no regular file; begins with `name`.
        OSError: it can't be read, or the copy can't be written.
    """
    check_trusted(source, name, shared=shared)
    with open(os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123
        state = os.fstat(stream.fileno())
        why = why_untrusted(state, shared=shared) if stat.S_ISREG(state.st_mode) else "is not a regular file"
        if why:
            raise SettingsError(f"{name}: {source} {why}")
        with target.open("wb") as copy:
            shutil.copyfileobj(stream, copy)


def is_private_file(path: Path) -> bool:
    """Say whether a file is ours, without other names, in a folder that we alone may enter; links are not followed."""
    try:
        folder, file = path.parent.lstat(), path.lstat()
    except OSError:
        return False
    is_own = folder.st_uid == file.st_uid == os.geteuid() and file.st_nlink == 1
    are_kinds = stat.S_ISDIR(folder.st_mode) and stat.S_ISREG(file.st_mode)
    return is_own and are_kinds and not (folder.st_mode | file.st_mode) & (stat.S_IRWXG | stat.S_IRWXO)


def is_readable_by_all(path: Path) -> bool:
    """Say whether every user may read a file."""
    return bool(path.stat().st_mode & stat.S_IROTH)


def _is_private(gid: int) -> bool:
    """Say whether a group is that of our user alone: it has the user's name, and no other member."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    is_own = gid == user.pw_gid and group.gr_name == user.pw_name
    return gid != _ROOT and is_own and set(group.gr_mem) <= {user.pw_name}


def user_name(uid: int) -> str:
    """Return the name of a user, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
