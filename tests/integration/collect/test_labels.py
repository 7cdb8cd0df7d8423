"""Fields named in SMS_SENT_LOG_LABELS are kept in every format, and corrected like the other fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.collect.sent_messages import collect
from pipeline.lake.lake import Lake
from pipeline.model.phone_numbers import NumberPolicy
from pipeline.model.settings import Settings
from pipeline.model.tables import SENT_MESSAGES
from tests.scenarios.stage import read_table
from tests.support.sent_logs import SENT, as_csv, as_json, parquet, read, writer

LABELS = ("campaign", "Template-Name", "sender_id")
MARKED = SENT | {"sender_id": "ACME", "Campaign": " spring ", "template_name": "otp", "text": "secret"}
FILES = {
    "a.jsonl": as_json([MARKED]),
    "a.csv": as_csv([MARKED]),
    "a.parquet": parquet({name: [value] for name, value in MARKED.items()}),
    "long.jsonl": as_json([MARKED | {"text": "x" * 70_000}]),
}


@pytest.mark.parametrize("name", FILES)
def test_labels_are_kept_under_the_names_of_the_setting_whatever_their_spelling(tmp_path: Path, name: str) -> None:
    ((message,), _) = read(writer(tmp_path)(name, FILES[name]), labels=LABELS)
    assert message["labels"] == [("campaign", "spring"), ("Template-Name", "otp"), ("sender_id", "ACME")]
    assert message["sender_id"] == "ACME"


def test_without_the_setting_or_the_fields_there_are_no_labels(tmp_path: Path) -> None:
    assert read(writer(tmp_path)("a.jsonl", FILES["a.jsonl"]))[0][0]["labels"] is None
    assert read(writer(tmp_path)("b.jsonl", as_json([SENT])), labels=("campaign",))[0][0]["labels"] is None


@pytest.mark.parametrize(
    ("value", "label"), [(7, "7"), (True, "true"), (1.5, "1.5"), ("", None), (None, None), ([1], None), ({}, None)]
)
def test_single_values_become_text_and_others_are_left_out(tmp_path: Path, value: object, label: str | None) -> None:
    file = writer(tmp_path)("a.jsonl", as_json([SENT | {"campaign": value}]))
    assert read(file, labels=("campaign",))[0][0]["labels"] == (label and [("campaign", label)])


def test_the_messages_of_a_receipt_have_the_labels_of_their_record(tmp_path: Path) -> None:
    response = {"status": "0", "array": [{"msgId": "1"}, {"msgId": "2", "campaign": "other"}]}
    record = {"sent_at": SENT["sent_at"], "app_id": "app", "campaign": "spring", "response": response}
    messages, _ = read(writer(tmp_path)("a.jsonl", as_json([record])), labels=("campaign",))
    assert [message["labels"] for message in messages] == [[("campaign", "spring")]] * 2


def test_numbers_in_labels_are_masked_unless_numbers_are_kept(tmp_path: Path) -> None:
    file = writer(tmp_path)("a.jsonl", as_json([SENT | {"campaign": "to 4915112345678"}]))
    ((message,), _) = read(file, labels=("campaign",), numbers=NumberPolicy("mask"))
    assert "491511234" not in str(message["labels"])


def test_labels_that_are_named_later_are_added_to_what_is_stored(
    lake: Lake, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    now, day = datetime(2025, 6, 1, 12, tzinfo=UTC), date(2025, 6, 1)
    (tmp_path / f"{day}.jsonl").write_text(json.dumps(MARKED) + "\n")
    chosen: dict[str, Any] = {"sent_logs": "{date}.jsonl"}
    corrected = [
        collect([day], lake=lake, settings=settings(**chosen, **more), now=now).corrected
        for more in ({}, {"sent_log_labels": "campaign"}, {"sent_log_labels": "campaign"})
    ]
    assert corrected == [0, 1, 0]
    assert [row["labels"] for row in read_table(lake, SENT_MESSAGES)] == [[("campaign", "spring")]]
