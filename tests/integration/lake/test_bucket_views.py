"""Views of objects in a bucket are read from this machine's copies, by all threads of DuckDB at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.lake.bucket_views import CopiedObjects

ROWS, GROUP_ROWS = 200_000, 10_000
OBJECT = "s3://bucket/lake/rows.parquet"


@pytest.fixture
def objects(tmp_path: Path) -> CopiedObjects:
    texts = [f"{number * 2654435761 % 2**32:032}" for number in range(ROWS)]
    pq.write_table(pa.table({"n": range(ROWS), "text": texts}), tmp_path / "rows.parquet", row_group_size=GROUP_ROWS)
    copies: Any = SimpleNamespace(folder=tmp_path, store=SimpleNamespace(url="s3://bucket/lake"), bring=lambda _: None)
    return CopiedObjects(copies)


def test_threads_that_share_a_file_read_what_each_asked_for(objects: CopiedObjects) -> None:
    for _ in range(10):
        with duckdb.connect(config={"threads": 4, "enable_external_file_cache": "false"}) as connection:
            connection.register_filesystem(objects)
            read = connection.execute(f"SELECT count(*), sum(n), count(DISTINCT text) FROM '{OBJECT}'").fetchall()
            assert read == [(ROWS, ROWS * (ROWS - 1) // 2, ROWS)]


def test_a_thread_between_seek_and_read_of_another_moves_it_nowhere(objects: CopiedObjects, tmp_path: Path) -> None:
    content = (tmp_path / "rows.parquet").read_bytes()
    with objects.open(OBJECT) as file:
        file.seek(100)
        thread = threading.Thread(target=lambda: (file.seek(5000), file.read(10)))
        thread.start()
        thread.join()
        assert file.read(50) == content[100:150]
        assert file.tell() == 150
        file.seek(-4, os.SEEK_END)
        assert file.read() == b"PAR1"
        assert file.read(10) == b""
