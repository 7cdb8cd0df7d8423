"""The end of the process of `sms-delivery`: quick, with its status and all its output."""

import subprocess
import sys

import pytest

from pipeline.model.settings import environment_with

RUN = """
import atexit, sys
import assets.cli.script
def main():
    atexit.register(print, "taken apart")
    sys.stdout.write("unflushed")
    {end}
assets.cli.script.main = main
assets.cli.script.run_command()
"""


@pytest.mark.parametrize("status", [0, 1, 2])
def test_the_process_ends_quickly_with_its_status_and_all_output(status: int) -> None:
    ended = _run(f"sys.exit({status})")
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "unflushed", "")


def test_an_unexpected_error_ends_the_process_as_python_does() -> None:
    ended = _run("raise LookupError('a bug')")
    assert ended.returncode == 1
    assert ended.stdout == "unflushedtaken apart\n"
    assert ended.stderr.endswith("LookupError: a bug\n")


def test_objects_of_the_imports_are_never_scanned_for_garbage() -> None:
    ended = _run("import gc; gc.collect(); print(gc.get_freeze_count() > len(gc.get_objects()), gc.get_threshold()[0])")
    assert ended.stdout.splitlines()[0] == "unflushedTrue 50000"


def test_garbage_of_the_run_is_collected() -> None:
    made = "import gc, weakref; class_ = type('Loop', (), {}); gc.collect(); one = class_(); one.itself = one"
    ended = _run(f"{made}; seen = weakref.ref(one); del one; gc.collect(); print(seen())")
    assert ended.stdout.splitlines()[0] == "unflushedNone"


def _run(end: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN.format(end=end)]
    buffered = environment_with({"PYTHONUNBUFFERED": ""})
    return subprocess.run(command, env=buffered, capture_output=True, text=True, check=False)
