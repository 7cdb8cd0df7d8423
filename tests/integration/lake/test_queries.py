"""DuckDB as the use cases get it: bounds, zone, and what one leaves to the next."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipeline.lake.queries import connect, database_kept, rows_of

LIMIT = "100MB"


def folder(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def break_after(statement: str, scratch: Path) -> None:
    with connect(memory_limit=LIMIT, scratch=scratch) as connection:
        connection.execute(statement)
        connection.execute("FROM nothing_of_that_name")


def test_connections_to_a_kept_database_are_to_one_and_leave_nothing(tmp_path: Path) -> None:
    unused = tmp_path / "unused"
    with database_kept(folder(tmp_path, "kept")):
        with connect(memory_limit=LIMIT, scratch=unused) as one:
            one.execute("CREATE TABLE left_behind AS SELECT 1; CREATE TEMP VIEW of_one AS SELECT 1")
            one.execute("SET TimeZone = 'Asia/Kolkata'")
            with connect(memory_limit=LIMIT, scratch=unused) as other:
                assert rows_of(other, "FROM left_behind") == [(1,)], "the same database"
                with pytest.raises(duckdb.CatalogException):
                    other.execute("FROM of_one")
            assert rows_of(one, "FROM left_behind") == [(1,)], "tables go with the last connection"
        with connect(memory_limit=LIMIT, scratch=unused) as after:
            assert rows_of(after, "SELECT table_name FROM duckdb_tables()") == []
            assert rows_of(after, "SELECT current_setting('TimeZone')") == [("UTC",)]
    assert not unused.exists()


def test_a_kept_database_is_given_up_after_an_error_with_all_that_was_attached(tmp_path: Path) -> None:
    attach = f"ATTACH '{tmp_path / 'other.duckdb'}' AS other"
    with database_kept(folder(tmp_path, "kept")):
        with pytest.raises(duckdb.CatalogException):
            break_after(attach, tmp_path)
        with connect(memory_limit=LIMIT, scratch=tmp_path) as connection:
            connection.execute(attach)
            connection.execute("DETACH other")


def test_another_memory_limit_gets_another_database(tmp_path: Path) -> None:
    limits = []
    with database_kept(folder(tmp_path, "kept")):
        for limit in ("100MB", "200MB"):
            with connect(memory_limit=limit, scratch=tmp_path) as connection:
                limits += rows_of(connection, "SELECT current_setting('memory_limit')")
    assert limits == [("66.7 MiB",), ("133.5 MiB",)]


def test_without_a_kept_one_each_connection_has_a_database_of_its_own(tmp_path: Path) -> None:
    with database_kept(folder(tmp_path, "kept")):
        pass
    with connect(memory_limit=LIMIT, scratch=folder(tmp_path, "one")) as one:
        one.execute("CREATE TABLE of_one AS SELECT 1")
        with connect(memory_limit=LIMIT, scratch=folder(tmp_path, "two")) as two:
            assert rows_of(two, "SELECT table_name FROM duckdb_tables()") == []
