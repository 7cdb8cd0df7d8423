"""A sent log to messages and rejects, chunk by chunk.

Belongs here: which format a file has, and the tables that its frames become.
Does not belong here: the formats (`formats`), the rules (`records`), finding files (`files`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute

from pipeline.collect.fields import FieldNames
from pipeline.collect.files import LogFile, LogFileGone, LogFileUnreadable
from pipeline.collect.formats.compression import pieces_of
from pipeline.collect.formats.csv import csv_frames
from pipeline.collect.formats.json import json_frames
from pipeline.collect.formats.lines import lines_of
from pipeline.collect.formats.parquet import parquet_frames
from pipeline.collect.formats.text import text_pieces
from pipeline.collect.frames import RawFrame
from pipeline.collect.log_names import CSV_ENDINGS, JSON_ENDINGS, LOG_ENDING, PARQUET_ENDING, format_of
from pipeline.collect.records import LogRules, Reject, apply_rules
from pipeline.collect.values import text_of
from pipeline.lake.parquet import arrow_schema
from pipeline.model.countries import countries_of
from pipeline.model.hidden_keys import ids_without_forgotten
from pipeline.model.phone_numbers import NO_NUMBERS, count_forgotten, treat_numbers, treat_texts
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES

MESSAGES_SCHEMA: Final = arrow_schema(SENT_MESSAGES).append(pa.field("item", pa.int64()))
"""`sent_messages`, and the index of a message in its record."""
REJECTS_SCHEMA: Final = pa.schema(
    [column for column in arrow_schema(REJECTED_RECORDS) if column.name not in {"source", "rejected_at"}]
)
"""What a sent log says of `rejected_records`."""
_pc: Any = pyarrow.compute  # its stubs know neither plain values as arguments nor what comes of them
_HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class LogChunk:
    """A part of one log, in order of lines.

    Attributes:
        messages: of MESSAGES_SCHEMA.
        rejects: of REJECTS_SCHEMA.
        position: byte of the file that was reached, for progress.
        again_at: from when the first of its records in the future no longer is; None where it has none.
        forgotten: messages whose number was dropped, since it was erased before.
        dropped: records that were left out, since their day was dropped (`SMS_KEEP_DAYS`).
    """

    messages: pa.Table
    rejects: pa.Table
    position: int
    again_at: datetime | None = None
    forgotten: int = 0
    dropped: int = 0

    @property
    def is_unfinished(self) -> bool:
        """Whether the file's last record is not whole."""
        return any(str(reason).startswith("unfinished_line:") for reason in self.rejects["reason"].to_pylist()[-1:])

    @property
    def records(self) -> int:
        """How many records it stands for."""
        return self.messages.num_rows + self.rejects.num_rows + self.dropped


def read_sent_log(
    file: LogFile, rules: LogRules, *, chunk_rows: int = 20_000, names: FieldNames | None = None
) -> Iterator[LogChunk]:
    """Read one log; each message and each reject is in one chunk, once.

    Shape:  chunks of about `chunk_rows` rows, more if one line holds more messages; an empty file has none.
    Memory: one chunk, one line of at most 8 MiB and one decompressed piece.
    Changes: while a file is being written, its last line may be rejected (`is_unfinished`): it must be read again.

    Raises:
        LogFileGone: the file was deleted.
        LogFileUnreadable: it can't be opened or read; chunks before are good.
    """
    try:
        with file.open() as stream:
            names = names or FieldNames(rules.labels, rules.fields)
            for frame in _frames_of(file, stream, chunk_rows, names, rules):
                if len(frame):
                    yield _chunk_of(frame, file, rules, stream.tell())
    except FileNotFoundError:
        raise LogFileGone(file) from None
    except OSError as error:
        raise LogFileUnreadable(file, error.strerror or "can't be read") from error


def _frames_of(
    file: LogFile, stream: IO[bytes], most_rows: int, names: FieldNames, rules: LogRules
) -> Iterator[RawFrame]:
    """Return the raw fields of a file of any format."""
    ending = format_of(file.path)
    if ending in JSON_ENDINGS:
        return json_frames(text_pieces(pieces_of(stream)), most_rows, names)
    if ending == LOG_ENDING and (pieces := _with_object(text_pieces(pieces_of(stream)))):
        return json_frames(pieces, most_rows, names)
    if ending in CSV_ENDINGS:
        lines = lines_of(text_pieces(pieces_of(stream)))
        return csv_frames(lines, most_rows, names, lambda: file.is_being_written(rules.now))
    if ending == PARQUET_ENDING:
        return parquet_frames(stream, most_rows, names)
    unknown = RawFrame(names)
    unknown.reject(1, "unknown_format")
    return iter([unknown])


def _with_object(pieces: Iterator[bytes]) -> Iterator[bytes] | None:
    """Return pieces that are empty, or whose first one has an object; None for another log."""
    first = list(islice(pieces, 1))
    return chain(first, pieces) if not first or b"{" in first[0] else None


def _folder_app_id(path: Path) -> str | None:
    """Return the app that a Hive folder `app_id=marketing1` names, the innermost first; None where there is none."""
    for folder in reversed(path.parts[:-1]):
        name, equals, value = folder.partition("=")
        if equals and FieldNames().field_of(name) == "app_id":
            return text_of(unquote(value)) if value != _HIVE_NULL else None
    return None


def _chunk_of(frame: RawFrame, file: LogFile, rules: LogRules, position: int) -> LogChunk:
    found, rejects, dropped = apply_rules(frame, rules, file.file_date, folder_app_id=_folder_app_id(file.path))
    if file.file_date and file.file_date < rules.kept_days.messages:  # the day that rejects are stored under
        rejects, dropped = [], dropped + len(rejects)
    again_at = min((reject.again_at for reject in rejects if reject.again_at), default=None)
    forgotten = count_forgotten(found["number"], rules.numbers)
    return LogChunk(_messages(found, file, rules), _rejects(rejects, file), position, again_at, forgotten, dropped)


def _messages(found: pa.Table, file: LogFile, rules: LogRules) -> pa.Table:
    """Add country and file, and treat the numbers: in this order."""
    columns: dict[str, Any] = {name: found[name] for name in found.column_names}
    columns["country"] = countries_of(found["number"])
    columns["number"] = treat_numbers(found["number"], rules.numbers)
    columns |= {name: treat_texts(found[name], rules.numbers) for name in ("sender_id", "order_id")}
    columns |= _without_old_numbers(columns, rules)
    columns["msg_id"] = ids_without_forgotten(found["msg_id"], rules.numbers.forgotten)
    columns["file"] = pa.repeat(file.label, found.num_rows)
    columns.setdefault("labels", pa.nulls(found.num_rows))
    return pa.table({name: columns[name] for name in MESSAGES_SCHEMA.names}, schema=MESSAGES_SCHEMA)


def _without_old_numbers(columns: Mapping[str, Any], rules: LogRules) -> dict[str, Any]:
    """Return the columns that lose numbers when `SMS_KEEP_NUMBERS_DAYS` are over, without those of old days."""
    is_old = _pc.less(columns["sent_date"], rules.kept_days.numbers)
    if not _pc.any(is_old).as_py():
        return {}
    order_id = treat_texts(columns["order_id"], NO_NUMBERS)
    return {
        "number": _pc.if_else(is_old, None, columns["number"]),
        "order_id": _pc.if_else(is_old, order_id, columns["order_id"]),
    }


def _rejects(rejects: Sequence[Reject], file: LogFile) -> pa.Table:
    columns: dict[str, Any] = {name: [getattr(reject, name) for reject in rejects] for name in Reject._fields}
    columns["file"] = [file.label] * len(rejects)
    columns["sent_date"] = [file.file_date] * len(rejects)
    return pa.table({name: columns[name] for name in REJECTS_SCHEMA.names}, schema=REJECTS_SCHEMA)
