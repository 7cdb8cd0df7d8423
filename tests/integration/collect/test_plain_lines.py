"""Lines read many at once come to what they come to one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.collect.chunks import Batch
from pipeline.collect.formats.json_lines import json_records
from pipeline.collect.formats.lines import Block
from pipeline.collect.plain_lines import MOST_NAMES, PlainDecoder
from pipeline.collect.records import LogRules, Message, read_record
from pipeline.collect.rejects import Reject
from tests.integration.collect.test_properties import BROKEN, CALLS, CHANGES, PLAIN
from tests.scenarios.test_fuzz import RECORDS, mutated
from tests.support.sent_logs import ANSWER, DAY, GOOD, SENT, Row, Write, codes, lines, listed, read, rules, writer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CALL = json.dumps(SENT | {"msg_id": None, "response": ANSWER | {"array": [{"msgId": "1"}, {"msgId": "2"}]}}).encode()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return writer(tmp_path)


def one_by_one(parts: Sequence[bytes], chosen: LogRules) -> Iterator[Row]:
    """Read each line by itself, by a reader that has not learnt any name: to it only `{}` is plain."""
    for number, part in enumerate(parts, 1):
        for found in json_records([Block(number, part + b"\n", is_ended=True)], 1):
            line, record, _ = (number, found.record_at(number), 0) if isinstance(found, Batch) else found
            refused = (record,) if isinstance(record, Reject) else None
            for outcome in refused or read_record(record, chosen, DAY):
                yield {"line": line} | _row_of(outcome)


def _row_of(outcome: Message | Reject) -> Row:
    row = outcome._asdict()
    if isinstance(outcome, Message):
        row["sent_at"] = EPOCH + timedelta(microseconds=row.pop("sent_at_us"))
    return row


def many_at_once(path: Path, *, chunk_rows: int, **changes: Any) -> Iterator[Row]:
    messages, rejects = read(listed(path), chunk_rows=chunk_rows, **changes)
    left_out = {"country", "file", "file_date"}
    for row in sorted([*messages, *rejects], key=lambda row: (row["line"], row["item"] or 0)):
        yield {name: value for name, value in row.items() if name not in left_out}


def batches(content: bytes, taught: bytes = GOOD) -> list[bool]:
    """Say of each thing that comes of `content` whether it is a batch, after `taught` was read."""
    blocks = [Block(1, taught + b"\n", is_ended=True), Block(2, content, is_ended=True)]
    return [isinstance(found, Batch) for found in json_records(blocks, 1000)][1:]


RECORD = (PLAIN | CALLS).map(json.dumps).map(str.encode)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(RECORD | BROKEN, min_size=1, max_size=12), CHANGES, st.sampled_from([b"\n", b"\r\n"]))
def test_lines_come_to_the_same_at_once_and_one_by_one(
    tmp_path: Path, parts: list[bytes], changes: Row, ending: bytes
) -> None:
    """Three times the same lines: the first teach the reader the names of the others."""
    path = tmp_path / "a.jsonl"
    content = (ending.join(parts) + ending) * 3
    path.write_bytes(content.removeprefix(b"\xef\xbb\xbf"))
    expected = list(one_by_one(path.read_bytes().split(b"\n")[:-1], rules(**changes)))
    assert list(many_at_once(path, chunk_rows=len(parts), **changes)) == expected


def decoded(decoder: PlainDecoder, content: bytes) -> object:
    return decoder.decode(content, content.count(b"\n"), 1)


def plain_among(parts: Sequence[bytes]) -> list[bytes]:
    """Return those that a reader takes many at once, once it has seen the records that they were made of."""
    decoder = PlainDecoder()
    for record in RECORDS:
        decoder.learn(record)
    return [part for part in parts if decoded(decoder, part + b"\n")]


def test_mutated_lines_that_pass_as_plain_come_to_the_same(tmp_path: Path) -> None:
    chance = Random(3)  # noqa: S311 - repeatable
    texts = [json.dumps(record).encode() for record in RECORDS]
    teaching = texts * 6
    plain = plain_among([mutated(chance.choice(texts), chance).replace(b"\n", b" ") for _ in range(60_000)])
    assert len(plain) > 3_000
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([*teaching, *plain]) + b"\n")
    now = {"now": datetime(2026, 12, 1, tzinfo=UTC)}
    expected = list(one_by_one([*teaching, *plain], rules(**now)))
    assert list(many_at_once(path, chunk_rows=1000, **now)) == expected


def test_plain_lines_between_mutated_ones_come_to_the_same(tmp_path: Path) -> None:
    chance = Random(4)  # noqa: S311 - repeatable
    texts = [json.dumps(record).encode() for record in RECORDS]
    parts = [mutated(text, chance) if chance.random() < 1 / 40 else text for text in chance.choices(texts, k=20_000)]
    content = b"\n".join(parts) + b"\n"
    (tmp_path / "a.jsonl").write_bytes(content)
    expected = list(one_by_one(content.split(b"\n")[:-1], rules()))
    assert list(many_at_once(tmp_path / "a.jsonl", chunk_rows=1000)) == expected


@pytest.mark.parametrize(
    "line",
    [
        GOOD,
        GOOD[:-1] + b"}\r",
        GOOD.replace(b'"2108021054011000095"', b"2108021054011000095"),
        GOOD.replace(b'"app"', b"null"),
        GOOD.replace(b'"app"', '"é \\u00e9 \\n"'.encode()),
        b'{"sent_at": 1, "msg_id": 1.5}',
    ],
)
def test_lines_of_known_names_are_read_at_once(line: bytes) -> None:
    assert batches((line + b"\n") * 20) == [True]


@pytest.mark.parametrize("extra", [b"1", b'"x\\u0000"', b'{"a": [1, {"msg_id": 7}]}', b"[[[]]]", b"null", b"1e400"])
def test_values_of_other_names_don_t_matter(extra: bytes) -> None:
    taught = GOOD[:-1] + b', "more": true}'
    assert batches((GOOD[:-1] + b', "more": ' + extra + b"}\n") * 20, taught) == [True]


def test_a_response_that_is_a_text_is_no_record_of_texts(tmp_path: Path) -> None:
    parts = [CALL, *[GOOD[:-1] + b', "response": "sent"}'] * 20]
    (tmp_path / "a.jsonl").write_bytes(b"".join(part + b"\n" for part in parts))
    expected = list(one_by_one(parts, rules()))
    assert list(many_at_once(tmp_path / "a.jsonl", chunk_rows=1000)) == expected


def test_calls_are_read_at_once() -> None:
    assert batches((CALL + b"\n" + GOOD + b"\n") * 20, CALL) == [True]


@pytest.mark.parametrize(
    "line",
    [
        GOOD + b" ",
        b" " + GOOD,
        GOOD + GOOD,
        b"\0" + GOOD,
        GOOD[:-1],
        GOOD[:-1] + b', "new": 1}',
        GOOD[:-1] + b', "msgId": "7"}',
        GOOD[:-1] + b', "number": NaN}',
        GOOD[:-1] + b', "number": "\\ud800"}',
        GOOD.replace(b"app", b"\xff"),
        GOOD.replace(b"app", b"a\tb"),
        b"[]",
        b"",
    ],
)
def test_an_odd_line_leaves_the_others_alone(line: bytes) -> None:
    found = batches((GOOD + b"\n") * 50 + line + b"\n" + (GOOD + b"\n") * 50)
    assert 2 <= found.count(True) <= 8
    assert found.count(False) <= 16


def test_two_broken_lines_are_not_one_record(write: Write) -> None:
    """With a newline between `}` and `{`, a line of two records, and as many values as lines."""
    odd = [b'{"msg_id": [{}', b'{}], "sent_at": 1}', GOOD + GOOD, GOOD.replace(b'"app"', b'"}'), b'{"' + GOOD[1:]]
    messages, rejects = read(write("a.jsonl", b"\n".join([GOOD, GOOD, *odd, GOOD, b""])), chunk_rows=2)
    assert lines(messages) == [1, 2, 8]
    assert codes(rejects) == [(line, "broken_line") for line in (3, 4, 5, 6, 7)]


def test_an_integer_that_python_does_not_read_breaks_its_line_whatever_the_field(write: Write) -> None:
    taught = GOOD[:-1] + b', "more": 1}\n'
    endless, longest = (GOOD[:-1] + b', "more": ' + b"9" * digits + b"}\n" for digits in (4301, 4300))
    messages, rejects = read(write("a.jsonl", taught + endless + longest), chunk_rows=1)
    assert (lines(messages), codes(rejects)) == ([1, 3], [(2, "broken_line")])


def test_of_several_names_of_a_field_the_preferred_that_says_something_counts(write: Write) -> None:
    """Whatever the order in which the reader met the names."""
    records: list[Row] = [
        {"to": "1", "mobile": "2"}, {"to": "1", "mobile": ""}, {"mobile": "2", "to": None}, {"to": "1", "mobile": " "},
        {"number": "", "to": "1"}, {"number": "3", "to": "1"}, {"MOBILE": "4", "mobile": "5"},
        {"to": "1", "mobile": "2", "phone": "6"}, {"mobile": "5", "MOBILE": "4"},
    ]  # fmt: skip
    content = b"".join(json.dumps({"msg_id": "7", "sent_at": SENT["sent_at"], "app": 1} | more).encode() + b"\n"
                       for more in records)  # fmt: skip
    messages, _ = read(write("a.jsonl", content * 3), chunk_rows=len(records), default_app_id="app")
    assert [each["number"] for each in messages] == ["2", "1", "2", "1", "1", "3", "4", "2", "5"] * 3


@pytest.mark.parametrize("status", ["1", "-14", "", None, False, True])
def test_rows_of_an_answer_that_says_something_else_were_not_sent(write: Write, status: object) -> None:
    refused = json.dumps({"sent_at": 1748764800, "app_id": "app", "response": ANSWER | {"status": status}}).encode()
    messages, rejects = read(write("a.jsonl", b"\n".join([CALL, CALL, refused, CALL, b""])), chunk_rows=1)
    assert lines(messages) == [1, 1, 2, 2, 4, 4]
    assert codes(rejects) == [(3, "not_sent")]


def test_of_two_answers_in_a_record_the_first_counts(write: Write) -> None:
    one, two = (json.dumps({"status": "0", "array": [{"msgId": msg_id}]}) for msg_id in "12")
    line = b'{"sent_at": 1748764800, "app_id": "app", "RESPONSE": %s, "Response": %s}\n' % (one.encode(), two.encode())
    taught = line.replace(b"RESPONSE", b"x").replace(b"1748764800", b"1748764801")
    messages, _ = read(write("a.jsonl", taught + line + taught + line), chunk_rows=1)
    assert [each["msg_id"] for each in messages] == ["2", "1", "2", "1"]


def test_names_without_end_are_not_remembered() -> None:
    decoder = PlainDecoder()
    for index in range(3 * MOST_NAMES):
        decoder.learn({"msg_id": "1", f"name {index}": 1})
    assert decoded(decoder, b'{"msg_id": "1", "name 3": 1}\n')
    assert decoded(decoder, b'{"msg_id": "1", "name 150": 1}\n') is None
