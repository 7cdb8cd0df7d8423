"""Commands that start no run don't wait for Dagster."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["assets.cli.main", "assets.cli.operations"])
def test_commands_without_a_run_import_no_dagster(module: str) -> None:
    code = f"import sys, {module}; print('dagster' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
