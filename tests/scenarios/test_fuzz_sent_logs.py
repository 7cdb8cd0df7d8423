"""Mutated records for the log reader: no exception escapes, no record vanishes or doubles, no neighbour is harmed.

A hundred thousand inputs, from a fixed seed: lines, CSV with quotes and line breaks, shippers' wrappers, arrays, and
objects over several lines. Behind each mutated record stands a good one, which must be stored whatever comes before it.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from pipeline.collect.files import LogFile
from pipeline.collect.reading import read_sent_log
from pipeline.collect.records import LogRules
from pipeline.model.phone_numbers import NumberPolicy
from tests.scenarios.mutations import mutated

NOW: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
ASKED: Final = ("2611200954011000095", "2611200959531000096", "2611200959531000097")
RECORDS: Final[tuple[dict[str, object], ...]] = (
    {"msg_id": ASKED[0], "sent_at": "2026-11-20T09:54:01Z", "app_id": "app", "number": "91856321412"},
    {"msgId": int(ASKED[1]), "timestamp": 1_795_168_441, "to": "+91 856321412", "from": "ACME", "order_id": 7},
    {"sent_at": 1_795_168_441_000, "response": {"status": "0", "array": [{"msgId": ASKED[2], "number": "44"}]}},
)
TEXTS: Final = ('a "quoted" text', "plain", "two\nlines", "with, comma", "'guarded")
FIRST_GOOD: Final = 7_000_000_000_000_000_000
Write = Callable[[Mapping[str, object], str], bytes]
"""Makes a record of its fields and a message text."""


@dataclass(frozen=True)
class Shape:
    """How records stand in a file: its name, what is before, between and behind them, and how one is written."""

    name: str
    write: Write
    before: bytes = b""
    between: bytes = b"\n"
    behind: bytes = b"\n"


def as_line(record: Mapping[str, object], text: str) -> bytes:
    return json.dumps({**record, "text": text}).encode()


def as_row(record: Mapping[str, object], text: str) -> bytes:
    row = io.StringIO()
    cells = (record.get("msg_id", ASKED[1]), record.get("sent_at", "2026-11-20T09:54:01Z"), "app", text)
    csv.writer(row, lineterminator="").writerow(cells)
    return row.getvalue().encode()


def as_wrapped(record: Mapping[str, object], text: str) -> bytes:
    return json.dumps({"log": as_line(record, text).decode() + "\n", "stream": "stdout"}).encode()


def as_object(record: Mapping[str, object], text: str) -> bytes:
    return json.dumps({**record, "text": text}, indent=2).encode()


SHAPES: Final = {
    "lines": Shape("sent-2026-11-20.jsonl", as_line),
    "csv": Shape("sent-2026-11-20.csv", as_row, before=b"msg_id,sent_at,app_id,text\n"),
    "wrappers": Shape("sent-2026-11-20.jsonl", as_wrapped),
    "array": Shape("sent-2026-11-20.json", as_line, before=b"[\n", between=b",\n", behind=b"\n]\n"),
    "objects": Shape("sent-2026-11-20.json", as_object),
}


def fuzz(shape: Shape, path: Path, inputs: int) -> None:
    """Write a log of mutated records, a good one behind each, read it, and count."""
    chance, good = Random(2), [str(FIRST_GOOD + number) for number in range(inputs)]  # noqa: S311 - repeatable
    records: list[bytes] = []
    for msg_id in good:
        records.append(mutated(shape.write(chance.choice(RECORDS), chance.choice(TEXTS)), chance))
        records.append(shape.write(RECORDS[0] | {"msg_id": msg_id}, "plain"))
    path.write_bytes(shape.before + shape.between.join(records) + shape.behind)
    os.utime(path, (NOW.timestamp() - 3600,) * 2)
    ids, places = read_all(path)

    assert [msg_id for msg_id in good if ids[msg_id] != 1] == []
    assert len(places) == len(set(places))
    assert len(places) >= inputs


def read_all(path: Path) -> tuple[Counter[str], list[tuple[Any, Any]]]:
    """Return how often each id was stored, and the place of each message and each reject."""
    file = LogFile(path, date(2026, 11, 20), path.stat().st_size, path.stat().st_mtime_ns)
    zone = ZoneInfo("UTC")
    rules = LogRules(zone, zone, None, date(2024, 1, 1), NOW, NumberPolicy())
    ids: Counter[str] = Counter()
    places: list[tuple[Any, Any]] = []
    for chunk in read_sent_log(file, rules):
        stored: list[Any] = chunk.messages["msg_id"].to_pylist()
        ids.update(stored)
        for table in (chunk.messages, chunk.rejects):
            places += zip(table["line"].to_pylist(), table["item"].to_pylist(), strict=True)
    return ids, places


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_twenty_thousand_mutated_records_harm_no_neighbour(shape: Shape, tmp_path: Path) -> None:
    fuzz(shape, tmp_path / shape.name, 20_000)


def test_each_line_that_begins_like_a_record_is_a_message_or_a_reject(tmp_path: Path) -> None:
    chance = Random(3)  # noqa: S311 - repeatable
    lines = [
        mutated(json.dumps(chance.choice(RECORDS)).encode(), chance).translate(bytes.maketrans(b"\n\r", b"  "))
        for _ in range(20_000)
    ]
    path = tmp_path / "sent-2026-11-20.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    _, places = read_all(path)
    begun = {number for number, line in enumerate(lines, 1) if line.lstrip(b" \t\x00,[]").startswith(b"{")}

    assert begun <= {line for line, _ in places}
    assert len(places) == len(set(places))
