"""A broken part of a file costs itself alone: a member of gzip, a frame of zstd, a row group, a piece of a text."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.collect.rejects import REASONS
from tests.support.sent_logs import SENT, Row, read, writer

PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {"gz": gzip.compress, "zst": zstandard.compress}
ROWS: Final = 40
"""Records of each part."""
unhurried = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def record(index: int) -> Row:
    return SENT | {"msg_id": str(10**18 + index), "content": f"hello number {index * 7919 % 1000}"}


def ids(indexes: Sequence[int]) -> list[str]:
    return [str(10**18 + index) for index in indexes]


def part_of(ending: str, part: int) -> bytes:
    records = [record(index) for index in range(part * ROWS, (part + 1) * ROWS)]
    if ending == "jsonl":
        return "".join(json.dumps(each) + "\n" for each in records).encode()
    sink = io.StringIO()
    rows = csv.DictWriter(sink, record(0), lineterminator="\n")
    if part == 0:
        rows.writeheader()
    rows.writerows(records)
    return sink.getvalue().encode()


@pytest.mark.parametrize(("ending", "packer"), [(ending, packer) for ending in ("jsonl", "csv") for packer in PACKERS])
@unhurried
@given(fault=st.tuples(st.integers(1, 3), st.floats(0, 1), st.binary(min_size=4, max_size=60)))
def test_a_broken_compressed_part_costs_itself_alone(
    tmp_path: Path, ending: str, packer: str, fault: tuple[int, float, bytes]
) -> None:
    broken, place, noise = fault
    parts = [bytearray(PACKERS[packer](part_of(ending, part))) for part in range(4)]
    at = int(place * (len(parts[broken]) - len(noise)))
    if parts[broken][at : at + len(noise)] == noise:
        return
    parts[broken][at : at + len(noise)] = noise
    messages, rejects = read(writer(tmp_path)(f"a.{ending}.{packer}", b"".join(parts)), chunk_rows=50)
    others = [index for index in range(4 * ROWS) if index // ROWS != broken]
    found = {message["msg_id"] for message in messages}
    assert [msg_id for msg_id in ids(others) if msg_id not in found] == []
    places = [(row["line"], row["item"]) for row in [*messages, *rejects]]
    assert len(places) == len(set(places))


def row_groups(count: int, *, dictionary: bool) -> bytes:
    table = pa.Table.from_pylist([record(index) for index in range(count * ROWS)])
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=ROWS, use_dictionary=dictionary, compression="zstd")
    return sink.getvalue()


def weight(reject: Row) -> int:
    """Return for how many rows a reject stands, as its reason says."""
    return int(reject["reason"].rpartition("(")[2].split()[0]) if reject["reason"].endswith(" rows)") else 1


@pytest.mark.parametrize("dictionary", [True, False])
@unhurried
@given(group=st.integers(0, 3), column=st.integers(0, 3), place=st.floats(0, 0.9))
@example(group=1, column=0, place=0.0)
def test_a_broken_page_costs_its_row_group_alone_and_each_of_its_rows_is_counted(
    tmp_path: Path, group: int, column: int, place: float, *, dictionary: bool
) -> None:
    content = bytearray(row_groups(4, dictionary=dictionary))
    about = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(group).column(column)
    start = about.dictionary_page_offset if dictionary else about.data_page_offset
    at = (start or 0) + int(place * about.total_compressed_size)
    content[at : at + 8] = b"\xff" * min(8, (start or 0) + about.total_compressed_size - at)
    messages, rejects = read(writer(tmp_path)("a.parquet", bytes(content)), chunk_rows=50)
    others = [index for index in range(4 * ROWS) if index // ROWS != group]
    found = [message["msg_id"] for message in messages]
    assert [msg_id for msg_id in found if msg_id in set(ids(others))] == ids(others)
    assert len(messages) + sum(map(weight, rejects)) == 4 * ROWS
    assert all(group * ROWS < reject["line"] <= (group + 1) * ROWS for reject in rejects)


def test_the_reject_of_a_row_group_says_how_many_rows_it_stands_for(tmp_path: Path) -> None:
    content = bytearray(row_groups(4, dictionary=False))
    about = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(2).column(0)
    content[about.data_page_offset : about.data_page_offset + 30] = b"\xff" * 30
    messages, (reject,) = read(writer(tmp_path)("a.parquet", bytes(content)))
    assert len(messages) == 3 * ROWS
    assert (reject["line"], reject["reason"]) == (2 * ROWS + 1, f"broken_file: {REASONS['broken_file']} ({ROWS} rows)")


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def docker_line(text: str) -> str:
    return json.dumps({"log": text, "stream": "stdout", "time": "2025-06-01T08:00:09.5Z"})


def cri_line(text: str) -> str:
    return f"2025-06-01T08:00:09.5Z stdout {'F' if text.endswith(chr(10)) else 'P'} {text.rstrip(chr(10))}"


@pytest.mark.parametrize("line_of", [docker_line, cri_line])
@unhurried
@given(size=st.integers(20, 200), data=st.data())
def test_a_text_that_a_runtime_cut_is_one_record_and_a_lost_piece_costs_its_record_alone(
    tmp_path: Path, line_of: Callable[[str], str], size: int, data: st.DataObject
) -> None:
    texts = [(index, piece) for index in range(8) for piece in pieces(json.dumps(record(index)) + "\n", size)]
    lost = data.draw(st.none() | st.integers(0, len(texts) - 1))
    kept = [text for place, text in enumerate(texts) if place != lost]
    content = "".join(line_of(piece) + "\n" for _, piece in kept).encode()
    messages, rejects = read(writer(tmp_path)("a.log", content), chunk_rows=3)
    broken = None if lost is None else texts[lost][0]
    others = [index for index in range(8) if index != broken]
    assert [message["msg_id"] for message in messages if message["msg_id"] in set(ids(others))] == ids(others)
    lines = [row["line"] for row in [*messages, *rejects]]
    assert len(lines) == len(set(lines))
    assert lost is not None or rejects == []


def test_pieces_of_more_streams_than_are_held_are_rejects_of_their_own(tmp_path: Path) -> None:
    lines = [json.dumps({"log": '{"msg_id', "stream": str(number)}) for number in range(6000)]
    good = docker_line(json.dumps(record(1)) + "\n")
    messages, rejects = read(writer(tmp_path)("a.log", "\n".join([*lines, good, ""]).encode()), chunk_rows=1000)
    assert [message["msg_id"] for message in messages] == ids([1])
    assert [reject["line"] for reject in sorted(rejects, key=lambda each: each["line"])] == [*range(1, 6001)]
    assert {reject["reason"].partition(":")[0] for reject in rejects} == {"no_id", "unfinished_line"}
