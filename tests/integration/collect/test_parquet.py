"""Sent logs of Parquet rows, clean and dirty."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.sent_logs import (
    Write,
    codes,
    parquet,
    read,
    writer,
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


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
        messages, rejects = read(write("a.parquet", parquet({"msg_id": ids, "sent_at": times, "app_id": app})))
        expected = ids[0].as_py()
        assert messages[0]["msg_id"] == (expected.decode() if isinstance(expected, bytes) else str(expected))
        assert codes(rejects) == [(2, "no_id")]
    floats = pa.array([2108021054011000095.0, None])
    assert codes(read(write("a.parquet", parquet({"msg_id": floats, "sent_at": times, "app_id": app})))[1]) == [
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
        pa.array([20250601080000]),
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


MOMENT = 1748764800
IDS = [
    pa.array(["7", " 8", None, "", "9" * 33, "\u0667", "2108021054011000095"]),
    pa.array(["7", "8", None, "", "9", "10", "11"], pa.large_string()),
    pa.array(["7", "8", None, "x", "7", "7", "7"]).dictionary_encode(),
    pa.array([7, -7, None, 0, 1, 2, 2**63 - 1]),
    pa.array([7, 1, None, 0, 1, 2, 2**64 - 1], pa.uint64()),
    pa.array([7, 1, None, 0, 1, 2, -3], pa.int16()),
    pa.array([7.0, None, float("nan"), 1, 2, 3, 4]),
    pa.array([b"7", b"\xff", None, b"", b"1", b"2", b"3"]),
    pa.nulls(7),
]
TIMES = [
    pa.array(["2025-06-01T08:00:00Z", "2025-06-01 08:00:00", None, "", "2025-06-01", "1748764800", "noon"]),
    pa.array([MOMENT, MOMENT * 1000, None, -1, 2**63 - 1, 10**11, 10**11 - 1]),
    pa.array([MOMENT, 1, None, 0, 2**31 - 1, -5, MOMENT], pa.int32()),
    pa.array([MOMENT, 1, None, 0, 2**32 - 1, 5, MOMENT], pa.uint32()),
    *(
        pa.array([MOMENT * scale + 999, MOMENT * scale, None, -1, 0, 2**62, -(2**62)]).cast(kind)
        for scale, kinds in (
            (10**3, (pa.timestamp("ms"), pa.timestamp("ms", "UTC"))),
            (10**6, (pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("us", "Asia/Tokyo"))),
            (10**9, (pa.timestamp("ns"), pa.timestamp("ns", "UTC"))),
        )
        for kind in kinds
    ),
]
TEXTS = [
    pa.array(["app", " app", None, "", "é", "a\0b", "x" * 201]),
    pa.array([1, None, 0, -1, 2, 3, 4]),
    pa.array([1.0, None, 1.5, 2, 3, 4, 5]),
    pa.array([True, None, False, True, True, True, True]),
    pa.StringArray.from_buffers(7, *pa.array([b"a", b"\xff", b"", b"b", b"c", b"d", b"+49"]).buffers()[1:]),  # type: ignore[arg-type]  # both are there
]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("ids", IDS, ids=lambda column: str(column.type))
def test_parquet_columns_come_to_what_their_rows_come_to(write: Write, ids: pa.Array[Any], zone: str) -> None:
    """A column of answers, though it is empty, has every row looked at by itself."""
    for turn, times in enumerate(TIMES):
        texts = TEXTS[turn % len(TEXTS)]
        columns = {"msg_id": ids, "sent_at": times, "to": texts, "app_id": texts, "order_id": texts}
        at_once = write("a.parquet", parquet(columns))
        found = read(at_once, chunk_rows=100, log_zone=ZoneInfo(zone))
        write("a.parquet", parquet(columns | {"response": pa.nulls(7, pa.string())}))
        assert found == read(at_once, chunk_rows=100, log_zone=ZoneInfo(zone)), (times, texts)
