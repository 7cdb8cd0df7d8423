"""Lines that commands print: the one way to a terminal.

Belongs here: what every line goes through. Does not belong here: bars (`phases.py`), what lines say.
"""

from __future__ import annotations

import click

from pipeline.model.printable import printable_lines


def say(text: object, *, err: bool = False) -> None:
    """Print text and a line break; names in it that a terminal would act on are escaped."""
    click.echo(printable_lines(text), err=err)
