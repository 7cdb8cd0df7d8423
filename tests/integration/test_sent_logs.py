"""Sent logs in every format, clean and dirty: every record ends in exactly one place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.log_files import LogFile
from pipeline.log_formats.lines import LONGEST_LINE_BYTES, lines_of
from pipeline.log_records import LogRules, Message, read_record
from pipeline.logs.reasons import REASONS, Reject
from pipeline.numbers import NumberPolicy, treat_number
from pipeline.sent_logs import (
    MESSAGES_SCHEMA,
    REJECTS_SCHEMA,
    LogFileGone,
    LogFileUnreadable,
    read_sent_log,
)

DAY = date(2025, 6, 1)
SENT = {
    "msg_id": "2108021054011000095",
    "sent_at": "2025-06-01T08:00:00Z",
    "app_id": "app",
    "number": "4915112345678",
}
GOOD = json.dumps(SENT).encode()
ANSWER = {"status": "0", "array": [{"msgId": "1", "number": "4915112345678"}, {"msgId": 1.5}, {"msgId": "3"}]}
Row = dict[str, Any]


def rules(**changes: Any) -> LogRules:
    chosen: dict[str, Any] = {
        "log_zone": ZoneInfo("UTC"),
        "partition_zone": ZoneInfo("UTC"),
        "default_app_id": None,
        "start_date": date(2024, 1, 1),
        "now": datetime(2025, 6, 1, 12, tzinfo=UTC),
        "numbers": NumberPolicy(),
    }
    return LogRules(**chosen | changes)


def listed(path: Path, file_date: date | None = DAY) -> LogFile:
    state = path.stat()
    return LogFile(path, file_date, state.st_size, state.st_mtime_ns)


def read(file: LogFile, **changes: Any) -> tuple[list[Row], list[Row]]:
    """Read a log in small chunks; return its messages and its rejects, having checked chunk for chunk."""
    messages: list[Row] = []
    rejects: list[Row] = []
    chunk_rows = changes.pop("chunk_rows", 3)
    for chunk in read_sent_log(file, rules(**changes), chunk_rows=chunk_rows):
        assert chunk.messages.schema == MESSAGES_SCHEMA
        assert chunk.rejects.schema == REJECTS_SCHEMA
        assert chunk.records == chunk.messages.num_rows + chunk.rejects.num_rows > 0
        messages += chunk.messages.to_pylist()
        rejects += chunk.rejects.to_pylist()
    return messages, rejects


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], LogFile]:
    def written(name: str, content: bytes) -> LogFile:
        (tmp_path / name).write_bytes(content)
        return listed(tmp_path / name)

    return written


Write = Callable[[str, bytes], LogFile]


def codes(rejects: Sequence[Row]) -> list[tuple[int, str]]:
    return [(reject["line"], reject["reason"].partition(":")[0]) for reject in rejects]


def lines(messages: Sequence[Row]) -> list[int]:
    return [message["line"] for message in messages]


def parquet(columns: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


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
        "file_date": DAY,
    }


@pytest.mark.parametrize("policy", [NumberPolicy("mask"), NumberPolicy("hash", b"k"), NumberPolicy("drop")])
def test_the_country_is_found_before_the_number_is_treated(write: Write, policy: NumberPolicy) -> None:
    ((message,), _) = read(write("a.jsonl", GOOD), numbers=policy)
    assert (message["country"], message["number"]) == ("DE", treat_number("4915112345678", policy))


RECORDS = [SENT | {"msg_id": str(10**18 + index), "order_id": str(index)} for index in range(7)]


def as_csv(records: Sequence[Row], delimiter: str = ",") -> bytes:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, records[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(records)
    return sink.getvalue().encode()


def as_json(records: Sequence[Row]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


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


@pytest.mark.parametrize(
    ("content", "good", "bad"),
    [
        (b"\xef\xbb\xbf" + GOOD + b"\n", [1], []),
        (GOOD + b"\r\n" + GOOD + b"\r\n", [1, 2], []),
        (GOOD, [1], []),
        (b"\n  \n\r\n" + GOOD + b"\n\n", [4], []),
        (GOOD + b"\r" + GOOD + b"\n" + GOOD, [2], [(1, "broken_line")]),
        (GOOD[:20] + b"\n" + GOOD + b"\n", [2], [(1, "broken_line")]),
        (GOOD + b"\n" + GOOD[:20], [1], [(2, "unfinished_line")]),
        (b'{"a": "\xff"}\n' + GOOD + b"\n", [2], [(1, "bad_encoding")]),
        (b"\xff\xfe{\0}\0\n\0" + GOOD + b"\n", [2], [(1, "bad_encoding")]),
        (b"\0" * 4096 + GOOD + b"\n" + GOOD, [1, 2], []),
        (b"\0" * 9 + b"\n" + GOOD, [2], [(1, "broken_line")]),
        (GOOD.replace(b"app", b"a\0p") + b"\n", [], [(1, "broken_line")]),
        (GOOD.replace(b'"app"', b'"a\\u0000p"') + b"\n", [1], []),
        (GOOD[:-1] + b', "content": "\\ud83d", "x": NaN}\n', [1], []),
        (b"[1]\n7\nnull\n" + GOOD, [4], [(1, "not_a_record"), (2, "not_a_record"), (3, "not_a_record")]),
        (b"[" * 5000 + b"\n" + GOOD, [2], [(1, "broken_line")]),
        (b'{"msg_id": ' + b"9" * 5000 + b"}\n" + GOOD, [2], [(1, "broken_line")]),
        (GOOD[:-1] + b', "msg_id": "7"}\n', [1], []),
        (GOOD.replace(b"\n", b"") + b"\xe2\x80\xa8\n" + GOOD, [2], [(1, "broken_line")]),
    ],
)
def test_dirty_json_lines(write: Write, content: bytes, good: list[int], bad: list[tuple[int, str]]) -> None:
    messages, rejects = read(write("a.jsonl", content))
    assert lines(messages) == good
    assert codes(rejects) == bad
    assert all(reject["raw"] is None and reject["item"] is None for reject in rejects)


@pytest.mark.parametrize("digits", ["2108021054011000095", "9" * 20, "12345678901234567890123", "9" * 32])
def test_json_integers_of_any_size_are_exact(write: Write, digits: str) -> None:
    ((message,), _) = read(write("a.jsonl", GOOD.replace(b'"2108021054011000095"', digits.encode())))
    assert message["msg_id"] == digits


def test_json_floats_are_rejected_as_ids_and_leave_the_others_alone(write: Write) -> None:
    content = b"\n".join([GOOD, GOOD.replace(b'"2108021054011000095"', b"2.108e18"), GOOD])
    messages, rejects = read(write("a.jsonl", content), chunk_rows=100)
    assert lines(messages) == [1, 3]
    assert codes(rejects) == [(2, "bad_id")]


def test_a_line_of_five_megabytes_is_read_and_its_text_is_not(write: Write) -> None:
    long = GOOD[:-1] + b', "content": [' + b'"x",' * 1_300_000 + b'"x"]}\n'
    content = long + GOOD + b"\n" + GOOD[:-1] + b', "sender_id": "' + b"s" * 5_000_000 + b'"}\n'
    messages, rejects = read(write("a.jsonl", content))
    assert rejects == []
    assert [(each["line"], len(each["sender_id"] or "")) for each in messages] == [(1, 0), (2, 0), (3, 200)]


def test_a_long_line_is_checked_like_a_short_one(write: Write) -> None:
    filling = b"x" * 100_000
    content = b"\n".join(
        [
            GOOD[:-1] + b', "content": "' + filling + b'\xff"}',
            GOOD[:-1] + b', "content": "' + filling,
            b'["' + filling + b'"]',
            GOOD[:-1] + b', "content": "' + filling + b'\\ud800"}',
            GOOD + b"\n",
        ]
    )
    messages, rejects = read(write("a.jsonl", content))
    assert codes(rejects) == [(1, "bad_encoding"), (2, "broken_line"), (3, "not_a_record")]
    assert lines(messages) == [4, 5]


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
def test_whole_records_before_a_cut_count_and_one_reject_stands_for_the_rest(
    write: Write, compression: str
) -> None:
    records = [SENT | {"msg_id": str(10**18 + index * 7919)} for index in range(5000)]
    for name, content in (("a.jsonl", as_json(records)), ("a.csv", as_csv(records))):
        packed = gzip.compress(content) if compression == "gz" else zstandard.compress(content)
        messages, rejects = read(
            write(f"{name}.{compression}", packed[: len(packed) * 2 // 3]), chunk_rows=1000
        )
        first = 1 if name == "a.jsonl" else 2
        assert lines(messages) == list(range(first, first + len(messages)))
        assert [each["msg_id"] for each in messages] == [
            record["msg_id"] for record in records[: len(messages)]
        ]
        assert codes(rejects) == [(first + len(messages), "cut_file")]


def test_a_cut_gz_yields_records_that_are_whole(write: Write) -> None:
    content = as_json([SENT | {"msg_id": str(hash((index, "x")) % 10**18)} for index in range(20000)])
    packed = gzip.compress(content)
    messages, _ = read(write("a.jsonl.gz", packed[: len(packed) // 2]), chunk_rows=1000)
    assert len(messages) > 5000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.csv.gz"])
def test_a_compressed_file_that_is_none_is_one_reject(write: Write, name: str) -> None:
    assert codes(read(write(name, b"not compressed at all"))[1]) == [(1, "cut_file")]


def test_a_checksum_that_does_not_match_is_one_reject_behind_the_records(write: Write) -> None:
    packed = bytearray(gzip.compress(GOOD + b"\n"))
    packed[-8] ^= 1
    messages, rejects = read(write("a.jsonl.gz", bytes(packed)))
    assert (lines(messages), codes(rejects)) == ([1], [(2, "cut_file")])


HEADER = b"msg_id,sent_at,app_id,content\n"
ROW = b"2108021054011000095,2025-06-01T08:00:00Z,app,hi\n"


@pytest.mark.parametrize(
    ("content", "good", "bad"),
    [
        (b"\xef\xbb\xbf" + HEADER + ROW, [2], []),
        ((HEADER + ROW).replace(b"\n", b"\r\n"), [2], []),
        (HEADER + ROW[:-1], [2], []),
        (b"\n\n" + HEADER + b"\n" + ROW + b"  \n" + ROW, [5, 7], []),
        (HEADER + ROW.replace(b"hi", b'"a\nb\r\n""c"""') + ROW, [2, 5], []),
        (b"MsgID; Sent-At ;APP_ID\n7;2025-06-01 08:00:00;app\n", [2], []),
        (b'"msg_id", "sent_at", "app_id"\n"7", "2025-06-01 08:00:00", "app"\n', [2], []),
        (HEADER + b"7,2025-06-01T08:00:00Z,app\n" + ROW, [3], [(2, "broken_line")]),
        (HEADER + ROW[:-1] + b",more\n" + ROW, [3], [(2, "broken_line")]),
        (HEADER + ROW + b"7,2025-06-01T08:0", [2], [(3, "unfinished_line")]),
        (HEADER + ROW[:-1] + b"\r" + ROW + ROW, [3], [(2, "broken_line")]),
        (HEADER + ROW.replace(b"hi", b"\xff") + ROW, [3], [(2, "bad_encoding")]),
        (HEADER + ROW.replace(b"hi", b'"a\n\xff"') + ROW, [4], [(2, "bad_encoding")]),
        (HEADER + ROW.replace(b"hi", b"h\0i") + ROW, [2, 3], []),
        (HEADER + b"\0" * 512 + ROW, [2], []),
        (HEADER + ROW.replace(b"hi", b'"hi') + ROW * 3, [], [(2, "broken_line")]),
        (HEADER + ROW.replace(b"hi", b'"hi') + ROW[:-1], [], [(2, "unfinished_line")]),
        (HEADER + ROW.replace(b"hi", b'"h"i') + ROW, [3], [(2, "broken_line")]),
        (HEADER + ROW.replace(b"2108021054011000095", b"2.108e18") + ROW, [3], [(2, "bad_id")]),
        (ROW + ROW, [], [(1, "no_header"), (2, "no_id")]),
        (b'"\n' + ROW, [], [(1, "broken_line")]),
        (b"a\rb\n" + ROW, [], [(1, "broken_line"), (2, "broken_line")]),
        (b"msg_id,sent_at,app_id,msg_id\n7,2025-06-01T08:00:00Z,app,\n", [2], []),
    ],
)
def test_dirty_csv(write: Write, content: bytes, good: list[int], bad: list[tuple[int, str]]) -> None:
    messages, rejects = read(write("a.csv", content))
    assert lines(messages) == good
    assert codes(rejects) == bad


def test_an_unclosed_quote_swallows_no_more_than_the_bound(write: Write) -> None:
    rows = LONGEST_LINE_BYTES // len(ROW) + 1000
    messages, rejects = read(write("a.csv", HEADER + b'"' + ROW * rows), chunk_rows=1000)
    assert codes(rejects) == [(2, "line_too_long")]
    assert 0 < len(messages) < 1100
    assert lines(messages)[-1] == rows + 1


def test_csv_carries_answers_as_json_text(write: Write) -> None:
    content = as_csv([{"sent_at": "1748764800", "app_id": "app", "response": json.dumps(ANSWER)}])
    messages, rejects = read(write("a.csv", content))
    assert [(each["line"], each["item"], each["msg_id"]) for each in messages] == [(2, 0, "1"), (2, 2, "3")]
    assert [(each["line"], each["item"]) for each in rejects] == [(2, 1)]


def test_the_last_row_of_a_csv_file_that_grew_since_it_was_listed_is_unfinished(write: Write) -> None:
    file = write("a.csv", HEADER)
    with file.path.open("ab") as log:
        log.write(ROW + ROW[:-1])
    messages, rejects = read(file)
    assert (lines(messages), codes(rejects)) == ([2], [(3, "unfinished_line")])
    assert read(listed(file.path))[1] == []


def test_a_file_that_grew_since_it_was_listed_is_read_to_its_end(write: Write) -> None:
    file = write("a.jsonl", GOOD + b"\n")
    with file.path.open("ab") as log:
        log.write(GOOD + b"\n")
    assert lines(read(file)[0]) == [1, 2]


def test_parquet_integers_are_exact_and_floats_rejected(write: Write) -> None:
    times = ["2025-06-01T08:00:00Z"] * 2
    app = ["app"] * 2
    for ids in (
        pa.array([2108021054011000095, None], pa.int64()),
        pa.array([18446744073709551615, None], pa.uint64()),
        pa.array([Decimal(10**31), None], pa.decimal128(38, 0)),
        pa.array(["2108021054011000095", None]).dictionary_encode(),
        pa.array([b"2108021054011000095", None], pa.binary()),
        pa.array(["2108021054011000095", None], pa.large_string()),
    ):
        messages, rejects = read(
            write("a.parquet", parquet({"msg_id": ids, "sent_at": times, "app_id": app}))
        )
        expected = ids[0].as_py()
        assert messages[0]["msg_id"] == (expected.decode() if isinstance(expected, bytes) else str(expected))
        assert codes(rejects) == [(2, "no_id")]
    floats = pa.array([2108021054011000095.0, None])
    assert codes(
        read(write("a.parquet", parquet({"msg_id": floats, "sent_at": times, "app_id": app})))[1]
    ) == [
        (1, "bad_id"),
        (2, "no_id"),
    ]


@pytest.mark.parametrize(
    ("kind", "zone", "expected_hour"),
    [
        (pa.timestamp("us", "UTC"), "Europe/Berlin", 8),
        (pa.timestamp("ns", "Asia/Tokyo"), "Europe/Berlin", 8),
        (pa.timestamp("ms"), "UTC", 8),
        (pa.timestamp("s"), "Europe/Berlin", 6),
        (pa.timestamp("ns"), "Europe/Berlin", 6),
    ],
)
def test_parquet_timestamps_are_instants_or_local_times(
    write: Write, kind: pa.DataType, zone: str, expected_hour: int
) -> None:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]  # type: ignore[attr-defined]  # of timestamps
    times = pa.array([1748764800 * scale], pa.int64()).cast(kind)
    content = parquet({"msg_id": ["7"], "sent_at": times, "app_id": ["app"]})
    ((message,), _) = read(write("a.parquet", content), log_zone=ZoneInfo(zone))
    assert message["sent_at"] == datetime(2025, 6, 1, expected_hour, tzinfo=UTC)


def test_parquet_times_that_are_none_are_rejected(write: Write) -> None:
    for times in (
        pa.array([date(2025, 6, 1)]),
        pa.array([2**62], pa.timestamp("us")),
        pa.array([2**62], pa.timestamp("us", "UTC")),
        pa.array([True]),
        pa.array([float("nan")]),
    ):
        content = parquet({"msg_id": ["7"], "sent_at": times, "app_id": ["app"]})
        assert codes(read(write("a.parquet", content))[1]) == [(1, "bad_time")]


def test_parquet_text_that_is_not_utf_8_is_rejected_row_by_row(write: Write) -> None:
    raw = pa.array([b"ok", b"\xff", b"fine"])
    _, offsets, content_buffer = raw.buffers()
    assert offsets is not None
    assert content_buffer is not None
    text = pa.StringArray.from_buffers(3, offsets, content_buffer)
    for senders in (raw, text):
        content = parquet({"msg_id": ["1", "2", "3"], "sent_at": [1748764800] * 3, "app_id": senders})
        messages, rejects = read(write("a.parquet", content))
        assert ([each["app_id"] for each in messages], codes(rejects)) == (
            ["ok", "fine"],
            [(2, "bad_encoding")],
        )


def test_parquet_answers_are_structs_or_text(write: Write) -> None:
    answer = {
        "status": "0",
        "array": [{"msgId": "1", "number": "4915112345678"}, {"msgId": "2", "number": None}],
    }
    for responses in ([answer], [json.dumps(answer)]):
        content = parquet({"sent_at": [1748764800], "app_id": ["app"], "response": responses, "x": [1]})
        messages, rejects = read(write("a.parquet", content))
        assert [(each["line"], each["item"], each["msg_id"]) for each in messages] == [
            (1, 0, "1"),
            (1, 1, "2"),
        ]
        assert rejects == []


def test_parquet_without_known_columns_is_one_reject_a_row(write: Write) -> None:
    assert codes(read(write("a.parquet", parquet({"x": [1, 2, 3]})))[1]) == [
        (1, "no_id"),
        (2, "no_id"),
        (3, "no_id"),
    ]


def test_parquet_without_rows_has_no_records(write: Write) -> None:
    assert read(write("a.parquet", parquet({"msg_id": pa.array([], pa.string())}))) == ([], [])


def test_a_broken_parquet_file_is_one_reject(write: Write) -> None:
    content = parquet({"msg_id": ["7"], "sent_at": [1748764800], "app_id": ["app"]})
    for broken in (b"", b"PAR1", content[:-20], content[:-1], b"x" * 100):
        assert codes(read(write("a.parquet", broken))[1]) == [(1, "broken_file")]


def test_rows_before_the_break_in_a_parquet_file_count(write: Write) -> None:
    rows = 30_000
    sink = io.BytesIO()
    table = pa.table(
        {
            "msg_id": [str(index) for index in range(rows)],
            "sent_at": [1748764800] * rows,
            "app_id": ["a"] * rows,
        }
    )
    pq.write_table(table, sink, row_group_size=10_000, use_dictionary=False)
    content = bytearray(sink.getvalue())
    start = pq.ParquetFile(sink).metadata.row_group(2).column(0).data_page_offset
    content[start : start + 200] = b"\xff" * 200
    messages, rejects = read(write("a.parquet", bytes(content)), chunk_rows=10_000)
    assert len(messages) >= 20_000
    assert codes(rejects) == [(len(messages) + 1, "broken_file")]


PROVOKED: dict[str, tuple[str, bytes]] = {
    "broken_line": ("a.jsonl", b"{\n"),
    "unfinished_line": ("a.jsonl", b"{"),
    "line_too_long": ("a.jsonl", b"x" * (LONGEST_LINE_BYTES + 1)),
    "bad_encoding": ("a.jsonl", b"\xff\n"),
    "not_a_record": ("a.jsonl", b"[]\n"),
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
    "unknown_format": ("a.log", b""),
    "no_header": ("a.csv", b"a,b\n"),
    "cut_file": ("a.jsonl.gz", b"\x1f\x8b"),
    "broken_file": ("a.parquet", b""),
}


@pytest.mark.parametrize("code", REASONS)
def test_every_published_reason_can_be_met(write: Write, code: str) -> None:
    messages, rejects = read(write(*PROVOKED[code]))
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
    assert peak(30_000) < peak(5_000) * 1.3 + 1_000_000


TIMES = st.sampled_from(
    [
        "2025-06-01T08:00:00Z", "2025-06-01 08:00:00", "2025-06-01T08:00:00.123456+05:30", "2025-06-01T08:00:00,5Z",
        "2025-06-01T08:00", "2025-06-01", "2025-02-30T08:00:00Z", "2025-06-01T08:00:00.1234567Z", "1748764800",
        "2025-06-03T08:00:00Z", "2023-06-01T08:00:00Z", "2025-10-26T02:30:00", "1960-01-01T00:00:00Z", "", None,
        "2025-06-01T08:00:00-23:59", "2025-06-01T08:00:00+0530", 1748764800, 1748764800123, 1, -5, 10**18, 99999999999,
        2**63, 1748764800.5, True,
    ]
)  # fmt: skip
IDS = st.sampled_from(
    [
        "7",
        " 7 ",
        "2108021054011000095",
        "9" * 32,
        "9" * 33,
        "",
        None,
        "7\n",
        7,
        -7,
        2**63,
        7.0,
        True,
        "\u0667",
    ]
)
TEXTS = st.sampled_from(
    ["app", " app", "", None, "a\0b", "é", "a b", "x" * 201, 7, -1, 1.5, 2.0, True, "\ud800", "a\n"]
)
NUMBERS = st.sampled_from(
    [
        "+4915112345678",
        "4915112345678",
        "49 151",
        "",
        None,
        "4.9e11",
        "1.0",
        "0" * 21,
        "++1",
        4915112345678,
        1.5,
        "+",
    ]
)
PLAIN = st.fixed_dictionaries(
    {"msg_id": IDS, "sent_at": TIMES},
    optional={"app_id": TEXTS, "number": NUMBERS, "sender_id": TEXTS, "order_id": TEXTS, "mobile": NUMBERS},
)
ZONES = st.sampled_from([ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")])
CHANGES = st.fixed_dictionaries(
    {"log_zone": ZONES, "partition_zone": ZONES, "default_app_id": st.sampled_from([None, "mine"])}
)


def expected_of(
    records: Sequence[Row], chosen: LogRules
) -> tuple[list[Row], list[tuple[int, int | None, str]]]:
    """Read each record by itself: what the columns must come to."""
    messages, rejects = [], []
    for line, record in enumerate(records, 1):
        for outcome in read_record(json.loads(json.dumps(record)), chosen, DAY):
            if isinstance(outcome, Reject):
                rejects.append((line, outcome.item, outcome.reason))
            else:
                assert isinstance(outcome, Message)
                sent_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=outcome.sent_at_us)
                row = outcome._asdict() | {"sent_at": sent_at, "line": line}
                del row["sent_at_us"]
                messages.append(row)
    return messages, rejects


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PLAIN, max_size=12), CHANGES, st.integers(1, 15))
def test_columns_and_records_come_to_the_same(
    tmp_path: Path, records: list[Row], changes: Row, chunk_rows: int
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(as_json(records))
    messages, rejects = read(listed(path), chunk_rows=chunk_rows, **changes)
    wanted, unwanted = expected_of(records, rules(**changes))
    assert [{name: row[name] for name in wanted[0]} for row in messages] == wanted
    assert [(row["line"], row["item"], row["reason"]) for row in rejects] == unwanted


CALLS = st.fixed_dictionaries(
    {
        "sent_at": TIMES,
        "response": st.sampled_from([ANSWER, json.dumps(ANSWER), {"status": "1"}, "", None, "x"]),
    },
    optional={"app_id": TEXTS, "msg_id": IDS},
)
BROKEN = st.binary(max_size=12).map(lambda content: content.replace(b"\n", b"").strip(b" \t\r"))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PLAIN | CALLS | BROKEN, max_size=12), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_every_record_ends_in_exactly_one_place(
    tmp_path: Path, records: list[Row | bytes], ending: bytes, is_packed: bool
) -> None:
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    path = tmp_path / ("a.jsonl.gz" if is_packed else "a.jsonl")
    parts[:1] = [part.removeprefix(b"\xef\xbb\xbf") for part in parts[:1]]
    content = ending.join(parts)
    path.write_bytes(gzip.compress(content) if is_packed else content)
    messages, rejects = read(listed(path))
    places = Counter((row["line"], row["item"]) for row in [*messages, *rejects])
    assert set(places.values()) <= {1}
    wanted = {number for number, part in enumerate(parts, 1) if part.strip(b" \t\r")}
    assert {line for line, _ in places} == wanted


@given(
    st.lists(st.binary(max_size=20).map(lambda piece: piece.replace(b"\xef", b"")), max_size=20),
    st.integers(5, 60),
)
def test_lines_are_those_of_the_whole_however_it_is_cut_into_pieces(
    pieces: list[bytes], longest: int
) -> None:
    whole = b"".join(pieces).split(b"\n")
    expected = [
        (number, line if len(line) <= longest else None, number < len(whole))
        for number, line in enumerate(whole, 1)
        if number < len(whole) or line
    ]
    assert list(lines_of(pieces, longest=longest)) == expected
