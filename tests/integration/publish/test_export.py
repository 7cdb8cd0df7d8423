"""`export`: a file with all data of a range of days, which needs no lake."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.model.errors import LakeError, SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, DETAIL_TABLES, RATE_TABLES, SNAPSHOT_INFO
from pipeline.model.views import VIEWS
from pipeline.publish.database import publish
from pipeline.publish.export import Days, export
from tests.support.kept import Kept
from tests.support.lakes import Called, Said, Sent, store_answers, store_calls, store_sent

NOW = datetime(2026, 10, 27, 12, tzinfo=UTC)
TODAY = NOW.date()
ALL = Days(None, None)


@pytest.fixture
def tmp_path(kept: Kept) -> Path:
    return kept.emptied()


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake, kept: Kept) -> Settings:
    """Publish 40 messages of five days, 30 of them delivered, 10 of them answered with a price."""
    chosen = settings(lake=lake.folder, unknown_after_hours=30)
    sent = [Sent(str(n), NOW - timedelta(hours=3 * n), country="IN", number="919812345678") for n in range(40)]
    price = '{"pricedetail":{"price":"0.0125","pay":"0.025","currency":"USD","chargeCnt":2}}'

    def make() -> None:
        store_sent(lake, sent)
        store_answers(
            lake,
            [
                (Said(s.msg_id, "delivered", NOW, s.sent_at, extra=price if n < 10 else None), s.sent_at.date())
                for n, s in enumerate(sent[:30])
            ],
        )
        store_calls(lake, [(Called(NOW), TODAY - timedelta(days=n)) for n in range(5)])
        derive_messages([], lake=lake, settings=chosen, now=NOW)
        derive_rates([], lake=lake, settings=chosen, now=NOW)
        publish(lake=lake, settings=chosen, now=NOW)

    kept.put(make)
    return chosen


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Path]:
    """Return the place of the exported file, in a folder that holds nothing else afterwards."""
    folder = tmp_path / "it's elsewhere"
    folder.mkdir()
    yield folder / "some days.duckdb"
    assert {path.name for path in folder.iterdir()} <= {"some days.duckdb"}


def rows(path: Path, name: str, where: str = "true") -> list[tuple[Any, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(f"SELECT * FROM {name} WHERE {where} ORDER BY ALL").fetchall()


def test_a_file_of_all_days_holds_what_is_published_and_needs_no_lake(
    lake: Lake, chosen: Settings, taken: Path
) -> None:
    tables = (*DETAIL_TABLES, *RATE_TABLES, SNAPSHOT_INFO)
    names = [table.name for table in tables] + [view.name for view in VIEWS]
    published = {name: rows(chosen.duckdb, name) for name in names}
    export(taken, days=ALL, lake=lake, settings=chosen)
    shutil.move(lake.folder, lake.folder.with_name("moved away"))
    chosen.duckdb.unlink()
    assert {name: rows(taken, name) for name in names} == published
    assert len(published["messages"]) == 40
    assert len(published["message_prices"]) == 10
    assert len(published[API_CALLS.name]) == 5


@pytest.mark.slow
def test_a_range_of_days_is_inclusive_and_views_and_counts_are_of_it_alone(
    lake: Lake, chosen: Settings, taken: Path
) -> None:
    first, last = TODAY - timedelta(days=2), TODAY - timedelta(days=1)
    counts = export(taken, days=Days(first, last), lake=lake, settings=chosen)
    where = f"sent_date BETWEEN DATE '{first}' AND DATE '{last}'"
    for table in (*DETAIL_TABLES, *RATE_TABLES):
        assert rows(taken, table.name) == rows(chosen.duckdb, table.name, where), table.name
        assert rows(taken, f"(SELECT rows FROM snapshot_info WHERE table_name = '{table.name}')") == [
            (counts[table.name],)
        ]
    assert {row[0] for row in rows(taken, "delivery_by_day")} == {first, last}
    assert counts["messages"] == 16


def test_an_exported_file_carries_every_comment_the_old_storage_version_and_the_mode(
    lake: Lake, chosen: Settings, taken: Path
) -> None:
    export(taken, days=ALL, lake=lake, settings=chosen)
    assert stat.S_IMODE(taken.stat().st_mode) == chosen.file_mode
    comments = "(SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal)"
    assert rows(taken, comments) == rows(chosen.duckdb, comments)
    assert rows(taken, "(SELECT 1 FROM duckdb_tables() WHERE comment IS NULL)") == []
    assert rows(taken, "(SELECT 1 FROM duckdb_views() WHERE comment IS NULL AND NOT internal)") == []
    assert "v1.0.0" in str(rows(taken, "(SELECT tags FROM duckdb_databases() WHERE NOT internal)"))


def test_an_export_is_of_the_published_snapshot_while_a_run_goes_on(lake: Lake, chosen: Settings, taken: Path) -> None:
    store_sent(lake, [Sent("77", NOW)])
    derive_messages([TODAY], lake=lake, settings=chosen, now=NOW)  # and its rates are not derived yet
    with duckdb.connect(chosen.duckdb, read_only=True):
        export(taken, days=ALL, lake=lake, settings=chosen)
    assert rows(taken, "(SELECT sum(sent) FROM delivery_by_day)") == rows(taken, "(SELECT count(*) FROM messages)")


def test_an_existing_file_is_never_overwritten(lake: Lake, chosen: Settings, taken: Path) -> None:
    taken.write_text("mine")
    with pytest.raises(SettingsError, match=r"FILE: .*exists already"):
        export(taken, days=ALL, lake=lake, settings=chosen)
    assert taken.read_text() == "mine"


@pytest.mark.slow
def test_half_a_file_left_by_a_killed_export_does_not_stop_the_next(lake: Lake, chosen: Settings, taken: Path) -> None:
    for leftover in (f".{taken.name}.tmp", f".{taken.name}.tmp.wal"):
        taken.with_name(leftover).write_bytes(b"half")
    export(taken, days=ALL, lake=lake, settings=chosen)
    assert len(rows(taken, "messages")) == 40


@pytest.mark.parametrize(
    "days",
    [
        Days(date(2020, 1, 1), date(2020, 12, 31)),
        Days(TODAY + timedelta(days=1), None),
        Days(TODAY, TODAY - timedelta(days=3)),
    ],
)
def test_days_without_a_message_are_an_error_that_names_those_there_are(
    lake: Lake, chosen: Settings, taken: Path, days: Days
) -> None:
    with pytest.raises(SettingsError, match=f"--from, --to: no message .* {TODAY - timedelta(days=5)} to {TODAY}"):
        export(taken, days=days, lake=lake, settings=chosen)
    assert not taken.exists()


def test_other_errors_are_one_line_each(lake: Lake, chosen: Settings, taken: Path) -> None:
    with pytest.raises(SettingsError, match="FILE: there is no folder"):
        export(taken / "none" / "a.duckdb", days=ALL, lake=lake, settings=chosen)
    for file in lake.folder.glob("messages/*/*.parquet"):
        file.unlink()
    with pytest.raises(LakeError, match="FILE: ") as error:
        export(taken, days=ALL, lake=lake, settings=chosen)
    assert "\n" not in str(error.value)
    chosen.duckdb.unlink()
    with pytest.raises(LakeError, match=r"SMS_DUCKDB: .*sms-delivery publish"):
        export(taken, days=ALL, lake=lake, settings=chosen)


def test_an_empty_lake_can_not_be_exported(lake: Lake, settings: Callable[..., Settings], taken: Path) -> None:
    empty = settings(lake=lake.folder)
    publish(lake=lake, settings=empty, now=NOW)
    with pytest.raises(SettingsError, match="no message is published yet"):
        export(taken, days=ALL, lake=lake, settings=empty)
