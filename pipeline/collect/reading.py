"""Sent logs: one file to its messages and rejects, chunk by chunk.

Belongs here: which format a file has. Does not belong here: the formats (`log_formats`), the tables
(`log_chunks`), the rules (`log_records`), finding files (`log_files`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.collect.chunks import MESSAGES_SCHEMA, REJECTS_SCHEMA, Batch, ChunkBuilder, Found, LogChunk
from pipeline.collect.files import LogFile
from pipeline.collect.formats.compression import LogFileGone, LogFileUnreadable, open_log, pieces_of, was_touched
from pipeline.collect.formats.csv import csv_records
from pipeline.collect.formats.json_lines import json_records
from pipeline.collect.formats.lines import blocks_of
from pipeline.collect.formats.parquet import parquet_records
from pipeline.collect.records import LogRules
from pipeline.collect.rejects import Reject, reason_of

__all__ = [
    "MESSAGES_SCHEMA",
    "REJECTS_SCHEMA",
    "LogChunk",
    "LogFileGone",
    "LogFileUnreadable",
    "read_sent_log",
]

COMPRESSIONS = (".gz", ".zst")
JSON_ENDINGS = (".jsonl", ".ndjson", ".json")


def read_sent_log(file: LogFile, rules: LogRules, *, chunk_rows: int = 20_000) -> Iterator[LogChunk]:
    """Read one log; every message and every reject is in one chunk, once.

    Shape:  chunks of about `chunk_rows` units; more only where one line holds more messages. An empty
            file has none.
    Memory: one chunk, one line of at most 8 MiB and what is decompressed at once.
    Changes: what is there is read. The last line of a file that is being written may be rejected
            (`logs.reasons.PROVISIONAL`) until the file is read again.

    Raises:
        LogFileGone: the file is not there any more.
        LogFileUnreadable: it can't be opened or read; chunks before are good.
    """
    builder = ChunkBuilder(file_name=file.label, file_date=file.file_date, rules=rules)
    try:
        for found in _records_of(file, chunk_rows):
            if isinstance(found, Batch):
                builder.add_batch(found)
            else:
                builder.add(*found)
            if builder.units >= chunk_rows:
                yield builder.take()
    except OSError as error:
        raise LogFileUnreadable(file, error.strerror or "can't be read") from error
    if builder.units:
        yield builder.take()


def _records_of(file: LogFile, most_lines: int) -> Iterator[Found | Batch]:
    """Yield the records of a file in whatever format, one by one or in batches of at most `most_lines` lines."""
    with open_log(file) as stream:
        ending, compression = _format_of(file.path)
        if ending in JSON_ENDINGS:
            yield from json_records(blocks_of(pieces_of(stream, compression)), most_lines)
        elif ending == ".csv":
            yield from csv_records(blocks_of(pieces_of(stream, compression)), most_lines, lambda: was_touched(file))
        elif ending == ".parquet" and not compression:
            yield from parquet_records(stream, most_lines)
        else:
            yield 1, Reject(None, reason_of("unknown_format")), 0


def _format_of(path: Path) -> tuple[str, str]:
    """Return the ending that tells the format, and that of the compression, empty where there is none."""
    ending = path.suffix.lower()
    if ending not in COMPRESSIONS:
        return ending, ""
    return Path(path.stem).suffix.lower(), ending
