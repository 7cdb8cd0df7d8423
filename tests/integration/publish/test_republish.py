"""Publications after the first: the cache hides no change, and nothing of it is left in a published file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.queries import database
from pipeline.maintain.audits.context import opened_context
from pipeline.maintain.audits.registry import AUDITS
from pipeline.model.settings import Settings
from pipeline.model.tables import DETAIL_TABLES, LAKE_TABLES, RATE_TABLES, REJECTED_RECORDS, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from pipeline.publish.cache import CACHE, cache_path, opened_cache
from pipeline.publish.database import Publication, publish
from tests.support.lakes import Called, Said, Sent, store_answers, store_calls, store_sent

NOW = datetime(2026, 10, 27, 12, tzinfo=UTC)
EARLY, LATE = NOW - timedelta(days=3), NOW - timedelta(days=1)
TABLES = {table.name for table in (*LAKE_TABLES, SNAPSHOT_INFO)} | {view.name for view in VIEWS}
UNTOLD = {"pushed_reports", "platform_record", "record_reads", "account_balance"}
"""What the platform tells beside getReport: nothing here."""
NAMES = """
    SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal
    ORDER BY ALL"""


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake) -> Settings:
    return settings(lake=lake.folder)


@pytest.fixture
def published(lake: Lake, chosen: Settings) -> Lake:
    """A lake of two days, published, with a row in each table."""
    store_sent(lake, [Sent("1", EARLY, country="IN"), Sent("2", LATE, country="BR"), Sent("3", LATE)])
    store_answers(lake, [(Said("1", "delivered", NOW), EARLY.date()), (Said("2", "sending", NOW), LATE.date())])
    store_calls(lake, [(Called(NOW), EARLY.date())])
    reject(lake, line=1)
    refresh(lake, chosen)
    return lake


def refresh(lake: Lake, chosen: Settings) -> Publication:
    days = {EARLY.date(), LATE.date()}
    derive_messages(days, lake=lake, settings=chosen, now=NOW)
    derive_rates(days, lake=lake, settings=chosen, now=NOW)
    return publish(lake=lake, settings=chosen, now=NOW)


def reject(lake: Lake, *, line: int) -> None:
    row = {"source": "sent_log", "file": "f", "line": line, "item": 0, "reason": "no_id: there is none"}
    rows = pa.Table.from_pylist([row], schema=arrow_schema(REJECTED_RECORDS))
    lake.append(REJECTED_RECORDS, [lake.write(REJECTED_RECORDS, rows, EARLY.date())])


def ask(chosen: Settings, *selects: str) -> list[list[tuple[Any, ...]]]:
    with duckdb.connect() as connection:  # attached: a file that was open a moment ago is read anew
        connection.execute(f"ATTACH '{chosen.duckdb}' AS published (READ_ONLY)")
        connection.execute("USE published")
        return [connection.execute(select).fetchall() for select in selects]


def everything(chosen: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables and views, and every comment."""
    names, kinds = sorted(TABLES), ("tables", "views", "columns")
    rows = ask(chosen, *(f"FROM {name} ORDER BY ALL" for name in names))
    comments = ask(chosen, *(f"SELECT comment FROM duckdb_{kind}() ORDER BY ALL" for kind in kinds))
    return dict(zip((*names, *kinds), (*rows, *comments), strict=True))


def assert_documented(lake: Lake, chosen: Settings) -> None:
    bare = "SELECT {0}_name FROM duckdb_{0}s() WHERE comment IS NULL AND NOT internal"
    names, *without_comment = ask(chosen, NAMES, bare.format("table"), bare.format("view"))
    assert {name for (name,) in names} == TABLES
    assert without_comment == [[], []]
    with opened_context([EARLY.date(), LATE.date()], lake=lake, settings=chosen, now=NOW) as context:
        for name in ("schema_as_documented", "published_file_agrees"):
            finding = AUDITS[name].run(context)
            assert finding.passed, finding.examples


@pytest.mark.slow
def test_what_is_published_again_is_the_same(published: Lake, chosen: Settings) -> None:
    first = everything(chosen)
    for table in (*DETAIL_TABLES, *RATE_TABLES):
        assert bool(first[table.name]) == (table.name not in UNTOLD), table.name
    for _ in range(2):
        publish(lake=published, settings=chosen, now=NOW)
        assert everything(chosen) == first
        assert_documented(published, chosen)


def test_a_change_in_any_table_is_published_as_if_there_were_no_cache(published: Lake, chosen: Settings) -> None:
    def changes() -> None:
        store_sent(published, [Sent("4", LATE)])
        store_answers(published, [(Said("2", "delivered", NOW, LATE + timedelta(seconds=5)), LATE.date())])
        store_calls(published, [(Called(NOW), LATE.date())])
        reject(published, line=1)
        reject(published, line=2)

    before = everything(chosen)
    changes()
    rows = refresh(published, chosen).rows
    assert (rows["rejected_records"], rows["messages"]) == (2, 4)
    kept = everything(chosen)
    assert {table.name for table in LAKE_TABLES if before[table.name] == kept[table.name]} == UNTOLD
    assert_documented(published, chosen)
    cache_path(published).unlink()
    publish(lake=published, settings=chosen, now=NOW)
    assert everything(chosen) == kept


def test_a_table_that_is_emptied_is_typed_and_documented_as_before(published: Lake, chosen: Settings) -> None:
    for table in LAKE_TABLES:
        present = published.snapshot(table)
        published.commit(present, remove=present.files)
    rows = publish(lake=published, settings=chosen, now=NOW).rows
    assert {name: count for name, count in rows.items() if count and name != "rate_publications"} == {}
    assert_documented(published, chosen)


def test_the_cache_of_another_version_is_not_used_and_is_deleted(published: Lake, chosen: Settings) -> None:
    other = cache_path(published).rename(cache_path(published).with_name("0123456789abcdef.duckdb"))
    first = everything(chosen)
    publish(lake=published, settings=chosen, now=NOW)
    assert everything(chosen) == first
    assert (cache_path(published).exists(), other.exists()) == (True, False)


def test_a_cache_with_a_log_left_by_a_kill_is_brought_up_to_date(published: Lake, chosen: Settings) -> None:
    first = everything(chosen)
    code = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("BEGIN")
connection.execute("DELETE FROM built_from")
connection.execute("UPDATE delivery_rollups_daily SET sent = 77")
connection.execute("COMMIT")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code, str(cache_path(published))], check=True)
    wal = cache_path(published).with_name(f"{cache_path(published).name}.wal")
    assert wal.exists()
    publish(lake=published, settings=chosen, now=NOW)
    assert everything(chosen) == first
    assert not wal.exists()


def test_a_log_left_by_a_kill_is_part_of_the_next_published_file(published: Lake, chosen: Settings) -> None:
    code = """
import duckdb, os, sys
duckdb.connect(sys.argv[1]).execute("UPDATE delivery_rates_hourly SET sent = 77")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code, str(cache_path(published))], check=True)
    publish(lake=published, settings=chosen, now=NOW)
    assert ask(chosen, "SELECT DISTINCT sent FROM delivery_rates_hourly") == [[(77,)]]


def test_a_publication_that_fails_leaves_the_cache_as_it_was(published: Lake, chosen: Settings) -> None:
    def fail() -> None:
        with database(published, chosen) as connection, opened_cache(connection, published, cache_path(published)):
            connection.execute(f"DELETE FROM {CACHE}.delivery_rates_daily")
            raise ZeroDivisionError

    first = everything(chosen)
    with pytest.raises(ZeroDivisionError):
        fail()
    publish(lake=published, settings=chosen, now=NOW)
    assert everything(chosen) == first
