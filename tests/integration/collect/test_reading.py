"""Sent logs whatever their format: columns, endings, cuts, reasons, chunks."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from pipeline.collect.files import LogFile, LogFileGone, LogFileUnreadable
from pipeline.collect.formats.lines import LONGEST_LINE_BYTES
from pipeline.collect.reading import read_sent_log
from pipeline.collect.rejects import REASONS
from pipeline.model.phone_numbers import NumberPolicy, treat_number
from tests.support.sent_logs import (
    DAY,
    GOOD,
    RECORDS,
    SENT,
    Write,
    as_csv,
    as_json,
    codes,
    lines,
    listed,
    parquet,
    read,
    rules,
    writer,
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


@pytest.mark.parametrize(
    ("sent_at", "changes", "code"),
    [
        ("2025-06-03T08:00:00Z", {"now": datetime(2025, 6, 4, tzinfo=UTC)}, "far_from_file_date"),
        ("2025-05-29T08:00:00Z", {}, "far_from_file_date"),
        ("2025-06-01T08:00:00Z", {"start_date": date(2025, 6, 2)}, "before_start"),
        ("2025-06-01T08:00:00Z", {"now": datetime(2025, 5, 31, 7, 59, tzinfo=UTC)}, "in_future"),
    ],
)
def test_records_that_are_plain_but_out_of_bounds_are_rejected_too(
    write: Write, sent_at: str, changes: dict[str, Any], code: str
) -> None:
    record = b'{"msg_id": "1", "sent_at": "%s"}\n' % sent_at.encode()
    messages, rejects = read(write("a.jsonl", record * 3), default_app_id="app", **changes)
    assert (messages, codes(rejects)) == ([], [(1, code), (2, code), (3, code)])


def test_a_message_has_all_its_columns(write: Write) -> None:
    file = write("a.jsonl", GOOD[:-1] + b', "from": "ACME", "orderId": 7, "content": "hi"}\n')
    ((message,), rejects) = read(file)
    assert rejects == []
    assert message == {
        "app_id": "app",
        "msg_id": "2108021054011000095",
        "number": "4915112345678",
        "country": "DE",
        "sender_id": "ACME",
        "order_id": "7",
        "sent_at": datetime(2025, 6, 1, 8, tzinfo=UTC),
        "sent_date": DAY,
        "file": str(file.path),
        "line": 1,
        "item": 0,
        "labels": None,
    }


def test_a_reject_has_all_its_columns(write: Write) -> None:
    file = write("a.jsonl", b'{"msg_id": "7", "content": "hi"}\n')
    (_, (reject,)) = read(file)
    assert reject == {
        "file": str(file.path),
        "line": 1,
        "item": 0,
        "reason": f"no_time: {REASONS['no_time']}",
        "raw": '{"msg_id":"7"}',
        "sent_date": DAY,
    }


@pytest.mark.parametrize("policy", [NumberPolicy("mask"), NumberPolicy("hash", b"k"), NumberPolicy("drop")])
def test_the_country_is_found_before_the_number_is_treated(write: Write, policy: NumberPolicy) -> None:
    ((message,), _) = read(write("a.jsonl", GOOD), numbers=policy)
    assert (message["country"], message["number"]) == ("DE", treat_number("4915112345678", policy))


@pytest.mark.parametrize(
    ("name", "content", "first_line"),
    [
        ("a.jsonl", as_json(RECORDS), 1),
        ("A.NDJSON", as_json(RECORDS), 1),
        ("a.json", as_json(RECORDS), 1),
        ("a.jsonl.gz", gzip.compress(as_json(RECORDS)), 1),
        (
            "a.jsonl.gz",
            gzip.compress(as_json(RECORDS[:3])) + gzip.compress(as_json(RECORDS[3:])) + b"\0" * 9,
            1,
        ),
        ("a.ndjson.ZST", zstandard.compress(as_json(RECORDS)), 1),
        (
            "a.jsonl.zst",
            zstandard.compress(as_json(RECORDS[:3])) + zstandard.compress(as_json(RECORDS[3:])),
            1,
        ),
        ("a.csv", as_csv(RECORDS), 2),
        ("a.csv", as_csv(RECORDS, ";"), 2),
        ("a.csv", as_csv(RECORDS, "\t"), 2),
        ("a.csv.gz", gzip.compress(as_csv(RECORDS)), 2),
        ("a.csv.zst", zstandard.compress(as_csv(RECORDS)), 2),
        ("a.parquet", parquet({name: [record[name] for record in RECORDS] for name in RECORDS[0]}), 1),
    ],
)
def test_every_format_says_the_same(write: Write, name: str, content: bytes, first_line: int) -> None:
    messages, rejects = read(write(name, content))
    assert rejects == []
    assert [(each["msg_id"], each["order_id"]) for each in messages] == [
        (record["msg_id"], record["order_id"]) for record in RECORDS
    ]
    assert lines(messages) == list(range(first_line, first_line + 7))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.csv.zst"])
def test_an_empty_file_has_no_records(write: Write, name: str) -> None:
    assert read(write(name, b"")) == ([], [])


@pytest.mark.parametrize("name", ["a.txt", "a.parquet.gz", "a", "jsonl", "a.jsonl.bz2", ".gz"])
def test_a_file_of_unknown_ending_is_one_reject(write: Write, name: str) -> None:
    messages, rejects = read(write(name, GOOD))
    assert messages == []
    assert codes(rejects) == [(1, "unknown_format")]
    assert name in rejects[0]["file"]


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    gone = LogFile(tmp_path / "a.jsonl", DAY, 1, 1)
    with pytest.raises(LogFileGone, match=r"a\.jsonl: is gone") as caught:
        read(gone)
    assert caught.value.file == gone


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(LogFileUnreadable, match=r"a\.jsonl: "):
        read(listed(tmp_path / "a.jsonl"))


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_a_line_beyond_the_bound_is_skipped_to_its_end(write: Write, ending: str) -> None:
    content = as_json(RECORDS[:2]) if ending == ".jsonl" else as_csv(RECORDS[:2])
    head, tail = content[:-1].rsplit(b"\n", 1)
    filling = b"x" * (LONGEST_LINE_BYTES + 1)
    messages, rejects = read(write(f"a{ending}", head + b"\n" + filling + b"\n" + tail + b"\n"))
    offset = ending == ".csv"
    assert codes(rejects) == [(2 + offset, "line_too_long")]
    assert lines(messages) == [1 + offset, 3 + offset]


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_whole_records_before_a_cut_count_and_one_reject_stands_for_the_rest(write: Write, compression: str) -> None:
    records = [SENT | {"msg_id": str(10**18 + index * 7919)} for index in range(5000)]
    for name, content in (("a.jsonl", as_json(records)), ("a.csv", as_csv(records))):
        packed = gzip.compress(content) if compression == "gz" else zstandard.compress(content)
        messages, rejects = read(write(f"{name}.{compression}", packed[: len(packed) * 2 // 3]), chunk_rows=1000)
        first = 1 if name == "a.jsonl" else 2
        assert lines(messages) == list(range(first, first + len(messages)))
        assert [each["msg_id"] for each in messages] == [record["msg_id"] for record in records[: len(messages)]]
        assert codes(rejects) == [(first + len(messages), "cut_file")]


def test_a_cut_gz_yields_records_that_are_whole(write: Write) -> None:
    content = as_json([SENT | {"msg_id": str(hash((index, "x")) % 10**18)} for index in range(20000)])
    packed = gzip.compress(content)
    messages, _ = read(write("a.jsonl.gz", packed[: len(packed) // 2]), chunk_rows=1000)
    assert len(messages) > 5000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl"])
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes])
def test_a_file_is_decompressed_by_its_first_bytes_whatever_its_ending(
    write: Write, name: str, pack: Callable[[bytes], bytes]
) -> None:
    messages, rejects = read(write(name, pack(as_json(RECORDS))))
    assert (lines(messages), rejects) == ([1, 2, 3, 4, 5, 6, 7], [])


def test_a_checksum_that_does_not_match_is_one_reject_behind_the_records(write: Write) -> None:
    packed = bytearray(gzip.compress(GOOD + b"\n"))
    packed[-8] ^= 1
    messages, rejects = read(write("a.jsonl.gz", bytes(packed)))
    assert (lines(messages), codes(rejects)) == ([1], [(2, "cut_file")])


def test_a_file_that_grew_since_it_was_listed_is_read_to_its_end(write: Write) -> None:
    file = write("a.jsonl", GOOD + b"\n")
    with file.path.open("ab") as log:
        log.write(GOOD + b"\n")
    assert lines(read(file)[0]) == [1, 2]


PROVOKED: dict[str, tuple[str, bytes]] = {
    "broken_line": ("a.jsonl", b"{\n"),
    "unfinished_line": ("a.jsonl", b"{"),
    "line_too_long": ("a.jsonl", b"x" * (LONGEST_LINE_BYTES + 1)),
    "bad_encoding": ("a.jsonl", b'{"msg_id": "\xff"}\n'),
    "not_a_record": ("a.jsonl", b"7\n"),
    "bad_response": ("a.jsonl", b'{"response": 1}\n'),
    "not_sent": ("a.jsonl", b'{"response": {"status": "-1"}}\n'),
    "no_id": ("a.jsonl", b"{}\n"),
    "bad_id": ("a.jsonl", b'{"msg_id": 1.5}\n'),
    "no_time": ("a.jsonl", b'{"msg_id": 1}\n'),
    "bad_time": ("a.jsonl", b'{"msg_id": 1, "time": "noon"}\n'),
    "before_start": ("a.jsonl", b'{"msg_id": 1, "time": 1}\n'),
    "in_future": ("a.jsonl", b'{"msg_id": 1, "time": 4000000000}\n'),
    "far_from_file_date": ("a.jsonl", b'{"msg_id": 1, "time": 1740000000}\n'),
    "no_app": ("a.jsonl", b'{"msg_id": 1, "time": 1748764800}\n'),
    "bad_app": ("a.jsonl", b'{"msg_id": 1, "time": 1748764800, "app_id": true}\n'),
    "number_as_app": ("a.jsonl", b'{"msg_id": 1, "time": 1748764800, "app_id": "+49 170 1112222"}\n'),
    "unknown_format": ("a.log", b"server started\n"),
    "no_header": ("a.csv", b"a,b\n"),
    "cut_file": ("a.jsonl.gz", b"\x1f\x8b"),
    "broken_file": ("a.parquet", b""),
}


@pytest.mark.parametrize("code", REASONS)
def test_every_published_reason_can_be_met(write: Write, code: str) -> None:
    messages, rejects = read(write(*PROVOKED[code]), numbers=NumberPolicy("mask"))
    assert messages == []
    assert [found for _, found in codes(rejects)] == [code]


def test_chunks_are_of_about_the_size_asked_for(write: Write) -> None:
    content = as_json([SENT, {"x": 1}] * 50)
    sizes = [chunk.records for chunk in read_sent_log(write("a.jsonl", content), rules(), chunk_rows=30)]
    assert sizes == [30, 30, 30, 10]


def test_a_path_of_odd_characters_is_read_and_named(write: Write) -> None:
    file = write('it\'s 100% [a] "b" é.jsonl', GOOD)
    assert read(file)[0][0]["file"] == str(file.path)


def test_a_file_of_the_first_day_of_the_calendar_is_far_from_its_records(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    for day in (date.min, date.max):
        assert codes(read(listed(tmp_path / "a.jsonl", day))[1]) == [(1, "far_from_file_date")]


def test_a_path_that_is_not_utf_8_is_named_as_well_as_possible(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff.jsonl"))
    path.write_bytes(GOOD)
    assert read(listed(path))[0][0]["file"].endswith(".jsonl")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(write: Write) -> None:
    def peak(records: int) -> int:
        file = write("a.jsonl", as_json([SENT | {"msg_id": str(index)} for index in range(records)]))
        tracemalloc.start()
        for _ in read_sent_log(file, rules(), chunk_rows=1000):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1000)
    assert peak(100_000) < peak(40_000) * 1.2
