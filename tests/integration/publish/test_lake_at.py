"""The published file where its readers see the lake at another path than the run does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.queries import literal
from pipeline.model.errors import SettingsError
from pipeline.model.settings import Settings, checked_lake_at
from pipeline.model.tables import MESSAGES
from pipeline.publish.database import publish
from pipeline.publish.export import Days, export
from pipeline.publish.page.writing import write_page
from pipeline.publish.reading import lake_files_named
from tests.support.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 10, 27, 12, tzinfo=UTC)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Return a path with a quote in it, at which nothing is yet."""
    return tmp_path / "reader's" / "lake"


@pytest.fixture
def chosen(settings: Callable[..., Settings], lake: Lake, elsewhere: Path) -> Settings:
    """Publish ten messages of two days for readers elsewhere."""
    chosen = settings(lake=lake.folder, lake_at=elsewhere)
    sent = [Sent(str(n), NOW.replace(day=26 + n % 2)) for n in range(10)]
    store_sent(lake, sent)
    store_answers(lake, [(Said(s.msg_id, "delivered", NOW, s.sent_at), s.sent_at.date()) for s in sent])
    derive_messages([], lake=lake, settings=chosen, now=NOW)
    derive_rates([], lake=lake, settings=chosen, now=NOW)
    publish(lake=lake, settings=chosen, now=NOW)
    return chosen


def count(path: Path, *, lake: Path | None = None) -> int:
    with duckdb.connect(path, read_only=True) as connection:
        if lake:
            connection.execute(f"SET VARIABLE sms_lake = {literal(str(lake))}")
        ((rows,),) = connection.execute("SELECT count(*) FROM message_history WHERE sent_at IS NOT NULL").fetchall()
        return int(rows)


def test_the_views_find_the_files_there_and_nowhere_else(lake: Lake, chosen: Settings, elsewhere: Path) -> None:
    with pytest.raises(duckdb.IOException, match="reader's"):
        count(chosen.duckdb)
    elsewhere.parent.mkdir()
    shutil.move(lake.folder, elsewhere)
    assert count(chosen.duckdb) == 10


def test_a_file_that_is_moved_with_its_lake_is_told_where_that_is(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    shutil.copyfile(chosen.duckdb, new / "moved.duckdb")
    shutil.move(lake.folder, new / "lake")
    assert count(new / "moved.duckdb", lake=new / "lake") == 10


def test_what_reads_the_file_beside_the_lake_goes_on_as_before(lake: Lake, chosen: Settings, tmp_path: Path) -> None:
    assert lake_files_named(chosen) >= {file.path.name for file in lake.snapshot(MESSAGES).files}
    write_page(settings=chosen)
    rows = export(tmp_path / "taken.duckdb", days=Days(None, None), lake=lake, settings=chosen)
    assert rows["messages"] == 10


@pytest.mark.parametrize("path", ["lake", "../lake", "/a*", "/a[b]", "/{lake}", "/a\nb", "/50%"])
def test_a_path_that_a_view_can_not_name_is_refused(path: str) -> None:
    with pytest.raises(SettingsError, match="--lake-at: must be an absolute path"):
        checked_lake_at(Path(path))
