"""The command in a process of its own, without the two seconds that importing Dagster takes each time.

A server imports what the command needs, once for each process of tests, and is forked for each run: before that it
has used neither DuckDB nor Delta, whose runtime does not survive a fork. What is killed or told signals by a test is
started by its path instead.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

LONGEST_SECONDS: Final = 120
_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["assets.cli.main", "assets.cli.demo", "assets.cli.run"])


def run_command(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `sms-delivery` with these arguments in a folder to its end; what it says is no terminal's."""
    with tempfile.TemporaryDirectory() as scratch:
        said = [Path(scratch, name) for name in ("in", "out", "err")]
        for path in said:
            path.write_text((given or "") if path.name == "in" else "", "utf-8")
        process = _FORKS.Process(target=_run, args=(tuple(arguments), folder, dict(environment), said))
        process.start()
        process.join(LONGEST_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), LONGEST_SECONDS, *(p.read_bytes() for p in said[1:]))
        _, out, err = (path.read_text("utf-8") for path in said)
        return subprocess.CompletedProcess(list(arguments), process.exitcode, out, err)


def _run(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], said: Sequence[Path]) -> None:
    """Be the command: its folder, environment, arguments and standard streams."""
    os.chdir(folder)
    os.environ.clear()  # noqa: TID251 - the command reads it
    os.environ.update(environment)  # noqa: TID251 - as above
    for number, path in enumerate(said):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - multiprocessing put /dev/null there
    sys.argv = ["sms-delivery", *arguments]
    from assets.cli.main import main  # noqa: PLC0415 - the server has it, the process of the tests does not need it

    main()
