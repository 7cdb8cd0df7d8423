"""The entry point `sms-delivery`: prepares the process for one command, and ends it quickly."""

import gc
import os

import click

from assets.cli.main import main

OBJECTS_BEFORE_FIRST = 300_000
"""New objects before the garbage collector first runs: a few more than the 280,000 that the imports of a run make.
These stay, so they are never scanned."""
OBJECTS_BEFORE_COLLECTION = 50_000
"""New objects before it runs again: Python's default of 700 scans what stays again and again."""


def run_command() -> None:
    """Run the command of the arguments and end the process with its status.

    The process ends without freeing its objects, as mypy does it: Python would spend half a second on that. It is safe:
    commands close their files, connections and threads themselves. After an unexpected error Python ends the process.
    """
    gc.set_threshold(OBJECTS_BEFORE_FIRST)
    gc.callbacks.append(_leave_out_what_stays)
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            click.echo(nl=False)  # flushes the stream, if there is one
            click.echo(nl=False, err=True)
            os._exit(end.code)
        raise


def _leave_out_what_stays(*_: object) -> None:
    """Leave what there is by the first collection out of it and of all later ones."""
    gc.callbacks.remove(_leave_out_what_stays)
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
