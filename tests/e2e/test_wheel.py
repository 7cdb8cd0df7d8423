"""The wheel holds what runs need: every module, query, template and text of the two packages."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.support.wheels import ROOT, built_wheel


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(tmp_path: Path) -> None:
    names = zipfile.ZipFile(built_wheel(tmp_path)).namelist()
    held = {name for name in names if ".dist-info/" not in name}
    present = {
        path.relative_to(ROOT).as_posix()
        for package in ("pipeline", "assets")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == present
    assert any(name.endswith(".sql") for name in held)
    assert any(name.endswith("entry_points.txt") for name in names)
