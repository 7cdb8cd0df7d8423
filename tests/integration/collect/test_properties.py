"""Every record of a sent log ends in exactly one place, whichever way it goes."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.collect.formats.lines import lines_of
from tests.support.sent_logs import (
    ANSWER,
    Row,
    as_json,
    listed,
    read,
)

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


def outcomes(path: Path, content: bytes, **changes: Any) -> list[Row]:
    """Read a log of this content; return messages and rejects in order of lines."""
    path.write_bytes(content)
    messages, rejects = read(listed(path), **changes)
    return sorted([*messages, *rejects], key=lambda row: (row["line"], row["item"] or 0))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PLAIN, max_size=12), CHANGES, st.integers(1, 15))
def test_records_read_together_and_one_by_one_come_to_the_same(
    tmp_path: Path, records: list[Row], changes: Row, chunk_rows: int
) -> None:
    path = tmp_path / "a.jsonl"
    together = outcomes(path, as_json(records), chunk_rows=chunk_rows, **changes)
    alone = [
        row | {"line": line}
        for line, record in enumerate(records, 1)
        for row in outcomes(path, as_json([record]), **changes)
    ]
    assert together == alone


CALLS = st.fixed_dictionaries(
    {
        "sent_at": TIMES,
        "response": st.sampled_from([ANSWER, json.dumps(ANSWER), {"status": "1"}, "", None, "x"]),
    },
    optional={"app_id": TEXTS, "msg_id": IDS},
)
BETWEEN = b" \t\r\v\f\0,[]"
BROKEN = st.binary(max_size=12).map(lambda content: content.replace(b"\n", b"").replace(b"\r", b"").strip(BETWEEN))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PLAIN | CALLS | BROKEN, max_size=12), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_every_record_ends_in_exactly_one_place(
    tmp_path: Path, records: list[Row | bytes], ending: bytes, is_packed: bool
) -> None:
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in records]
    path = tmp_path / ("a.jsonl.gz" if is_packed else "a.jsonl")
    parts = [part.removeprefix(b"\xef\xbb\xbf") for part in parts]
    parts[:1] = [part for part in parts[:1] if not part.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b"))]
    content = ending.join(parts)
    path.write_bytes(gzip.compress(content) if is_packed else content)
    messages, rejects = read(listed(path))
    places = Counter((row["line"], row["item"]) for row in [*messages, *rejects])
    assert set(places.values()) <= {1}
    wanted = {number for number, part in enumerate(parts, 1) if part.strip(BETWEEN)}
    assert {line for line, _ in places} == wanted


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(PLAIN | CALLS, max_size=8), st.lists(st.tuples(st.integers(0, 8), BROKEN), max_size=4))
def test_broken_lines_change_nothing_for_the_others(
    tmp_path: Path, records: list[Row], broken: list[tuple[int, bytes]]
) -> None:
    path = tmp_path / "a.jsonl"
    lines: list[tuple[bool, bytes]] = [(True, json.dumps(record).encode()) for record in records]
    for place, line in broken:
        lines.insert(place, (False, b"{" + line))
    content = b"".join(line + b"\n" for _, line in lines)
    clean = outcomes(path, b"".join(line + b"\n" for is_good, line in lines if is_good))
    good_lines = [number for number, (is_good, _) in enumerate(lines, 1) if is_good]
    dirty = [row for row in outcomes(path, content) if row["line"] in good_lines]
    assert dirty == [row | {"line": good_lines[row["line"] - 1]} for row in clean]


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=20),
    st.integers(5, 60),
)
def test_lines_are_those_of_the_whole_however_it_is_cut_into_pieces(pieces: list[bytes], longest: int) -> None:
    whole = b"".join(pieces).split(b"\n")
    expected = [
        (number, line if len(line) <= longest else "line_too_long", number < len(whole))
        for number, line in enumerate(whole, 1)
        if number < len(whole) or line
    ]
    assert list(lines_of(pieces, longest=longest)) == expected
