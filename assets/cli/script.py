"""The process of the script `sms-delivery`: set up for one command, and ended with it."""

import gc
import os

import click

from assets.cli.main import main

OBJECTS_BEFORE_COLLECTION = 50_000
"""New objects that make the garbage collector look: imports alone make 280,000, which all stay, and at Python's 700 are
walked through again and again. With the end below that is a quarter of the time of a small run."""


def run_command() -> None:
    """Run the command of the arguments and end the process with its status.

    The process is ended as soon as all is said, without taking apart the objects in it, as mypy does it: Python would
    spend half a second on that. Nothing waits for it: commands close their files, connections and threads themselves.
    An error that no command expects ends as Python ends it.
    """
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            click.echo(nl=False)  # writes what the streams still hold; there may be no stream
            click.echo(nl=False, err=True)
            os._exit(end.code)
        raise
