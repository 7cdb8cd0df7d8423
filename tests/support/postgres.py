"""A PostgreSQL server of its own on a free port of the loopback, and instances of Dagster that are stored in it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg
import sqlalchemy as sa

START_SECONDS: Final = 60.0
USER: Final = "postgres"
"""Who the server runs as where the tests run as root, which it refuses; Debian's package makes this account."""


def binaries() -> Path | None:
    """Return the folder of the newest server that is installed, None without one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def running_postgres() -> Iterator[str]:
    """Give the address of a new, empty server that ends with the block."""
    programs, user = binaries(), USER if os.geteuid() == 0 else None
    assert programs is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        if user:
            shutil.chown(folder, user)
        place = Path(folder, "server")
        command = [
            str(programs / "initdb"),
            "-D",
            str(place),
            "-U",
            "tests",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)
        options = ["-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]  # -F: without waiting for the disk
        with (
            tempfile.TemporaryFile() as log,
            subprocess.Popen(
                [programs / "postgres", "-D", place, *options], user=user, cwd=folder, stdout=log, stderr=log
            ) as server,
        ):
            try:
                address = f"postgresql+psycopg2://tests@127.0.0.1:{port}"
                _wait(f"{address}/postgres", server)
                yield address
            finally:
                server.send_signal(signal.SIGINT)  # ends sessions, too
                server.wait(START_SECONDS)


def _wait(database: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            execute(database, "SELECT 1")
        except sa.exc.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"PostgreSQL does not answer at {database}")


def execute(database: str, statement: str, **values: object) -> None:
    """Run a statement outside a transaction."""
    engine = sa.create_engine(database, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(statement), values)


@contextmanager
def instance_in(address: str, folder: Path, *, more: str = "") -> Iterator[tuple[dg.DagsterInstance, str]]:
    """Give an instance of Dagster in a new database of a server, and the database's address; `more` is of its YAML."""
    database = f"dagster_{uuid.uuid4().hex}"
    execute(f"{address}/postgres", f"CREATE DATABASE {database}")
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nstorage: {{postgres: {{postgres_url: '{address}/{database}'}}}}\n{more}"
    )
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance, f"{address}/{database}"
