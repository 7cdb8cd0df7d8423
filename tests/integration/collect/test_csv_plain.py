"""CSV lines read many at once come to what they come to one by one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.collect.chunks import Batch, ChunkBuilder
from pipeline.collect.formats.csv import csv_records
from pipeline.collect.formats.lines import Block, blocks_of, lines_of
from tests.support.sent_logs import DAY, Row, listed, read, rules

NAMES = ["msg_id", "sent_at", "app_id", "to", "from", "content", "timestamp"]
ROW = ["2108021054011000095", "2025-06-01T08:00:00Z", "app", "+4915112345678", "ACME", "hi", "1748764800"]
CELLS = st.sampled_from(
    [
        "7", " 7", "2108021054011000095", "2025-06-01T08:00:00Z", "1748764800", "", "  ", "app", "+49151", "a b ", "é",
        'say "hi"', "a,b", "a;b", "two\nlines", "two\r\nlines", '"', '""', "a\0b", "x" * 300, "=1+1", "\ufeff", "'",
        "NULL", "true", "\\", "\\,", "\x1c", "\u2028",
    ]
)  # fmt: skip
RAW = st.sampled_from(
    [b"", b" ", b'"', b'"a"b,c', b"a\rb", b"\0\0", b"\xff,1", b',"', b"a,b,c,d,e,f,g,h", b'1,"2\n3",4', b'a"b,"c""d"']
)
DELIMITERS = st.sampled_from([",", ";", "\t", "|"])


def cells_as_line(cells: Sequence[str], delimiter: str, quoting: int) -> bytes:
    sink = io.StringIO()
    csv.writer(sink, delimiter=delimiter, lineterminator="", quoting=quoting).writerow(cells)  # type: ignore[arg-type]  # one of csv's
    return sink.getvalue().encode()


LINES = st.builds(
    lambda cells, quotes_all: (cells, csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL),
    st.lists(CELLS, min_size=len(NAMES), max_size=len(NAMES)) | st.lists(CELLS, max_size=9) | st.just(ROW),
    st.booleans(),
)


def one_by_one(path: Path) -> tuple[list[Row], list[Row]]:
    """Read a log whose lines come one by one, so that there are never enough of them to be read at once."""
    builder = ChunkBuilder(file_name=str(path), file_date=DAY, rules=rules())
    with path.open("rb") as pieces:
        lines = [Block(*line) for line in lines_of(pieces)]
    blocks = [
        replace(line, content=line.content + b"\n") if line.is_ended and line.content is not None else line
        for line in lines
    ]
    for found in csv_records(blocks, 1000, lambda: False):
        assert not isinstance(found, Batch)
        builder.add(*found)
    chunk = builder.take()
    return chunk.messages.to_pylist(), chunk.rejects.to_pylist()


def many_at_once(path: Path, chunk_rows: int) -> tuple[list[Row], list[Row]]:
    return read(listed(path), chunk_rows=chunk_rows)


def batches(content: bytes, most_lines: int) -> Iterator[int]:
    """Yield how many rows each batch has, 0 for a row that was read by itself."""
    for found in csv_records(blocks_of([content]), most_lines, lambda: False):
        yield sum(len(rows.lines) for rows in found.rows) if isinstance(found, Batch) else 0


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LINES | RAW, max_size=12), DELIMITERS, st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 4))
def test_rows_come_to_the_same_at_once_and_one_by_one(
    tmp_path: Path,
    rows: list[tuple[list[str], int] | bytes],
    delimiter: str,
    ending: bytes,
    chunk_rows: int,
) -> None:
    head = delimiter.join(NAMES).encode()
    parts = [each if isinstance(each, bytes) else cells_as_line(each[0], delimiter, each[1]) for each in rows]
    path = tmp_path / "a.csv"
    path.write_bytes(ending.join([head, *parts]) + ending * (chunk_rows % 2))
    assert many_at_once(path, chunk_rows) == one_by_one(path)


def test_mutated_rows_come_to_the_same(tmp_path: Path) -> None:
    chance = Random(5)  # noqa: S311 - repeatable
    text = [
        cells_as_line([*ROW[:5], content, ROW[6]], ",", csv.QUOTE_MINIMAL) for content in ("hi", 'a "b", c', "é", "")
    ]
    pieces = [b'"', b'""', b",", b"\r", b"\n", b"\0", b" ", b'",', b',"', b"\xff", b"\\"]
    lines = []
    for _ in range(20_000):
        line = bytearray(chance.choice(text))
        if chance.random() < 1 / 10:
            at = chance.randrange(len(line) + 1)
            line[at : at + chance.randint(0, 2)] = chance.choice(pieces)
        lines.append(bytes(line))
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n".join([",".join(NAMES).encode(), *lines]) + b"\n")
    assert many_at_once(path, 5000) == one_by_one(path)


def test_plain_rows_are_read_at_once() -> None:
    plain = cells_as_line(ROW, ",", csv.QUOTE_MINIMAL) + b"\n"
    quoted = cells_as_line([*ROW[:5], 'a "b", c', "1"], ",", csv.QUOTE_ALL) + b"\r\n"
    head = ",".join(NAMES).encode() + b"\n"
    assert list(batches(head + (plain + quoted) * 50, 1000)) == [100]
    assert list(batches(head + plain * 50 + b"x\n" + plain * 50, 1000)) == [50, 0, 50]
    assert list(batches(head + plain * 100, 40)) == [40, 40, 20]


PLAIN = cells_as_line(ROW, ",", csv.QUOTE_MINIMAL)


@pytest.mark.parametrize(
    "line",
    [
        PLAIN.replace(b"ACME", b'"AC"ME'),
        PLAIN.replace(b"ACME", b'"AC" "ME"'),
        PLAIN.replace(b"ACME", b'A"C"ME'),
        PLAIN.replace(b"ACME", b' "ACME"'),
        PLAIN.replace(b"ACME", b'"ACME" '),
        PLAIN.replace(b"ACME", b'"AC\nME"'),
        PLAIN.replace(b"ACME", b'""ACME""'),
        PLAIN.replace(b"ACME", b"AC\rME"),
        PLAIN.replace(b"ACME", b"AC\0ME"),
        PLAIN.replace(b"ACME", b"AC\xffME"),
        b"\0\0" + PLAIN,
        PLAIN.rpartition(b",")[0] + b"\n" + PLAIN + b",",
        PLAIN + b",\n" + PLAIN.rpartition(b",")[0],
        PLAIN + b"\r",
        PLAIN + b",",
        PLAIN[:-1] + b'"',
        b"",
        b"\r",
        b'"' * 6,
    ],
)
def test_an_odd_row_leaves_the_others_alone(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n".join([",".join(NAMES).encode(), *[PLAIN] * 20, line, *[PLAIN] * 20, b""]))
    messages, rejects = many_at_once(path, 1000)
    assert (messages, rejects) == one_by_one(path)
    assert len(messages) >= 40
