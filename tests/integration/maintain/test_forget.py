"""Forgetting a number while another run is at work in the lake loses none of its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.collect.sent_messages import collect
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.maintain.forget import forget, remove_old_files
from pipeline.model.settings import Settings
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES
from tests.scenarios.stage import read_table
from tests.support.lakes import UTC_ZONE, Sent, sent_rows, store_sent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NUMBER, OTHER = "4915112345678", "4915187654321"


def written(lake: Lake, message: Sent) -> Path:
    """Write a file that is part of no version yet, as a run does before its commit."""
    rows = pa.Table.from_pylist(sent_rows([message], UTC_ZONE), schema=arrow_schema(SENT_MESSAGES))
    return lake.write(SENT_MESSAGES, rows, NOON.date()).path


def forgotten(lake: Lake, settings: Settings) -> int:
    forget(NUMBER, lake=lake, settings=settings)
    return remove_old_files(NUMBER, lake=lake, settings=settings)


def test_a_file_that_a_run_is_about_to_commit_stays_and_replaced_ones_go(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    store_sent(lake, [Sent("1", NOON, number=NUMBER)])
    (replaced,) = lake.snapshot(SENT_MESSAGES).files
    with lake.scratch():  # a run at work has one
        waiting = written(lake, Sent("2", NOON, number=OTHER))
        assert forgotten(lake, settings()) == 0
        assert (waiting.exists(), replaced.path.exists()) == (True, False)
    assert forgotten(lake, settings()) == 0
    assert not waiting.exists()  # nobody is at work: its run is dead


def test_a_number_in_a_file_that_a_run_is_about_to_commit_is_counted_as_left(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    store_sent(lake, [Sent("1", NOON, number=NUMBER)])
    with lake.scratch():
        written(lake, Sent("2", NOON, number=NUMBER))
        assert forgotten(lake, settings()) == 1
    assert forgotten(lake, settings()) == 0


def test_a_number_in_a_label_is_erased_and_the_rest_of_the_labels_stays(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    labels = {"campaign": f"to +{NUMBER}!", "template": "otp"}
    store_sent(lake, [Sent("1", NOON, labels=labels), Sent("2", NOON)])
    assert forgotten(lake, settings()) == 0
    stored = {row["msg_id"]: row["labels"] for row in read_table(lake, SENT_MESSAGES)}
    assert stored == {"1": [("campaign", "to !"), ("template", "otp")], "2": None}


@pytest.mark.parametrize("mode", ["keep", "hash", "mask"])
def test_a_number_is_erased_whatever_its_spelling_in_the_log_raw_included(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path, mode: str
) -> None:
    chosen = settings(sent_logs=str(tmp_path / "*.jsonl"), app_id="app", numbers=mode, numbers_key="k" * 32)
    spellings = ["0049 151 12345678", "+49 (0) 151-12345678", NUMBER]
    stored = {"sent_at": "2026-03-01T10:00:00Z"}
    lines = [{"msg_id": str(place), "number": text} | stored for place, text in enumerate(spellings)]
    lines += [{"msg_id": f"x{place}", "number": text} | stored for place, text in enumerate(spellings)]
    (tmp_path / "sent.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    collect([NOON.date()], lake=lake, settings=chosen, now=NOON)
    rows = [*read_table(lake, SENT_MESSAGES), *read_table(lake, REJECTED_RECORDS)]
    assert len({row["number"] for row in rows if "number" in row}) == 1
    erased = forget(NUMBER, lake=lake, settings=chosen)
    assert (erased["sent_messages"], erased["rejected_records"]) == (3, 3)
    assert remove_old_files(NUMBER, lake=lake, settings=chosen) == 0
