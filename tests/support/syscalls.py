"""What a command does to files, recorded by strace: each call with its arguments and all bytes that it writes.

strace sees every call, whoever makes it: Python, the Rust of deltalake, DuckDB, pyarrow. A layer under LD_PRELOAD would
see those alone that go through the C library. Only the calls below stop the process: a filter in the kernel lets the
others pass.

Belongs here: the recording and its lines. Does not: what the calls do to a disk (`disk.py`).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.places import Place

STRACE: Final = Path("/usr/bin/strace")
_TRACED: Final = (
    "open", "openat", "creat", "close", "dup", "dup2", "dup3", "fcntl", "lseek", "chdir", "fchdir", "umask",
    "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range",
    "truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync", "syncfs", "chmod", "fchmod", "fchmodat",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat",
    "mkdir", "mkdirat", "rmdir", "clone", "clone3", "fork", "vfork", "io_uring_setup",
)  # fmt: skip
_LONGEST_SECONDS: Final = 600
_LONGEST: Final = 100_000_000
"""Bytes of a string that are recorded; strace takes no more than some hundred millions."""
_LINE: Final = re.compile(rb"([0-9]+) +(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed>)")
_RESULT: Final = re.compile(rb"\) += (-?[0-9]+|\?)[^)\"]*(?:\([^)\"]*\))?$")
_UNFINISHED: Final = b" <unfinished ...>"
_STRING: Final = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True)
class Call:
    """A call that succeeded.

    Attributes:
        thread: who made it.
        name: of the system call.
        arguments: as strace writes them, in order; strings in hexadecimal.
        result: what it returned.
    """

    thread: int
    name: str
    arguments: tuple[bytes, ...]
    result: int

    def number(self, place: int) -> int:
        """Return an argument that is a number; an octal one begins with 0."""
        text = self.arguments[place]
        return int(text, 8) if re.fullmatch(b"0[0-7]+", text) else int(text)

    def text(self, place: int) -> str:
        """Return an argument that is a path."""
        return self.written(place).decode()

    def written(self, place: int) -> bytes:
        """Return the bytes of an argument: of a string, or of all strings of a list."""
        return b"".join(
            bytes.fromhex(found.replace(b"\\x", b"").decode()) for found in _STRING.findall(self.arguments[place])
        )

    def has(self, flag: str) -> bool:
        """Say whether a flag is among the arguments."""
        return any(flag.encode() in argument.split(b"|") for argument in self.arguments)


def recorded(place: Place, record: Path, *command: str, **environment: str) -> list[Call]:
    """Run a command to its end, which must be a good one; return the calls that it and its threads made."""
    if not STRACE.exists():
        pytest.skip("no strace")
    strace = (
        STRACE,
        "-f",
        "--seccomp-bpf",
        "-xx",
        "-s",
        str(_LONGEST),
        "-o",
        record,
        "-e",
        f"trace={','.join(_TRACED)}",
    )
    process = place.start(*map(str, strace), "-e", "signal=none", *command, **environment)
    try:
        output = process.communicate(timeout=_LONGEST_SECONDS)[1]
    except subprocess.TimeoutExpired:
        with record.open("rb") as lines:
            os.kill(int(lines.readline().split()[0]), signal.SIGKILL)  # strace alone would leave it running
        process.communicate()
        raise
    if process.returncode and "ptrace" in output:
        pytest.skip("no process can be traced here")
    assert process.returncode == 0, output
    with record.open("rb") as lines:
        return list(_own(_calls(lines)))


def _own(calls: Iterator[Call]) -> Iterator[Call]:
    """Leave out what other processes do that the command starts: they write nothing of ours."""
    threads: set[int] = set()
    for call in calls:
        assert call.name != "io_uring_setup", "what is written so is not seen"
        threads = threads or {call.thread}
        if call.thread not in threads:
            continue
        if call.name.startswith("clone") and b"CLONE_THREAD" in b"".join(call.arguments):
            threads.add(call.result)
        yield call


def _calls(lines: Iterator[bytes]) -> Iterator[Call]:
    """Yield calls in the order of their ends, but a close when it begins: then its number may be given away."""
    begun: dict[int, bytes] = {}
    for line in map(bytes.rstrip, lines):
        found = _LINE.match(line)
        if not found:
            continue
        thread, rest = int(found[1]), line[found.end() :]
        if rest.endswith(_UNFINISHED):
            begun[thread] = rest.removesuffix(_UNFINISHED)
            if found[2] == b"close":
                yield Call(thread, "close", (begun[thread],), 0)
            continue
        was_begun = line[found.end() - 1 : found.end()] == b">"
        if was_begun and found[2] == b"close":
            continue
        text = begun.pop(thread, b"") + rest if was_begun else rest
        end = _RESULT.search(text)
        if end and end[1] != b"?" and int(end[1]) >= 0:
            yield Call(thread, found[2].decode(), tuple(_split(text[: end.start()])), int(end[1]))


def _split(text: bytes) -> Iterator[bytes]:
    """Yield the arguments of a call: parts between commas outside of brackets."""
    depth, part = 0, []
    for piece in text.split(b", "):
        part.append(piece)
        depth += sum(piece.count(b) for b in (b"{", b"[")) - sum(piece.count(b) for b in (b"}", b"]"))
        if depth == 0:
            yield b", ".join(part)
            part = []
