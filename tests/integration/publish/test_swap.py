"""The published path is a link to the newest version: no connection sees two, and old versions go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb
import pytest

from pipeline.publish.swap import KEPT_SECONDS, remove_old_versions, swapped_in

CONNECT: Final = """
import sys, duckdb
print("connecting", flush=True)
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print(connection.execute("SELECT version FROM info").fetchall())
"""
READER: Final = """
import json, sys, duckdb
errors = []
print("reading", flush=True)
for _ in range(int(sys.argv[2])):
    try:
        with duckdb.connect(sys.argv[1], read_only=True, config={"threads": 1}) as connection:
            tables = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall()[0][0]
            (version,), = connection.execute("SELECT version FROM info").fetchall()
            if tables != 1 + version:
                errors.append(f"version {version} with {tables} tables")
    except Exception as error:
        errors.append(str(error))
print(json.dumps(errors), flush=True)
"""
OPENING_SECONDS: Final = 0.3


def make(path: Path, version: int) -> None:
    """Make a file whose blocks lie elsewhere than those of any other version."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS made (STORAGE_VERSION 'v1.0.0')")
        connection.execute(f"CREATE TABLE made.info AS SELECT {version} AS version")
        for table in range(version):
            connection.execute(f"CREATE TABLE made.t{table} AS SELECT range AS a FROM range(50_000)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "analytics.duckdb"


def put(path: Path, version: int) -> Path:
    """Swap a version in; return its folder."""
    path.parent.mkdir(exist_ok=True)
    with swapped_in(path, mode=0o440) as new:
        make(new, version)
    return path.resolve().parent


def rename(path: Path, version: int) -> None:
    """Put a version in place as it was done before there was a link."""
    temporary = path.with_name("new")
    make(temporary, version)
    temporary.replace(path)


def put_half(path: Path) -> None:
    with swapped_in(path, mode=0o440) as new:
        new.write_bytes(b"half a file")
        raise OSError("disk full")


def version_in(path: Path) -> int:
    with duckdb.connect(path, read_only=True) as connection:
        version: int = connection.execute("SELECT version FROM info").fetchall()[0][0]
    return version


def folders(path: Path) -> set[Path]:
    return set(path.with_name(f".{path.name}").iterdir())


def grow_old(version: Path) -> None:
    os.utime(version, (time.time() - KEPT_SECONDS,) * 2)


def test_a_connection_names_its_database_after_the_path_and_not_after_the_version(path: Path) -> None:
    put(path, 1)
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("SELECT version FROM analytics.info").fetchall() == [(1,)]


def test_the_link_holds_when_the_folder_is_moved(path: Path) -> None:
    put(path, 1)
    moved = path.parent.rename(path.parent.with_name("moved")) / path.name
    assert version_in(moved) == 1
    assert version_in(Path(shutil.copy(moved, moved.with_name("copy.duckdb")))) == 1


def test_a_file_that_is_no_link_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    make(path, 1)
    put(path, 2)
    assert version_in(path) == 2


def test_the_version_before_stays_for_a_while_and_then_goes(path: Path) -> None:
    first, second = put(path, 1), put(path, 2)
    assert folders(path) == {first, second}
    grow_old(first)
    grow_old(second)  # it is the present one until the next is there
    third = put(path, 3)
    assert folders(path) == {second, third}


def test_cleaning_leaves_the_present_version_however_old(path: Path) -> None:
    first, second = put(path, 1), put(path, 2)
    grow_old(first)
    grow_old(second)
    remove_old_versions(path)
    assert folders(path) == {second}
    assert version_in(path) == 2


def test_old_versions_go_at_once_where_they_must_and_an_open_connection_reads_on(path: Path) -> None:
    put(path, 1)
    with duckdb.connect(path, read_only=True) as connection:
        second = put(path, 2)
        remove_old_versions(path, at_once=True)
        assert folders(path) == {second}
        assert connection.execute("SELECT version FROM info").fetchall() == [(1,)]


def test_a_version_that_can_t_be_written_leaves_the_one_before(path: Path) -> None:
    first = put(path, 1)
    with pytest.raises(OSError, match="disk full"):
        put_half(path)
    assert folders(path) == {first}
    assert version_in(path) == 1


def test_a_link_to_nowhere_is_replaced(path: Path) -> None:
    shutil.rmtree(put(path, 1))
    put(path, 2)
    assert version_in(path) == 2


def can_trace() -> bool:
    strace = shutil.which("strace")
    return strace is not None and subprocess.run([strace, "-o", os.devnull, "true"], check=False).returncode == 0


def connect_slowly(path: Path, opened: Path, swap: Callable[[Path, int], object]) -> tuple[int, str]:
    """Connect in a process that waits before each opening of a file; meanwhile swap version after version in.

    Returns:
        The exit status of the process and what it found.
    """
    delay = ["-P", str(opened), "-e", "trace=openat", "-e", f"inject=openat:delay_enter={int(OPENING_SECONDS * 1e6)}"]
    command = ["strace", "-f", "-o", os.devnull, *delay, sys.executable, "-c", CONNECT, str(path)]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.readline() == "connecting\n"
        version = 1
        while process.poll() is None:
            time.sleep(OPENING_SECONDS / 2)
            version += 1
            swap(path, version)
        return process.returncode, process.stdout.read().strip()


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs strace, and leave to trace")
def test_a_connection_that_takes_its_time_between_openings_sees_one_version(path: Path) -> None:
    version = put(path, 1)
    assert connect_slowly(path, version / path.name, put) == (0, "[(1,)]")
    assert len(folders(path)) > 3  # swapped in while it connected


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="needs strace, and leave to trace")
def test_a_renamed_file_shows_such_a_connection_two_versions(path: Path) -> None:
    """The reason for the link: once this test is red, DuckDB opens the path once, and renaming is enough."""
    path.parent.mkdir()
    assert any(status for _ in range(50) for status in [connect_to_renamed(path)])


def connect_to_renamed(path: Path) -> int:
    path.unlink(missing_ok=True)
    make(path, 1)
    return connect_slowly(path, path, rename)[0]


@pytest.mark.slow
@pytest.mark.parametrize("connections", [3_000, pytest.param(100_000, marks=pytest.mark.thorough)])
def test_no_connection_of_thousands_fails_while_versions_are_swapped_in(
    connections: int, path: Path, tmp_path: Path
) -> None:
    sources = [tmp_path / f"{number}.duckdb" for number in range(2)]
    for number, source in enumerate(sources):
        make(source, number)

    def put_quickly(version: int) -> None:
        with swapped_in(path, mode=0o440) as new:
            new.hardlink_to(sources[version % 2])

    path.parent.mkdir()
    put_quickly(0)
    command = [sys.executable, "-c", READER, str(path), str(connections // 2)]
    readers = [subprocess.Popen(command, text=True, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout
            assert reader.stdout.readline()
        swaps = 0
        while any(reader.poll() is None for reader in readers):
            swaps += 1
            put_quickly(swaps)
        told = [json.loads(reader.communicate()[0]) for reader in readers]
    finally:
        for reader in readers:
            reader.kill()
    assert told == [[], []]
    assert swaps >= connections // 10
