"""Names of networks for the query of `messages`.

What belongs here: making them readable for a connection. What does not: the names (`model/networks.py`).
"""

from __future__ import annotations

import duckdb

from pipeline.model.networks import NETWORKS


def show_networks(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the names of networks readable as `networks`."""
    connection.execute("CREATE OR REPLACE TEMP TABLE networks (network VARCHAR, name VARCHAR)")
    connection.execute("INSERT INTO networks SELECT unnest(?), unnest(?)", [[*NETWORKS], [*NETWORKS.values()]])
