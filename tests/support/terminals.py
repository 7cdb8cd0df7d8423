"""The real command on a pseudo-terminal, and what a person sees there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path
from typing import Final

from tests.support.places import COMMAND, Place

_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_on_terminal(place: Place, *arguments: str, out: Path | None = None, **environment: str) -> tuple[int, str]:
    """Run `sms-delivery` on a terminal of 100 columns to its end; return its status and all that was written to it.

    Args:
        place: where it runs.
        arguments: of the command.
        out: file that its standard output goes to instead.
        environment: settings of this run.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    with (out or Path(os.devnull)).open("wb") as file:
        process = subprocess.Popen(
            [COMMAND, *arguments], cwd=place.folder, stdin=slave, stdout=file if out else slave, stderr=slave,
            env=place.environment | {"TERM": "xterm-256color"} | environment,
        )  # fmt: skip
    os.close(slave)
    written = b""
    try:
        while piece := os.read(master, 65536):
            written += piece
    except OSError:  # Linux says so when the last process has closed its side
        pass
    finally:
        os.close(master)
    return process.wait(), written.decode()


def lines_left(written: str) -> list[str]:
    """Return the lines that stay on the screen: what a bar wrote over is gone, and so are colours."""
    lines: list[str] = [""]
    row = 0
    for piece in re.split(r"(\n|\r|\x1b\[[0-9;?]*[A-Za-z])", written):
        if piece == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d+)A", piece):
            row -= int(up[1])
        elif piece and piece != "\r" and not _CONTROL.fullmatch(piece):
            lines[row] += piece
    return [line for line in lines if line]


def pictures(written: str) -> list[str]:
    """Return each state of each line that was shown, in order, without colours."""
    return [line for line in re.split(r"[\r\n]+", _CONTROL.sub("", written)) if line.strip()]
