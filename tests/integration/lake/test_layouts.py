"""A lake made by a version without labels opens, is read, and grows; its files stay as they are."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.maintain.compact import compact
from pipeline.maintain.status import status_text
from pipeline.model.settings import given_settings
from pipeline.model.tables import MESSAGES, SENT_MESSAGES, Table
from pipeline.publish.database import publish
from tests.support.lakes import UTC_ZONE, Sent, sent_rows, store_sent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def former(table: Table) -> Table:
    """Return a table as it was before there were labels."""
    return replace(table, columns=tuple(column for column in table.columns if column.name != "labels"))


def test_a_lake_without_labels_opens_and_grows(tmp_path: Path) -> None:
    before = os.umask(0o077)
    chosen = given_settings(tmp_path)
    for table in (SENT_MESSAGES, MESSAGES):
        schema = arrow_schema(former(table))
        DeltaTable.create(chosen.lake / table.name, schema=schema, partition_by=["sent_date"], name=table.name)
    lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded={})
    old = pa.Table.from_pylist(sent_rows([Sent("1", NOON)], UTC_ZONE), schema=arrow_schema(former(SENT_MESSAGES)))
    lake.append(SENT_MESSAGES, [lake.write(former(SENT_MESSAGES), old, NOON.date())])
    store_sent(lake, [Sent("2", NOON, labels={"campaign": "spring"})])
    derive_messages([], lake=lake, settings=chosen, now=NOON)
    derive_rates([], lake=lake, settings=chosen, now=NOON)
    publish(lake=lake, settings=chosen, now=NOON)
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        for name in ("sent_messages", "messages"):
            rows = connection.execute(f"SELECT msg_id, labels['campaign'] FROM {name} ORDER BY 1").fetchall()
            assert rows == [("1", None), ("2", "spring")]
    compact(lake=lake, settings=chosen, now=NOON + timedelta(days=30))
    stored = DeltaTable(chosen.lake / "sent_messages").to_pyarrow_table().sort_by("msg_id").to_pylist()
    assert [row["labels"] for row in stored] == [None, [("campaign", "spring")]]
    os.umask(before)


def test_status_says_which_days_have_no_prices_yet_until_they_are_derived_again(tmp_path: Path) -> None:
    before = os.umask(0o077)
    chosen = given_settings(tmp_path)
    lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded={})
    store_sent(lake, [Sent("1", NOON)])
    derive_messages([], lake=lake, settings=chosen, now=NOON)
    derive_rates([], lake=lake, settings=chosen, now=NOON)
    without_prices = replace(MESSAGES, columns=tuple(column for column in MESSAGES.columns if column.since < 3))
    present = lake.snapshot(MESSAGES)
    row = (
        DeltaTable(chosen.lake / "messages")
        .to_pyarrow_table()
        .select([column.name for column in without_prices.stored_columns])
    )
    lake.commit(present, add=[lake.write(without_prices, row, NOON.date())], remove=present.files)
    told = "1 days of messages, 2026-03-01 to 2026-03-01, were derived by an earlier version: price, pay, currency, "
    assert told in status_text(lake=lake, settings=chosen, now=NOON)
    derive_messages([NOON.date()], lake=lake, settings=chosen, now=NOON, anew=True)
    assert "earlier version" not in status_text(lake=lake, settings=chosen, now=NOON)
    os.umask(before)
