"""DuckDB files that somebody planted where ours lie: nothing in them is run, and nothing but the lake is reached."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database
from pipeline.maintain.clean import clean
from pipeline.maintain.status import status_text
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.settings import Settings
from pipeline.publish.cache import cache_path
from pipeline.publish.contents import strange_entries
from pipeline.publish.database import publish
from pipeline.publish.export import Days, export
from pipeline.publish.page.writing import write_page
from tests.support.kept import Kept
from tests.support.lakes import Sent, store_sent

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET = "s3cret-of-nobody-2718281"
ALL = Days(None, None)
PLANTS = (
    "CREATE OR REPLACE VIEW {table} AS SELECT * FROM read_text('{env}')",
    "CREATE MACRO sum(x) AS (SELECT content FROM read_text('{env}'))",
    "CREATE MACRO count(x) AS (SELECT content FROM read_text('{env}'))",
    "CREATE MACRO planted() AS TABLE (SELECT * FROM read_text('{env}'))",
    "CREATE TABLE planted (a INTEGER, b VARCHAR GENERATED ALWAYS AS (upper(a::VARCHAR)))",
    "CREATE TABLE planted (a INTEGER DEFAULT (random()))",
    "CREATE TABLE planted (a INTEGER CHECK (a > 1))",
    "CREATE TYPE planted AS ENUM ('a')",
    "CREATE SEQUENCE planted",
    "CREATE SCHEMA planted",
    "CREATE MACRO strftime(x, y) AS (SELECT content FROM read_text('{env}'))",
    (
        "ALTER TABLE delivery_rollups_daily RENAME TO planted; CREATE VIEW delivery_rollups_daily AS SELECT * REPLACE "
        "('country' AS dimension, (SELECT content FROM read_text('{env}')) AS value) FROM planted"
    ),
)
VIEWS = (
    "CREATE OR REPLACE VIEW messages AS SELECT * FROM read_text('{env}')",
    "CREATE OR REPLACE VIEW rejected_records AS SELECT 'sent_log' AS source, content AS reason FROM read_text('{env}')",
)
"""Views in place of published ones, so that their names are no sign."""
ENTRIES = """
    SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal
    UNION ALL SELECT function_name FROM duckdb_functions() WHERE NOT internal
    UNION ALL SELECT type_name FROM duckdb_types() WHERE NOT internal
    UNION ALL SELECT sequence_name FROM duckdb_sequences()
    UNION ALL SELECT schema_name FROM duckdb_schemas() WHERE NOT internal
    ORDER BY ALL
"""


@pytest.fixture
def tmp_path(kept: Kept) -> Path:
    return kept.emptied()


@pytest.fixture
def chosen(lake: Lake, settings: Callable[..., Settings], tmp_path: Path, kept: Kept) -> Settings:
    """Give the settings of a lake with a message, published once, beside an `.env` with a secret."""
    chosen = settings(lake=lake.folder)

    def make() -> None:
        (tmp_path / ".env").write_text(f"SMS_API_SECRET={SECRET}\n", "utf-8")
        store_sent(lake, [Sent("1", NOW - timedelta(hours=3), country="DE")])
        derive_messages([], lake=lake, settings=chosen, now=NOW)
        derive_rates([], lake=lake, settings=chosen, now=NOW)
        publish(lake=lake, settings=chosen, now=NOW)

    kept.put(make)
    return chosen


def plant(path: Path, chosen: Settings, sql: str) -> None:
    """Run SQL of an attacker in a DuckDB file."""
    env = chosen.lake.parent / ".env"
    with duckdb.connect(path) as connection:
        if "{table}" in sql:
            connection.execute("DROP TABLE IF EXISTS snapshot_info")
        connection.execute(sql.format(env=env, table="snapshot_info"))


def entries(path: Path) -> list[tuple[str]]:
    """List what a DuckDB file holds, by name."""
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(ENTRIES).fetchall()


@pytest.mark.parametrize("sql", [*PLANTS, *VIEWS])
def test_a_cache_that_holds_more_than_tables_is_built_anew(lake: Lake, chosen: Settings, sql: str) -> None:
    before = entries(cache_path(lake)), entries(chosen.duckdb)
    plant(cache_path(lake), chosen, sql)
    publish(lake=lake, settings=chosen, now=NOW)

    assert (entries(cache_path(lake)), entries(chosen.duckdb)) == before
    assert SECRET.encode() not in chosen.duckdb.read_bytes() + cache_path(lake).read_bytes()
    assert SECRET not in write_page(settings=chosen).read_text("utf-8")


@pytest.mark.parametrize("damage", ["open folder", "open file", "second name", "link", "fifo", "link to the folder"])
def test_a_cache_that_others_could_have_written_is_not_opened(
    lake: Lake, chosen: Settings, tmp_path: Path, damage: str
) -> None:
    path = cache_path(lake)
    match damage:
        case "open folder":
            path.parent.chmod(0o770)
        case "open file":
            path.chmod(0o606)
        case "second name":
            os.link(path, tmp_path / "other")
        case "link":
            path.rename(tmp_path / "other")
            path.symlink_to(tmp_path / "other")
        case "fifo":
            path.unlink()
            os.mkfifo(path, 0o600)
        case _:
            path.parent.rename(tmp_path / "other")
            path.parent.symlink_to(tmp_path / "other")
    plant_in = tmp_path / "other" / path.name if (tmp_path / "other").is_dir() else tmp_path / "other"
    before = plant_in.read_bytes() if plant_in.exists() else b""
    publish(lake=lake, settings=chosen, now=NOW)

    assert (stat.S_IMODE(path.parent.lstat().st_mode), stat.S_IMODE(path.lstat().st_mode)) == (0o700, 0o600)
    assert path.is_file()
    assert not path.is_symlink()
    assert not before or plant_in.read_bytes() == before


def test_the_cache_is_its_owners_whatever_the_mode_of_files(lake: Lake, settings: Callable[..., Settings]) -> None:
    shared = settings(lake=lake.folder, file_mode="0660")
    publish(lake=lake, settings=shared, now=NOW)
    assert stat.S_IMODE(cache_path(lake).parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(cache_path(lake).stat().st_mode) == 0o600


@pytest.mark.parametrize("sql", [*PLANTS, *VIEWS])
def test_a_published_file_with_planted_entries_gives_nothing_away(
    lake: Lake, chosen: Settings, sql: str, tmp_path: Path
) -> None:
    version = chosen.duckdb.resolve()
    version.chmod(0o600)
    plant(version, chosen, sql)
    version.chmod(0o440)
    outcomes = (
        lambda: write_page(settings=chosen),
        lambda: export(tmp_path / "taken.duckdb", days=ALL, lake=lake, settings=chosen),
        lambda: status_text(lake=lake, settings=chosen, now=NOW),
        lambda: clean(lake=lake, settings=chosen, now=NOW),
    )
    for read in outcomes:
        refused = pytest.raises(LakeError, match="the published file holds what was not published: ")
        with contextlib.nullcontext() if sql in VIEWS else refused:
            assert SECRET not in str(read())
    for written in (chosen.report, tmp_path / "taken.duckdb"):
        assert not written.exists() or SECRET.encode() not in written.read_bytes()
    publish(lake=lake, settings=chosen, now=NOW)
    assert SECRET not in write_page(settings=chosen).read_text("utf-8")


@pytest.mark.parametrize("mode", [0o646, 0o666])
def test_a_published_file_that_others_may_write_is_named_before_it_is_read(
    lake: Lake, chosen: Settings, mode: int, tmp_path: Path
) -> None:
    chosen.duckdb.resolve().chmod(mode)
    for read in (
        lambda: write_page(settings=chosen),
        lambda: export(tmp_path / "taken.duckdb", days=ALL, lake=lake, settings=chosen),
        lambda: status_text(lake=lake, settings=chosen, now=NOW),
    ):
        with pytest.raises(SettingsError, match=rf"^SMS_DUCKDB: {chosen.duckdb} can be changed by every user; chmod"):
            read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_published_file_of_another_user_is_not_read(chosen: Settings) -> None:
    os.chown(chosen.duckdb, 65534, 65534, follow_symlinks=False)
    with pytest.raises(SettingsError, match=r"^SMS_DUCKDB: .* belongs to user"):
        write_page(settings=chosen)


def test_a_folder_of_versions_that_is_a_planted_link_is_not_emptied(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = settings(lake=lake.folder)
    (tmp_path / "precious" / "old").mkdir(parents=True)
    os.utime(tmp_path / "precious" / "old", (0, 0))
    chosen.duckdb.parent.mkdir(exist_ok=True)
    chosen.duckdb.with_name(f".{chosen.duckdb.name}").symlink_to(tmp_path / "precious")
    with pytest.raises(SettingsError, match=r"^SMS_DUCKDB: .* is a link; remove it"):
        publish(lake=lake, settings=chosen, now=NOW)
    assert (tmp_path / "precious" / "old").exists()


def test_a_trigger_is_found_too(tmp_path: Path) -> None:
    path = tmp_path / "planted.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS planted (STORAGE_VERSION 'v2.0.0')")
        connection.execute("CREATE TABLE planted.one (a INTEGER); CREATE TABLE planted.two (a INTEGER); USE planted")
        connection.execute("CREATE TRIGGER three AFTER INSERT ON one INSERT INTO two VALUES (1)")
        assert strange_entries(connection, "planted", views=()) == ["trigger three"]


def test_a_connection_reaches_the_lake_alone(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    env = tmp_path / ".env"
    with database(lake, chosen) as connection:
        for sql in (
            f"FROM read_text('{env}')",
            f"FROM read_text('{lake.folder}/../.env')",
            f"FROM glob('{tmp_path}/*')",
            f"ATTACH '{tmp_path}/new.duckdb'",
            f"COPY (SELECT 1) TO '{tmp_path}/new.csv'",
            "LOAD httpfs",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            "SET allowed_directories = ['/']",
            "RESET lock_configuration",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(sql)
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert not (tmp_path / "new.duckdb").exists()
