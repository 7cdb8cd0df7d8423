"""Rejects are told by reason, with their weight and first place; a mostly unusable log is known as such."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pipeline.collect.told import Told, is_unusable


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (Told("no_id", 50, 1, "/logs/a.jsonl", 1), "no_id: 50 records in 1 file, first a.jsonl:1"),
        (Told("bad_time", 1, 1, "/logs/a.jsonl", 7), "bad_time: 1 record in 1 file, first a.jsonl:7"),
        (Told("no_app", 4001, 12, "/logs/a.csv", 2), "no_app: 4,001 records in 12 files, first a.csv:2"),
        (Told("no_header", 1, 1, "/logs/a.csv", 1), "no_header: a whole file, first a.csv:1"),
        (Told("unknown_format", 2, 2, "/logs/a.avro", 1), "unknown_format: 2 whole files, first a.avro:1"),
        (Told("cut_file", 1, 1, "/logs/a.csv.gz", 90), "cut_file: a whole file or a part of it, first a.csv.gz:90"),
    ],
)
def test_a_reason_is_told_with_its_weight_and_its_first_place(told: Told, line: str) -> None:
    assert told.line == line


@pytest.mark.parametrize(
    ("good", "rejects", "unusable"),
    [
        (10, {}, False),
        (10, {"no_id": 10}, False),
        (10, {"no_id": 11}, True),
        (10, {"no_id": 6, "bad_time": 5}, True),
        (0, {"far_from_file_date": 9, "in_future": 3, "before_start": 4}, False),
        (0, {"not_sent": 3}, False),
        (0, {"unfinished_line": 1}, False),
        (3, {"no_id": 4, "in_future": 2}, False),
        (0, {"unknown_format": 1}, True),
        (0, {"cut_file": 1}, True),
        (3, {"cut_file": 1}, False),
    ],
)
def test_a_log_is_unusable_where_most_records_are_rejected_for_what_they_are(
    good: int, rejects: Mapping[str, int], *, unusable: bool
) -> None:
    assert is_unusable(good, rejects) is unusable
