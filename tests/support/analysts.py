"""An analyst's Python: an environment of its own with an older DuckDB and its extension for buckets.

DuckDB here has no such extension on PyPI. The environment is made once, in this clone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from filelock import FileLock

ENVIRONMENT: Final = Path(__file__).parents[2] / ".venv-analyst"
PACKAGES: Final = ("duckdb==1.5.5", "duckdb-extension-httpfs==1.5.5")
OPENED: Final = """
import json, pathlib, duckdb, duckdb_extension_httpfs
(EXTENSION,) = pathlib.Path(duckdb_extension_httpfs.__path__[0]).rglob("httpfs.duckdb_extension")
def opened(place):
    known = json.loads(place)
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"LOAD '{EXTENSION}'")
    connection.execute(known["secret"])
    (url,) = connection.sql(f"SELECT max(file) FROM glob('{known['url']}/*/analytics.duckdb')").fetchone()
    connection.execute(f"ATTACH '{url}' AS analytics (READ_ONLY)")
    connection.execute("USE analytics")
    return connection
"""
"""What docs/connecting.md says; the extension is loaded from its package, since a test installs nothing else."""


def analyst_python() -> str:
    """Return the Python of the environment, which is made if it is not there.

    The test is skipped where the packages can't be had.
    """
    python, made = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "installed"
    with FileLock(f"{ENVIRONMENT}.lock"):
        if not made.exists():
            subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
            install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PACKAGES]
            done = subprocess.run(install, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no environment of an analyst: pip can't install {', '.join(PACKAGES)}")
            made.touch()
    return str(python)
