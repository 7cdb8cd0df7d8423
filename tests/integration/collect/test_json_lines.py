"""Sent logs of JSON lines, clean and dirty."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.sent_logs import (
    ANSWER,
    GOOD,
    SENT,
    Row,
    Write,
    codes,
    lines,
    read,
    writer,
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


@pytest.mark.parametrize(
    ("content", "good", "bad"),
    [
        (b"\xef\xbb\xbf" + GOOD + b"\n", [1], []),
        (GOOD + b"\r\n" + GOOD + b"\r\n", [1, 2], []),
        (GOOD, [1], []),
        (b"\n  \n\r\n" + GOOD + b"\n\n", [4], []),
        (GOOD + b"\r" + GOOD + b"\n" + GOOD, [1, 2, 3], []),
        (GOOD[:20] + b"\n" + GOOD + b"\n", [2], [(1, "broken_line")]),
        (GOOD + b"\n" + GOOD[:20], [1], [(2, "unfinished_line")]),
        (GOOD[:-1] + b', "a": "\xff"}\n' + GOOD + b"\n", [1, 2], []),
        (GOOD.replace(b'"app"', b'"\xff"') + b"\n" + GOOD + b"\n", [2], [(1, "bad_encoding")]),
        (b"\xff{}\n" + GOOD + b"\n", [2], [(1, "broken_line")]),
        (b"\0" * 4096 + GOOD + b"\n" + GOOD, [1, 2], []),
        (b"\0" * 9 + b"\n" + GOOD, [2], []),
        (GOOD.replace(b"app", b"a\0p") + b"\n", [], [(1, "broken_line")]),
        (GOOD.replace(b'"app"', b'"a\\u0000p"') + b"\n", [1], []),
        (GOOD[:-1] + b', "content": "\\ud83d", "x": NaN}\n', [1], []),
        (b"[1]\n7\nnull\n" + GOOD, [4], [(1, "not_a_record"), (2, "not_a_record"), (3, "not_a_record")]),
        (b"[" * 5000 + b"\n" + GOOD, [2], []),
        (b'{"a":' * 5000 + b"\n" + GOOD, [2], [(1, "broken_line")]),
        (b'{"msg_id": ' + b"9" * 5000 + b"}\n" + GOOD, [2], [(1, "broken_line")]),
        (GOOD[:-1] + b', "msg_id": "7"}\n', [1], []),
        (b'{"data":' + b"[" * 900 + b"]" * 900 + b"}\n" + GOOD, [2], [(1, "no_id")]),
        (GOOD.replace(b"\n", b"") + b"\xe2\x80\xa8\n" + GOOD, [1, 2], [(1, "broken_line")]),
    ],
)
def test_dirty_json_lines(write: Write, content: bytes, good: list[int], bad: list[tuple[int, str]]) -> None:
    messages, rejects = read(write("a.jsonl", content))
    assert lines(messages) == good
    assert codes(rejects) == bad
    assert all(reject["raw"] in {None, "{}"} for reject in rejects)


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
            GOOD[:-1] + b', "sender_id": "' + filling + b'\xff"}',
            GOOD[:-1] + b', "content": "' + filling,
            b'["' + filling + b'"]',
            GOOD[:-1] + b', "content": "' + filling + b'\\ud800"}',
            GOOD + b"\n",
        ]
    )
    messages, rejects = read(write("a.jsonl", content))
    assert codes(rejects) == [(1, "bad_encoding"), (2, "broken_line"), (3, "not_a_record")]
    assert lines(messages) == [4, 5]


def test_two_broken_lines_are_not_one_record(write: Write) -> None:
    """A line break between `}` and `{`, a quote that is never closed."""
    odd = [b'{"msg_id": [{}', b'{}], "sent_at": 1}', GOOD.replace(b'"app"', b'"}'), b'{"' + GOOD[1:]]
    messages, rejects = read(write("a.jsonl", b"\n".join([GOOD, GOOD, *odd, GOOD, b""])), chunk_rows=2)
    assert lines(messages) == [1, 2, 7]
    assert codes(rejects) == [
        (3, "broken_line"),
        (4, "no_id"),
        (4, "broken_line"),
        (5, "broken_line"),
        (6, "broken_line"),
    ]


def test_an_integer_of_4301_digits_breaks_its_line_whatever_the_field(write: Write) -> None:
    short, endless, longest = (GOOD[:-1] + b', "more": ' + b"9" * digits + b"}\n" for digits in (1, 4301, 4300))
    messages, rejects = read(write("a.jsonl", short + endless + longest), chunk_rows=1)
    assert (lines(messages), codes(rejects)) == ([1, 3], [(2, "broken_line")])


def test_of_several_names_of_a_field_the_preferred_one_with_a_value_counts(write: Write) -> None:
    """The order of SPELLINGS decides, not the order in the record; of equal names the first counts."""
    records: list[Row] = [
        {"to": "1", "mobile": "2"}, {"to": "1", "mobile": ""}, {"mobile": "2", "to": None}, {"to": "1", "mobile": " "},
        {"number": "", "to": "1"}, {"number": "3", "to": "1"}, {"MOBILE": "4", "mobile": "5"},
        {"to": "1", "mobile": "2", "phone": "6"}, {"mobile": "5", "MOBILE": "4"},
    ]  # fmt: skip
    named = [{"msg_id": "7", "sent_at": SENT["sent_at"], "app_id": "app"} | record for record in records]
    content = b"".join(json.dumps(record).encode() + b"\n" for record in named)
    messages, _ = read(write("a.jsonl", content * 2), chunk_rows=len(records))
    assert [each["number"] for each in messages] == ["2", "1", "2", "1", "1", "3", "4", "2", "5"] * 2


@pytest.mark.parametrize("status", ["1", "-14", "", None, False, True])
def test_messages_of_a_receipt_with_another_status_were_not_sent(write: Write, status: object) -> None:
    def call(answer: Row) -> bytes:
        return json.dumps({"sent_at": 1748764800, "app_id": "app", "response": answer}).encode()

    sent, refused = ANSWER | {"array": [{"msgId": "1"}, {"msgId": "2"}]}, ANSWER | {"status": status}
    content = b"\n".join([call(sent), call(refused), call(sent), b""])
    messages, rejects = read(write("a.jsonl", content), chunk_rows=1)
    assert (lines(messages), codes(rejects)) == ([1, 1, 3, 3], [(2, "not_sent")])


def test_of_two_receipts_in_a_record_the_first_counts(write: Write) -> None:
    one, two = (json.dumps({"status": "0", "array": [{"msgId": msg_id}]}) for msg_id in "12")
    both = b'{"sent_at": 1748764800, "app_id": "app", "RESPONSE": %s, "Response": %s}\n' % (one.encode(), two.encode())
    second = both.replace(b"RESPONSE", b"x")
    messages, _ = read(write("a.jsonl", second + both + second + both), chunk_rows=1)
    assert [each["msg_id"] for each in messages] == ["2", "1", "2", "1"]
