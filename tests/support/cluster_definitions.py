"""The definitions as workers load them, with a shorter silence after which a run counts as dead."""

from datetime import timedelta
from typing import Final

import dagster as dg

from assets.definitions import build_definitions

DEAD_AFTER: Final = timedelta(seconds=15)


@dg.definitions
def defs() -> dg.Definitions:
    ours = build_definitions(dead_after=DEAD_AFTER)
    return dg.Definitions.merge(ours, dg.Definitions(executor=dg.in_process_executor))
