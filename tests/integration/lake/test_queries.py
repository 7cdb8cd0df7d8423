"""DuckDB as the use cases get it: its limits, its time zone, lists of states in queries."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.lake.queries import connect, query, rows_of
from pipeline.model.tables import DELIVERY_STATUSES, FINAL_STATUSES

LIMIT = "100MB"


def folder(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def test_each_connection_has_a_database_of_its_own(tmp_path: Path) -> None:
    with connect(memory_limit=LIMIT, scratch=folder(tmp_path, "one")) as one:
        one.execute("CREATE TABLE of_one AS SELECT 1")
        with connect(memory_limit=LIMIT, scratch=folder(tmp_path, "two")) as two:
            assert rows_of(two, "SELECT table_name FROM duckdb_tables()") == []


def test_the_time_zone_of_a_connection_is_utc(tmp_path: Path) -> None:
    with connect(memory_limit=LIMIT, scratch=tmp_path) as connection:
        assert rows_of(connection, "SELECT current_setting('TimeZone')") == [("UTC",)]


@pytest.mark.parametrize(("limit", "counted"), [("100MB", "66.7 MiB"), ("200 MB", "133.5 MiB"), ("0.5GB", "333.7 MiB")])
def test_duckdb_gets_seven_tenths_of_the_memory_limit(tmp_path: Path, limit: str, counted: str) -> None:
    with connect(memory_limit=limit, scratch=tmp_path) as connection:
        assert rows_of(connection, "SELECT current_setting('memory_limit')") == [(counted,)]


def test_parameters_that_a_query_does_not_name_are_left_out(tmp_path: Path) -> None:
    with connect(memory_limit=LIMIT, scratch=tmp_path) as connection:
        assert rows_of(connection, "SELECT $one", {"one": 1, "two": 2}) == [(1,)]


def test_rates_count_every_state_that_tables_py_lists() -> None:
    measures = query("derive/sql/rate_measures")
    assert all(f"delivery_status = '{status}') AS {status}" in measures for status in DELIVERY_STATUSES)


def test_the_final_states_of_a_query_are_those_that_tables_py_lists() -> None:
    assert " + ".join(FINAL_STATUSES) in query("derive/sql/counted_days")
    assert ", ".join(f"'{status}'" for status in FINAL_STATUSES) in query("derive/sql/messages")
