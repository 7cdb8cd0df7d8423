"""Mutated bytes for the decoder and the log reader: no exception escapes, no id and no line vanishes.

A hundred thousand inputs each, from fixed seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import pandas as pd

from pipeline.api.envelope import Envelope, NotTheProtocolError, decode_envelope
from pipeline.api.flattening import Answer, flatten_reports
from pipeline.collect.files import LogFile
from pipeline.collect.reading import read_sent_log
from pipeline.collect.records import LogRules
from pipeline.model.phone_numbers import NumberPolicy

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
ASKED: Final = ("2611200954011000095", "2611200959531000096", "2611200959531000097")
ROWS: Final = [
    {"msgId": ASKED[0], "number": "91856321412", "receiveTime": "2026-11-20T17:30:03+08:00", "status": "0"},
    {"msgId": int(ASKED[1]), "number": 91856321413, "receiveTime": "", "status": -1, "pricedetail": {"pay": "0.1"}},
]
COUNTS: Final = {"success": "1", "fail": 0, "sending": "1", "nofound": 1}
ANSWER: Final = {"status": "0", "reason": "success", **COUNTS, "array": ROWS}
PLAIN_ROWS: Final = [
    {"msgId": msg_id, "number": "91856321412", "receiveTime": "2026-11-20T17:30:03+08:00", "status": status}
    for msg_id, status in zip(ASKED, ("0", "1", "-1"), strict=True)
]
PLAIN_ANSWER: Final = {"status": "0", "reason": "success", "success": "1", "fail": "1", "array": PLAIN_ROWS}
RECORDS: Final[tuple[dict[str, object], ...]] = (
    {"msg_id": ASKED[0], "sent_at": "2026-11-20T09:54:01Z", "app_id": "app", "number": "91856321412"},
    {"msgId": int(ASKED[1]), "timestamp": 1_795_168_441, "to": "+91 856321412", "from": "ACME", "order_id": 7},
    {"sent_at": 1_795_168_441_000, "response": {"status": "0", "array": [{"msgId": ASKED[2], "number": "44"}]}},
)
PIECES: Final = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\r", b"\t", b"[[[[", b"true", b"null", b"0.1", b"-0"),
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"1e999", b"9" * 40, b'"\\ud800"', b'"msgId":'),
)


def mutated(text: bytes, chance: Random) -> bytes:
    """Change, insert, cut or repeat a few bytes."""
    found = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(5):
            case 0:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                found[at:at] = chance.choice(PIECES)
            case 2:
                del found[at : at + chance.randint(1, 30)]
            case 3:
                found[at : at + chance.randint(1, 12)] = chance.choice(PIECES)
            case _:
                found[at:at] = found[max(0, at - 40) : at]
    return bytes(found)


def envelopes(answer: dict[str, Any], inputs: int, chance: Random) -> Iterator[Envelope]:
    """Yield what the decoder makes of mutated answers; what is not the protocol is said so."""
    text = json.dumps(answer).encode()
    for _ in range(inputs):
        try:
            yield decode_envelope(mutated(text, chance))
        except NotTheProtocolError:
            continue


def answers_of(answer: dict[str, Any], inputs: int, seed: int) -> list[Answer]:
    """Return what mutated answers are decoded to."""
    return [
        Answer(f"call-{number}", "app", NOW.date(), NOW, ASKED, envelope)
        for number, envelope in enumerate(envelopes(answer, inputs, Random(seed)))  # noqa: S311 - repeatable
    ]


def fuzz_decoder(inputs: int) -> None:
    answers = answers_of(ANSWER, inputs, 1)
    assert len(answers) > inputs // 20
    reports = flatten_reports(answers).reports
    found = list(zip(reports["call_id"], reports["msg_id"], strict=True))
    assert len(found) == len(set(found))
    assert set(found) == {(answer.call_id, msg_id) for answer in answers for msg_id in ASKED}


def fuzz_plain_answers(inputs: int) -> None:
    answers = answers_of(PLAIN_ANSWER, inputs, 3)
    flat = [answer for answer in answers if answer.envelope.flat]
    assert len(flat) > inputs // 20
    # Few at once, as one odd row among them leads all to be read one by one.
    for some in (flat[at : at + 5] for at in range(0, len(flat), 5)):
        one, other = flatten_reports(some), flatten_reports(map(read_one_by_one, some))
        order = ["call_id", "msg_id"]
        left, right = (flat.reports.sort_values(order, ignore_index=True) for flat in (one, other))
        pd.testing.assert_frame_equal(left, right)
        assert one.rejects.equals(other.rejects)
        assert one.mismatches == other.mismatches


def read_one_by_one(answer: Answer) -> Answer:
    """The same answer, so that each row of it is read on its own."""
    return replace(answer, envelope=replace(answer.envelope, flat=None, decoded=answer.envelope.rows))


def fuzz_log_reader(folder: Path, inputs: int) -> None:
    chance = Random(2)  # noqa: S311 - repeatable
    lines = [mutated(json.dumps(chance.choice(RECORDS)).encode(), chance).replace(b"\n", b" ") for _ in range(inputs)]
    path = folder / "sent-2026-11-20.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    file = LogFile(path, date(2026, 11, 20), path.stat().st_size, path.stat().st_mtime_ns)
    zone = ZoneInfo("UTC")
    rules = LogRules(zone, zone, None, date(2024, 1, 1), NOW, NumberPolicy())
    places: list[tuple[Any, Any]] = []
    for chunk in read_sent_log(file, rules):
        for table in (chunk.messages, chunk.rejects):
            places += zip(table["line"].to_pylist(), table["item"].to_pylist(), strict=True)
    filled = {number for number, line in enumerate(lines, 1) if line.strip(b" \t\r\x00\xef\xbb\xbf")}
    assert filled <= {line for line, _ in places}
    assert len(places) == len(set(places))


def test_a_hundred_thousand_mutated_answers_lose_no_id() -> None:
    fuzz_decoder(100_000)


def test_mutated_plain_answers_come_to_what_reading_them_row_by_row_does() -> None:
    fuzz_plain_answers(10_000)


def test_a_hundred_thousand_mutated_lines_lose_no_record(tmp_path: Path) -> None:
    fuzz_log_reader(tmp_path, 100_000)
