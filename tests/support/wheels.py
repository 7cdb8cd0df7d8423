"""The wheel, built from this clone and installed in an environment of its own; no network is needed."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

import dagster as dg

ROOT: Final = Path(__file__).parents[2]
_PIP: Final = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def built_wheel(folder: Path) -> Path:
    """Build the wheel with the hatchling that is installed."""
    command = [*_PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def installed_from_wheel(folder: Path) -> Path:
    """Install the wheel in a new environment, which takes what it depends on from this one; return the command.

    Python does not read the `.pth` files of a folder that a `.pth` file names: this clone is not on its path.
    """
    wheel, environment = built_wheel(folder), folder / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    pip = [*_PIP, "--python", str(python), "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (packages / "libraries.pth").write_text(f"{Path(dg.__file__).parents[1]}\n")
    where = subprocess.run(
        [python, "-c", "import assets, pipeline; print(assets.__file__, pipeline.__file__)"],
        check=True, capture_output=True, text=True, cwd=folder,
    ).stdout.split()  # fmt: skip
    assert all(Path(path).is_relative_to(environment) for path in where), where
    return environment / "bin" / "sms-delivery"
