"""Sent logs of CSV rows, clean and dirty."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.collect.formats.lines import LONGEST_LINE_BYTES
from tests.support.sent_logs import (
    ANSWER,
    RESTED,
    Write,
    as_csv,
    codes,
    lines,
    listed,
    read,
    writer,
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


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
        (HEADER + b"7,2025-06-01T08:00:00Z,app\n" + ROW, [2, 3], []),
        (HEADER + ROW[:-1] + b",more\n" + ROW, [3], [(2, "broken_line")]),
        (HEADER + ROW + b"7,2025-06-01T08:0", [2], [(3, "bad_time")]),
        (HEADER + ROW[:-1] + b"\r" + ROW + ROW, [2, 3, 4], []),
        (HEADER + ROW[:-1] + b",,\n" + ROW, [2, 3], []),
        (HEADER + ROW.replace(b"hi", b"\xff") + ROW, [2, 3], []),
        (HEADER + ROW.replace(b"app", b"\xff") + ROW, [3], [(2, "bad_encoding")]),
        (HEADER + ROW.replace(b"app", b'"a\n\xff"') + ROW, [4], [(2, "bad_encoding")]),
        (HEADER + ROW.replace(b"hi", b"h\0i") + ROW, [2, 3], []),
        (HEADER + b"\0" * 512 + ROW, [2], []),
        (HEADER + ROW.replace(b"hi", b'"hi') + ROW * 3, [3, 4, 5], [(2, "broken_line")]),
        (HEADER + ROW.replace(b"hi", b'"hi') + ROW[:-1], [3], [(2, "broken_line")]),
        (HEADER + ROW.replace(b"hi", b'"hi') + ROW + ROW.replace(b"hi", b'by"'), [3, 4], [(2, "broken_line")]),
        (HEADER + ROW.replace(b"hi", b'"hi') + b"there\n" + ROW, [4], [(2, "broken_line"), (3, "bad_id")]),
        (HEADER + ROW.replace(b"hi", b'"h"i') + ROW, [3], [(2, "broken_line")]),
        (HEADER + ROW.replace(b"2108021054011000095", b"2.108e18") + ROW, [3], [(2, "bad_id")]),
        (ROW + ROW, [], [(1, "no_header"), (2, "no_id")]),
        (b'"\n' + ROW, [], [(1, "broken_line"), (2, "broken_line")]),
        (b"a\rb\n" + ROW, [], [(1, "no_header"), (2, "no_id"), (3, "broken_line")]),
        (b"msg_id,sent_at,app_id,msg_id\n7,2025-06-01T08:00:00Z,app,\n", [2], []),
    ],
)
def test_dirty_csv(write: Write, content: bytes, good: list[int], bad: list[tuple[int, str]]) -> None:
    messages, rejects = read(write("a.csv", content))
    assert lines(messages) == good
    assert codes(rejects) == bad


def test_a_quote_that_nobody_closes_costs_its_line_even_if_a_record_could_be_that_long(write: Write) -> None:
    rows = LONGEST_LINE_BYTES // 10_000 + 10
    messages, rejects = read(write("a.csv", HEADER + b'"' + (b"x" * 9_999 + b"\n") * rows + ROW), chunk_rows=10_000)
    assert codes(rejects)[0] == (2, "line_too_long")
    assert {code for _, code in codes(rejects)[1:]} == {"bad_id"}
    assert (lines(messages), len(rejects)) == ([rows + 2], rows)


@pytest.mark.parametrize(
    "line", [b'"a,b,c\n', b'a","\n', b'"""a\n', b'7,"\n', b'x,"y\n', b'"\n', b'a",b","\n', b'7,"a"",""\n']
)
def test_a_file_in_which_every_line_leaves_a_quote_open_takes_no_longer_than_others(write: Write, line: bytes) -> None:
    """Twenty thousand scans to the end of the file would take minutes."""
    messages, rejects = read(write("a.csv", HEADER + line * 20_000), chunk_rows=10_000)
    assert messages == []
    assert len(rejects) >= 10_000


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
    os.utime(file.path, (RESTED, RESTED))
    assert read(listed(file.path))[1] == []
