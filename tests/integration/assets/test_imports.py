"""What starting a command imports."""

from __future__ import annotations

import subprocess
import sys


def test_what_is_heavy_is_imported_where_it_is_used() -> None:
    heavy = ("pandas", "phonenumbers")
    code = f"import sys, assets.cli.run; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
