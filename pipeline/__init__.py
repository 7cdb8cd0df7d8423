"""The library: from sent logs to delivery rates. It knows no orchestrator.

What belongs here: protocol, client, logs, lake, publication. What does not:
anything of Dagster and the command line (see `assets`).
"""

import os

__version__ = "0.1.0"

# What Arrow frees goes back to the system: its own allocators kept 100 MB more of a run over a million messages.
# Arrow looks once, when it is first used.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # noqa: TID251 - nothing is read
