"""Hostile sent logs: a small file takes no more memory than an honest one, and its neighbours are read."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

MB = 1 << 20
MOST_MB = 400
TIME = "2025-06-01T08:00:00Z"
LONG = "x" * MB
READ = """
import json, sys
from pathlib import Path
from tests.support.sent_logs import listed, rules
from pipeline.collect.reading import read_sent_log

def peak_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

before, messages, reasons = peak_mb(), 0, []
for chunk in read_sent_log(listed(Path(sys.argv[1])), rules(labels=("labels",))):
    messages += chunk.messages.num_rows
    reasons += [reason.partition(":")[0] for reason in chunk.rejects["reason"].to_pylist()]
print(json.dumps([messages, sorted(set(reasons)), len(reasons), peak_mb() - before]))
"""


def parquet(path: Path, rows: int, *, use_dictionary: bool = True, **columns: pa.Array[Any]) -> None:
    plain: dict[str, Any] = {
        "msg_id": [str(number) for number in range(rows)],
        "sent_at": [TIME] * rows,
        "app_id": ["app"] * rows,
    }
    pq.write_table(pa.table(plain | columns), path, compression="zstd", use_dictionary=use_dictionary)


def always(value: str, rows: int) -> pa.Array[Any]:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def receipts(rows: int, messages: int, number: str) -> pa.Array[Any]:
    return pa.array([{"status": "0", "array": [{"msgId": "1", "number": number}] * messages}] * rows)


def labels(rows: int) -> pa.Array[Any]:
    return pa.array([[(f"k{number}", LONG) for number in range(10)]] * rows, pa.map_(pa.string(), pa.string()))


def lying(path: Path, rows: int) -> None:
    """Write values of 1 MiB in one page, and a footer that says they take few bytes."""
    values = pa.array([LONG] * rows)
    table = pa.table({"msg_id": [str(n) for n in range(rows)], "sent_at": [TIME] * rows, "sender_id": values})
    pq.write_table(
        table, path, compression="zstd", use_dictionary=False, data_page_size=2 << 30, write_statistics=False
    )
    group = pq.read_metadata(path).row_group(0)
    content = path.read_bytes()
    for size in (group.column(2).total_uncompressed_size, group.total_byte_size):
        said, lie = varint(size), varint(1000)
        lie = bytes(byte | 128 for byte in lie) + b"\x80" * (len(said) - len(lie) - 1) + b"\0"
        assert content.count(said) == 1
        content = content.replace(said, lie)
    path.write_bytes(content)
    assert pq.read_metadata(path).row_group(0).column(2).total_uncompressed_size == 1000


def varint(value: int) -> bytes:
    """Write a positive integer as Thrift does in a Parquet footer."""
    value, written = value * 2, b""
    while value > 127:
        value, written = value >> 7, written + bytes([value & 127 | 128])
    return written + bytes([value])


def lines(path: Path, *texts: str) -> None:
    with gzip.open(path, "wt", compresslevel=1) as log:
        log.writelines(text + "\n" for text in texts)


GOOD = json.dumps({"msg_id": "7", "sent_at": TIME, "app_id": "app"})
RECEIPT = json.dumps({"sent_at": TIME, "app_id": "app", "response": {"status": "0", "array": []}})
BOMBS: dict[str, tuple[str, Callable[[Path], None], int, list[str]]] = {
    "one long value in a dictionary": (
        "b.parquet",
        lambda path: parquet(path, 1000, sender_id=always(LONG, 1000)),
        1000,
        [],
    ),
    "long values in pages": (
        "b.parquet",
        lambda path: parquet(path, 600, use_dictionary=False, sender_id=pa.array([LONG] * 600)),
        0,
        ["line_too_long"],
    ),
    "long values in a page that the footer hides": ("b.parquet", lambda path: lying(path, 600), 0, ["line_too_long"]),
    "long values in lists": (
        "b.parquet",
        lambda path: parquet(path, 100, response=receipts(100, 10, LONG)),
        0,
        ["line_too_long"],
    ),
    "long values in maps": ("b.parquet", lambda path: parquet(path, 100, labels=labels(100)), 0, ["line_too_long"]),
    "a list of a million": (
        "b.parquet",
        lambda path: parquet(path, 2, response=receipts(2, 1_000_000, "1")),
        0,
        ["line_too_long"],
    ),
    "a receipt of two million rows": (
        "b.jsonl.gz",
        lambda path: lines(path, RECEIPT.replace("[]", "[" + "{}," * 2 * MB + "{}]"), GOOD),
        1,
        ["bad_response"],
    ),
    "long values in lines": (
        "b.jsonl.gz",
        lambda path: lines(path, *[GOOD.replace('"app"', f'"{LONG}"')] * 600),
        600,
        [],
    ),
    "half a million fields": (
        "b.jsonl.gz",
        lambda path: lines(path, "{" + ",".join(f'"k{number}":1' for number in range(500_000)) + "}", GOOD),
        1,
        ["no_id"],
    ),
    "100,000 lists in one another": (
        "b.jsonl.gz",
        lambda path: lines(path, GOOD[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}", GOOD),
        1,
        ["broken_line"],
    ),
    "a line of 200 MB": ("b.jsonl.gz", lambda path: lines(path, " " * 200 * MB, GOOD), 1, []),
    "a cell of 200 MB": (
        "b.csv.gz",
        lambda path: lines(path, "msg_id,sent_at,app_id", "x" * 200 * MB, f"7,{TIME},app"),
        1,
        ["line_too_long"],
    ),
    "a million cells": (
        "b.csv.gz",
        lambda path: lines(path, "msg_id,sent_at,app_id" + ",c" * MB, f"7,{TIME},app" + "," * MB),
        1,
        [],
    ),
}


QUICK: Final = {"long values in pages", "a receipt of two million rows", "half a million fields", "a million cells"}
"""One of each kind: bytes, rows, names, cells."""


@pytest.mark.parametrize(
    ("name", "write", "messages", "reasons"),
    [pytest.param(*bomb, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, bomb in BOMBS.items()],
)
def test_a_small_log_takes_little_memory_and_its_good_records_are_read(
    name: str, write: Callable[[Path], None], messages: int, reasons: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    write(path)
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, codes, _, peak_mb = json.loads(done.stdout)

    assert path.stat().st_size < 6 * MB
    assert (found, codes) == (messages, reasons)
    assert peak_mb < MOST_MB
