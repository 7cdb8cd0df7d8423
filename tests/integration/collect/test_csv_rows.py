"""Rows of CSV files: each in one place, at the line where it begins, whatever stands around it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.sent_logs import listed, read

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


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LINES | RAW, max_size=12), DELIMITERS, st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 4))
def test_chunks_of_any_size_hold_the_same_rows(
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
    assert read(listed(path), chunk_rows=chunk_rows) == read(listed(path), chunk_rows=1000)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LINES, max_size=12), DELIMITERS, st.sampled_from([b"\n", b"\r\n"]))
def test_every_row_is_in_one_place_at_the_line_where_it_begins(
    tmp_path: Path, rows: list[tuple[list[str], int]], delimiter: str, ending: bytes
) -> None:
    """Cells with line breaks, quotes and delimiters in them; rows that are too short or too long, too."""
    parts = [delimiter.join(NAMES).encode(), *(cells_as_line(cells, delimiter, quoting) for cells, quoting in rows)]
    path = tmp_path / "a.csv"
    path.write_bytes(ending.join(parts) + ending)
    begins = accumulate((part.count(b"\n") + 1 for part in parts), initial=1)
    wanted = [
        line
        for line, part, (cells, _) in zip(list(begins)[1:], parts[1:], rows, strict=False)
        if len(cells) > 1 or part.replace(b'"', b"").strip(b" \r\0")
    ]
    messages, rejects = read(listed(path))
    found = sorted(row["line"] for row in [*messages, *rejects])
    assert [line for line in found if line in wanted] == wanted
    assert len(found) == len(set(found))


def test_mutated_rows_come_to_the_same_alone(tmp_path: Path) -> None:
    """Rows in quotes that are whole, each in a file of its own, and all of them in one."""
    chance = Random(5)  # noqa: S311 - repeatable
    contents = ("hi", 'a "b", c', "é", "", "two\nlines")
    rows = []
    for index in range(300):
        cells = [str(index), *ROW[1:5], chance.choice(contents), ROW[6]]
        if chance.random() < 1 / 3:
            cells[chance.randrange(7)] = chance.choice(["", " ", "x", "=1", "NULL"])
        rows.append(cells_as_line(cells, ",", csv.QUOTE_ALL))
    head = ",".join(NAMES).encode()

    def found(name: str, lines: Sequence[bytes]) -> list[tuple[object, ...]]:
        path = tmp_path / name
        path.write_bytes(b"\n".join([head, *lines]) + b"\n")
        messages, rejects = read(listed(path), chunk_rows=100)
        ordered = sorted([*messages, *rejects], key=lambda row: row["line"])
        return [(row.get("msg_id"), row.get("number"), row.get("reason"), row.get("raw")) for row in ordered]

    assert found("all.csv", rows) == [row for each in rows for row in found("one.csv", [each])]


MUTATIONS = [b'"', b'""', b",", b"\r", b"\n", b"\0", b" ", b'",', b',"', b"\xff", b"\\"]


def mutated_rows(chance: Random, count: int) -> Iterator[bytes]:
    """Make rows, one in ten with some bytes replaced by quotes, line breaks and others that CSV cares about."""
    contents = ("hi", 'a "b", c', "é", "", "two\nlines")
    texts = [cells_as_line([*ROW[:5], content, ROW[6]], ",", csv.QUOTE_MINIMAL) for content in contents]
    for _ in range(count):
        row = bytearray(chance.choice(texts))
        if chance.random() < 1 / 10:
            at = chance.randrange(len(row) + 1)
            row[at : at + chance.randint(0, 2)] = chance.choice(MUTATIONS)
        yield bytes(row)


def parsed(texts: Sequence[str]) -> list[str] | None:
    """Parse lines that should be one record; None where they are not, or not yet."""
    reader = csv.reader(texts, strict=True, skipinitialspace=True)
    try:
        return next(reader) if texts else None
    except csv.Error:
        return None


def is_escaped_row(text: str) -> bool:
    r"""Tell whether a line is a row in which `\"` stands for a quote."""
    try:
        rows = list(csv.reader([text], strict=True, skipinitialspace=True, escapechar="\\"))
    except csv.Error:
        return False
    return '\\"' in text and bool(rows) and len(rows[0]) == len(NAMES)


def is_row(text: str) -> bool:
    cells = parsed([text]) or []
    return len(cells) == len(NAMES) and cells[0].strip().isdigit() and not cells[0].strip().startswith("0")


def one_by_one(content: bytes) -> Iterator[tuple[int, bool]]:
    """Try each number of lines for each record; yield its line, and whether it is a row."""
    plain = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n")
    texts = [line.lstrip(b"\0").decode("utf-8", "replace") + "\n" for line in plain.split(b"\n")]
    at = 0
    while at < len(texts):
        until = next((later for later in range(at + 1, len(texts)) if is_row(texts[later])), len(texts))
        spans = (span for span in range(1, until - at + 1) if parsed(texts[at : at + span]) is not None)
        span = next(spans, 0)
        row = parsed(texts[at : at + span]) or []
        if span and not any(cell.strip() for cell in row[len(NAMES) :]):
            if len(row) > 1 or "".join(row).strip():
                yield at + 1, "\ufffd" not in "".join(row[:5])
            at += span
        else:
            yield at + 1, is_escaped_row(texts[at].removesuffix("\n"))
            at += 1


def test_each_of_twenty_thousand_mutated_rows_ends_in_exactly_one_place(tmp_path: Path) -> None:
    rows = mutated_rows(Random(6), 20_000)  # noqa: S311 - repeatable
    content = b"\n".join([",".join(NAMES).encode(), *rows]) + b"\n"
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    _, *expected = one_by_one(content)
    messages, rejects = read(listed(path), chunk_rows=5000)
    assert sorted(row["line"] for row in [*messages, *rejects]) == [line for line, _ in expected]
    assert {row["line"] for row in messages} <= {line for line, is_whole in expected if is_whole}
    misfits = {row["line"] for row in rejects if row["raw"] is None}
    assert misfits == {line for line, is_whole in expected if not is_whole}
    assert len(misfits) > 300


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
    messages, rejects = read(listed(path), chunk_rows=1000)
    places = [row["line"] for row in [*messages, *rejects]]
    odd_lines = line.count(b"\n") + 1
    assert {*range(2, 22), *range(22 + odd_lines, 42 + odd_lines)} <= {row["line"] for row in messages}
    assert len(places) == len(set(places))
