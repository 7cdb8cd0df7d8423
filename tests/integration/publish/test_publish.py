"""The published DuckDB file: names, types, comments, atomic swaps, modes, and what analysts can do to it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import DETAIL_TABLES, RATE_TABLES, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from pipeline.publish.database import publish
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 10, 27, 12, 0, 0, 250, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> tuple[Lake, Settings]:
    chosen = given_settings(tmp_path / "it's a place")
    lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded={})
    sent = [Sent(str(number), NOW - timedelta(hours=number), country="IN") for number in range(1, 40)]
    store_sent(lake, sent)
    store_answers(
        lake,
        [(Said(s.msg_id, "delivered", NOW, s.sent_at + timedelta(seconds=9)), s.sent_at.date()) for s in sent[:30]],
    )
    return lake, chosen


def refresh(lake: Lake, chosen: Settings) -> None:
    days = {NOW.date(), NOW.date() - timedelta(days=1)}
    derive_messages(days, lake=lake, settings=chosen, now=NOW)
    derive_rates(days, lake=lake, settings=chosen, now=NOW)
    publish(lake=lake, settings=chosen, now=NOW)


def test_every_table_has_the_columns_types_and_comments_that_the_model_says(world: tuple[Lake, Settings]) -> None:
    refresh(*world)
    with duckdb.connect(world[1].duckdb, read_only=True) as connection:
        for table in (*DETAIL_TABLES, *RATE_TABLES, SNAPSHOT_INFO):
            found = connection.execute(f"DESCRIBE {table.name}").fetchall()
            types = [(c.name, c.type.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")) for c in table.columns]
            assert [row[:2] for row in found] == types, table.name


def test_an_empty_lake_publishes_the_same_columns_and_types(tmp_path: Path) -> None:
    chosen = given_settings(tmp_path)
    lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded={})
    publish(lake=lake, settings=chosen, now=NOW)
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        for table in (*DETAIL_TABLES, *RATE_TABLES):
            found = connection.execute(f"DESCRIBE {table.name}").fetchall()
            types = [(c.name, c.type.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")) for c in table.columns]
            assert [row[:2] for row in found] == types, table.name
            assert connection.execute(f"SELECT count(*) FROM {table.name}").fetchall() == [(0,)]
        for view in VIEWS:
            assert connection.execute(f"SELECT count(*) FROM {view.name}").fetchall() == [(0,)], view.name


def test_no_table_view_or_column_is_without_a_comment(world: tuple[Lake, Settings]) -> None:
    refresh(*world)
    with duckdb.connect(world[1].duckdb, read_only=True) as connection:
        bare = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal "
            "UNION ALL SELECT view_name, NULL FROM duckdb_views() WHERE comment IS NULL AND NOT internal "
            "UNION ALL SELECT table_name, NULL FROM duckdb_tables() WHERE comment IS NULL AND NOT internal"
        ).fetchall()
    assert bare == []


def test_every_view_has_just_the_columns_that_it_documents(world: tuple[Lake, Settings]) -> None:
    refresh(*world)
    with duckdb.connect(world[1].duckdb, read_only=True) as connection:
        for view in VIEWS:
            names = [row[0] for row in connection.execute(f"DESCRIBE {view.name}").fetchall()]
            assert names == list(view.columns), view.name


def test_snapshot_info_says_how_many_rows_and_how_new_they_are(world: tuple[Lake, Settings]) -> None:
    refresh(*world)
    with duckdb.connect(world[1].duckdb, read_only=True) as connection:
        for name, rows in connection.execute("SELECT table_name, rows FROM snapshot_info").fetchall():
            assert connection.execute(f"SELECT count(*) FROM {name}").fetchall() == [(rows,)], name
        as_of = connection.execute("SELECT DISTINCT published_at, data_as_of, time_zone FROM snapshot_info").fetchall()
        latest = connection.execute("SELECT max(observed_at) FROM delivery_reports").fetchall()
    assert as_of == [(NOW, latest[0][0], "UTC")]


def test_an_open_connection_keeps_its_snapshot_and_a_new_one_sees_the_newest(world: tuple[Lake, Settings]) -> None:
    lake, chosen = world
    refresh(lake, chosen)
    count = "SELECT count(*) FILTER (WHERE delivery_status = 'delivered') FROM messages"
    with duckdb.connect(chosen.duckdb, read_only=True) as old:
        assert old.execute(count).fetchall() == [(30,)]
        store_answers(lake, [(Said("39", "delivered", NOW), (NOW - timedelta(hours=39)).date())])
        days = {(NOW - timedelta(hours=39)).date()}
        derive_messages(days, lake=lake, settings=chosen, now=NOW)
        publish(lake=lake, settings=chosen, now=NOW)
        assert old.execute(count).fetchall() == [(30,)]
    assert _in_another_process(chosen.duckdb, count) == "[(31,)]"


def test_a_read_write_connection_of_an_analyst_does_not_stop_a_publication(world: tuple[Lake, Settings]) -> None:
    lake, chosen = world
    refresh(lake, chosen)
    chosen.duckdb.chmod(0o640)
    with duckdb.connect(chosen.duckdb) as analyst:
        analyst.execute("CREATE TABLE mine (a INTEGER)")
        assert chosen.duckdb.resolve().with_name(f"{chosen.duckdb.name}.wal").exists()
        beside = chosen.duckdb.with_name(f"{chosen.duckdb.name}.wal")  # where DuckDB before 1.5 leaves it
        beside.write_bytes(b"of another version")
        publish(lake=lake, settings=chosen, now=NOW)
        assert not beside.exists()
        assert not chosen.duckdb.resolve().with_name(f"{chosen.duckdb.name}.wal").exists()
    assert _in_another_process(chosen.duckdb, "SELECT count(*) FROM messages") == "[(39,)]"


def _in_another_process(path: Path, sql: str) -> str:
    code = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).execute(sys.argv[2]).fetchall())"
    return subprocess.run(
        [sys.executable, "-c", code, str(path), sql], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_modes_are_those_of_the_setting_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        chosen = given_settings(tmp_path / "home", file_mode="0640")
        lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded={})
        store_sent(lake, [Sent("1", NOW)])
        refresh(lake, chosen)
    finally:
        os.umask(before)
    for path in (tmp_path / "home").rglob("*"):
        want = 0o750 if path.is_dir() else 0o440 if path.name == chosen.duckdb.name else 0o640
        if "/_rates-" in str(path):  # the cache, its owner's alone
            want &= 0o700
        if "_scratch" not in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) == want, path


def test_a_publication_that_died_leaves_nothing_behind_the_next(world: tuple[Lake, Settings]) -> None:
    lake, chosen = world
    chosen.duckdb.parent.mkdir(parents=True, exist_ok=True)
    leftover = chosen.duckdb.parent / f".{chosen.duckdb.name}.0123.tmp"
    leftover.write_bytes(b"half a file")
    versions = chosen.duckdb.parent / f".{chosen.duckdb.name}"
    unfinished = versions / "0123.tmp" / chosen.duckdb.name
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(b"half a file")
    refresh(lake, chosen)
    assert {path.name for path in chosen.duckdb.parent.iterdir()} == {"lake", chosen.duckdb.name, versions.name}
    assert list(versions.iterdir()) == [chosen.duckdb.resolve().parent]


def test_the_file_has_the_oldest_storage_version_that_does(world: tuple[Lake, Settings]) -> None:
    refresh(*world)
    with duckdb.connect(world[1].duckdb, read_only=True) as connection:
        tags = connection.execute("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchall()
    assert "v1.0.0" in str(tags)


def test_another_reader_finds_the_same_rows_in_the_lake(world: tuple[Lake, Settings]) -> None:
    from deltalake import DeltaTable  # noqa: PLC0415

    lake, chosen = world
    refresh(lake, chosen)
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        for table in (*DETAIL_TABLES, *RATE_TABLES):
            ours = connection.sql(f"SELECT * FROM {table.name} ORDER BY ALL").to_arrow_table()
            theirs = DeltaTable(lake.folder / table.name).to_pyarrow_table()
            with duckdb.connect() as plain:
                plain.execute("SET TimeZone = 'UTC'")
                plain.register("theirs", theirs)
                again = plain.sql(f"SELECT {', '.join(table.column_names)} FROM theirs ORDER BY ALL").to_arrow_table()
            assert ours.to_pylist() == again.to_pylist(), table.name
