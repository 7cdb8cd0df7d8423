"""The library: from sent logs to delivery rates. It knows no orchestrator.

What belongs here: protocol, client, logs, lake, publication. What does not:
anything of Dagster and the command line (see `assets`).
"""

__version__ = "0.1.0"
