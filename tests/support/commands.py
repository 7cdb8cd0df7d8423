"""Run the command in its own process, without the two seconds that importing Dagster takes each time.

A server imports what the command needs, once per test process, and is forked for each run. It has used neither DuckDB
nor Delta, whose runtime does not survive a fork. Processes that a test kills or signals are started by path instead
(`processes.py`).
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
_FORKS.set_forkserver_preload(["assets.cli.main", "assets.cli.demo", "assets.cli.run", "assets.cli.operations"])


def run_command(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `sms-delivery` in a folder to its end; its streams are files, not a terminal."""
    with tempfile.TemporaryDirectory() as scratch:
        streams = [Path(scratch, name) for name in ("in", "out", "err")]
        for path in streams:
            path.write_text((given or "") if path.name == "in" else "", "utf-8")
        process = _FORKS.Process(target=_run, args=(tuple(arguments), folder, dict(environment), streams))
        process.start()
        process.join(LONGEST_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), LONGEST_SECONDS, *(p.read_bytes() for p in streams[1:]))
        _, out, err = (path.read_text("utf-8") for path in streams)
        return subprocess.CompletedProcess(list(arguments), process.exitcode, out, err)


def _run(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], streams: Sequence[Path]) -> None:
    """Run the command with its folder, environment, arguments and standard streams, in the forked process."""
    os.chdir(folder)
    os.environ.clear()  # noqa: TID251 - the command reads it
    os.environ.update(environment)  # noqa: TID251 - as above
    for number, path in enumerate(streams):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - multiprocessing put /dev/null there
    sys.argv = ["sms-delivery", *arguments]
    from assets.cli.main import main  # noqa: PLC0415 - only the forked process needs it

    main()
