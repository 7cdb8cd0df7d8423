"""Mutated lines for the log reader: no exception escapes, and no record vanishes or doubles.

A hundred thousand inputs, from a fixed seed.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

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


def fuzz_log_reader(folder: Path, inputs: int) -> None:
    chance = Random(2)  # noqa: S311 - repeatable
    lines = [
        mutated(json.dumps(chance.choice(RECORDS)).encode(), chance).translate(bytes.maketrans(b"\n\r", b"  "))
        for _ in range(inputs)
    ]
    path = folder / "sent-2026-11-20.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    file = LogFile(path, date(2026, 11, 20), path.stat().st_size, path.stat().st_mtime_ns)
    zone = ZoneInfo("UTC")
    rules = LogRules(zone, zone, None, date(2024, 1, 1), NOW, NumberPolicy())
    places: list[tuple[Any, Any]] = []
    for chunk in read_sent_log(file, rules):
        for table in (chunk.messages, chunk.rejects):
            places += zip(table["line"].to_pylist(), table["item"].to_pylist(), strict=True)
    begun = {number for number, line in enumerate(lines, 1) if line.lstrip(b" \t\x00,[]").startswith(b"{")}
    assert begun <= {line for line, _ in places}
    assert len(places) == len(set(places))


def test_a_hundred_thousand_mutated_lines_lose_no_record(tmp_path: Path) -> None:
    fuzz_log_reader(tmp_path, 100_000)
