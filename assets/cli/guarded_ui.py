"""Dagster's own commands behind the guard: `python -m assets.cli.guarded_ui dev …` is `dagster dev …`.

Belongs here: the two processes that have to know of the guard. Does not: its rule (`guard.py`).
"""

from __future__ import annotations

import sys
from functools import partial

from assets.cli.guard import guarded
from assets.internals import GUARDED_UI, run_dev, run_webserver


def _host(arguments: list[str]) -> str:
    """Return the address that Dagster's webserver is told to listen on."""
    return arguments[arguments.index("--host") + 1]


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    sys.argv = [GUARDED_UI, *rest]
    if command == "dev":
        run_dev(rest)
    else:
        run_webserver(partial(guarded, host=_host(rest)))
