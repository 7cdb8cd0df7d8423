"""What the lake costs: appending answers, deriving messages and rates, publishing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.made_lake import make_lake, settings_in
from benchmarks.parts.conftest import MESSAGES, Measure
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates, selects_of
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.queries import relation
from pipeline.model.settings import Settings
from pipeline.model.tables import DELIVERY_REPORTS, DETAIL_TABLES, RATE_TABLES, SENT_MESSAGES
from pipeline.model.tables import MESSAGES as MESSAGES_TABLE
from pipeline.publish.database import publish

ANSWERS = 20_000
JOINED = """
    SELECT sent.*, status, receive_time, observed_at
    FROM sent_messages AS sent LEFT JOIN delivery_reports USING (app_id, msg_id)"""


@pytest.fixture
def answers(lake: Lake) -> pa.Table:
    """Answers of 100 calls, as they are appended at once."""
    day = lake.snapshot(DELIVERY_REPORTS).days()[-1]
    (file,) = lake.snapshot(DELIVERY_REPORTS).of([day])[:1]
    rows = pq.read_table(file.path, partitioning=None).slice(0, ANSWERS)
    days = pa.array([day] * rows.num_rows, pa.date32())
    return rows.append_column("sent_date", days).select(arrow_schema(DELIVERY_REPORTS).names)


def bench_deriving(part: Measure, lake: Lake, settings: Settings) -> None:
    """Comes before answers are appended below."""
    days, now = lake.snapshot(SENT_MESSAGES).days()[-1:], datetime.now(UTC)
    part(
        "deriving messages",
        f"a day of {MESSAGES:,}",
        lambda: derive_messages(days, lake=lake, settings=settings, now=now, anew=True),
    )


def bench_deriving_floor(floor: Measure, lake: Lake, tmp_path: Path) -> None:
    with shown(lake) as connection:
        copy = f"COPY ({JOINED}) TO '{tmp_path}/messages.parquet' (COMPRESSION zstd)"
        floor("deriving messages", "DuckDB: a join, one Parquet file", lambda: connection.execute(copy).fetchall())


def bench_rates(part: Measure, lake: Lake, settings: Settings) -> None:
    days, now = lake.snapshot(SENT_MESSAGES).days()[-1:], datetime.now(UTC)
    part(
        "rates",
        f"four tables of a day of {MESSAGES:,}",
        lambda: derive_rates(days, lake=lake, settings=settings, now=now, anew=True),
    )


def bench_rates_floor(floor: Measure, lake: Lake) -> None:
    values = {"now": datetime.now(UTC), "unknown_after_seconds": 259_200.0, "zone": "UTC", "today": "9999-01-01"}
    selects = [
        (text, {name: value for name, value in values.items() if f"${name}" in text})
        for table in RATE_TABLES
        for text in selects_of(table)
    ]
    with shown(lake) as connection:
        floor(
            "rates",
            "DuckDB: the GROUP BYs alone",
            lambda: [connection.execute(text, used).fetchall() for text, used in selects],
        )


@pytest.fixture(scope="module")
def many_days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Settings]:
    """A lake of a hundred days."""
    settings = settings_in(tmp_path_factory.mktemp("days"))
    return make_lake(settings, days=100, closed_rows=100, open_rows=100), settings


def bench_publishing(part: Measure, many_days: tuple[Lake, Settings]) -> None:
    lake, settings = many_days
    part("publication", "100 partitions", lambda: publish(lake=lake, settings=settings, now=datetime.now(UTC)))


def bench_publishing_floor(floor: Measure, many_days: tuple[Lake, Settings], tmp_path: Path) -> None:
    (lake, _), path = many_days, tmp_path / "views.duckdb"

    def publish_views() -> None:
        path.unlink(missing_ok=True)
        with duckdb.connect(path) as connection:
            for table in DETAIL_TABLES:
                connection.execute(f"CREATE VIEW {table.name} AS {relation(table, lake.snapshot(table).files)}")

    floor("publication", "DuckDB: a file with views alone", publish_views)


def bench_appending(part: Measure, lake: Lake, answers: pa.Table) -> None:
    day = lake.snapshot(DELIVERY_REPORTS).days()[-1]
    part(
        "append",
        f"{ANSWERS:,} answers",
        lambda: lake.append(DELIVERY_REPORTS, [lake.write(DELIVERY_REPORTS, answers, day)]),
    )


def bench_appending_floor(floor: Measure, answers: pa.Table, tmp_path: Path) -> None:
    rows, path = answers.drop_columns(["sent_date"]), tmp_path / "answers.parquet"
    floor("append", "pyarrow: one Parquet file", lambda: pq.write_table(rows, path, compression="zstd"))


@contextmanager
def shown(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a database that reads the latest day's files."""
    with duckdb.connect(config={"memory_limit": "400MB"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in (SENT_MESSAGES, DELIVERY_REPORTS, MESSAGES_TABLE):
            snapshot = lake.snapshot(table)
            connection.execute(f"CREATE VIEW {table.name} AS {relation(table, snapshot.of(snapshot.days()[-1:]))}")
        yield connection
