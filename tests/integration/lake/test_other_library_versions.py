"""A lake under the versions of deltalake and DuckDB before and after the pinned ones, where an index has them.

Belongs here: that each reads what the other wrote, both ways. Does not: lakes of earlier versions of this project
(`test_lakes_of_earlier_versions.py`, which is also run with the other library).
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.places import Place, still_place
from tests.support.processes import UNDISTURBED_SQL, assert_whole

pytestmark = pytest.mark.thorough
COMMAND = "from assets.cli.main import main; main()"
SECONDS = 600


def minor(library: str) -> str:
    """Return the first two parts of the installed version."""
    return ".".join(version(library).split(".")[:2])


OTHERS = [f"{library}{wanted}" for library in ("deltalake", "duckdb") for wanted in (f"<{minor(library)}", "")]
OTHERS = [other if "<" in other else f"{other}>{version(other)}" for other in OTHERS]


@pytest.fixture(params=OTHERS)
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Install another version of a library beside the pinned one; return its folder."""
    folder = tmp_path / "library"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*pip, "--target", folder, request.param], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    if done.returncode:
        pytest.skip(f"{request.param} can't be installed: {done.stderr.strip().splitlines()[-1]}")
    library = request.param.partition("<")[0].partition(">")[0]
    used = run_with(folder, "-c", f"import {library}; print({library}.__version__, {library}.__file__)").split()
    assert used[0] != version(library)
    assert Path(used[1]).is_relative_to(folder)
    return folder


def run_with(folder: Path, *arguments: str) -> str:
    """Run Python with the libraries of a folder before all others; return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(folder)}  # noqa: TID251 - the process inherits it
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_there(place: Place, folder: Path) -> None:
    """Run the pipeline in a place with the libraries of a folder.

    DuckDB 1.5 has no triggers that could be looked for in the published file, so that there is no page: 2.0 is needed.
    """
    process = place.start(sys.executable, "-c", COMMAND, "run", PYTHONPATH=str(folder))
    output = "".join(process.communicate(timeout=SECONDS))
    assert process.returncode == 0 or "duckdb_triggers" in output.splitlines()[-1], output


def test_each_reads_and_goes_on_with_what_the_other_wrote(other: Path, tmp_path: Path) -> None:
    with still_place(tmp_path, messages=600, batch=50) as (place, answers):
        run_there(place, other)
        place.run("run")
        assert_whole(place, answers)
        published = place.query(UNDISTURBED_SQL)
        place.run("rebuild")
        run_there(place, other)
        place.run("publish")
        assert place.query(UNDISTURBED_SQL) == published


def test_lakes_of_earlier_versions_open_with_it(other: Path) -> None:
    here = Path(__file__).with_name("test_lakes_of_earlier_versions.py")
    said = run_with(other, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "slow", str(here))
    assert " passed" in said
