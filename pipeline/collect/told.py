"""Rejects in words: how many for which reason, where the first is, and which logs are mostly unusable.

Belongs here: counting them, and the words. Does not belong here: why a record is rejected (`rejects`, `records`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import duckdb

from pipeline.collect.log_notes import looked_at_again
from pipeline.collect.records import IN_FUTURE
from pipeline.collect.rejects import REASONS
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.model.phone_numbers import mask_digits
from pipeline.model.printable import printable
from pipeline.model.settings import Settings
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES

WHOLE_FILE: Final = frozenset({"unknown_format", "no_header"})
"""Codes of which one reject stands for all records of a file."""
PART_OF_FILE: Final = frozenset({"cut_file", "broken_file"})
"""Codes of which one reject stands for all records from its line on, or for some of them."""
EXCUSED: Final = frozenset({"before_start", "in_future", "far_from_file_date", "not_sent", "unfinished_line"})
"""Codes that are no fault of the record: its date, a refusal of the platform, a line that waits for its end."""
WAITING: Final = frozenset({IN_FUTURE, "unfinished_line"})
"""Codes that hold for now: the log is read again when the record's time has come, or once it has grown or rested."""
_FIX: Final = "fix the log, or what writes it"
_NAME_FIELD: Final = "if the field has another name, give it in SMS_SENT_LOG_FIELDS"
_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no_id": f"{_NAME_FIELD} (msg_id=NAME)",
        "no_time": f"{_NAME_FIELD} (sent_at=NAME)",
        "bad_time": "give the pattern of its times in SMS_SENT_LOG_TIME_FORMAT",
        "no_app": "set SMS_APP_ID",
        "number_as_app": f"{_NAME_FIELD} (app_id=NAME)",
        "unknown_format": "leave the file out of SMS_SENT_LOGS, or give it the ending of its format",
        "no_header": f"give the file a header line; {_NAME_FIELD} (msg_id=NAME)",
    }
)
"""What to do for a code; for others `_FIX`."""


@dataclass(frozen=True)
class Told:
    """The rejects of one reason: records, logs that have one, the first place.

    Attributes:
        unweighed: rejects that do not say for how many records they stand.
        again_at: from when they are looked at again, for records in the future.
    """

    code: str
    records: int
    files: int
    first_file: str
    first_line: int
    unweighed: int = 1
    again_at: datetime | None = None

    @property
    def waits(self) -> bool:
        """Whether they are looked at again though nobody changes the log."""
        return self.code in WAITING

    @property
    def line(self) -> str:
        """The line for a person."""
        first = f"first {_shown(Path(self.first_file).name)}:{self.first_line}"
        waits = (" waits" if self.records == 1 else " wait") if self.waits else ""
        again = f"; looked at again from {self.again_at:%Y-%m-%d %H:%M} UTC" if self.again_at else ""
        return f"{self.code}: {self._weight}{waits}, {first}{again}"

    @property
    def _weight(self) -> str:
        if self.code in WHOLE_FILE:
            return "a whole file" if self.files == 1 else f"{self.files:,} whole files"
        if self.code in PART_OF_FILE and self.unweighed:
            return "a whole file or a part of it" if self.files == 1 else f"{self.files:,} whole files or parts of them"
        files = "1 file" if self.files == 1 else f"{self.files:,} files"
        return f"{self.records:,} {'record' if self.records == 1 else 'records'} in {files}"

    def and_of_later_logs(self, other: Told) -> Told:
        """Add the rejects of the same reason in other logs, which come later in order."""
        moments = [at for at in (self.again_at, other.again_at) if at]
        return replace(
            self,
            records=self.records + other.records,
            files=self.files + other.files,
            unweighed=self.unweighed + other.unweighed,
            again_at=min(moments, default=None),
        )

    def until(self, moment: datetime | None) -> Told:
        """Say from when records in the future are looked at again; other rejects stay as they are."""
        return replace(self, again_at=moment) if self.code == IN_FUTURE else self


def told_in(connection: duckdb.DuckDBPyConnection, source: str) -> list[Told]:
    """Count the rejects in a table with the columns of `reading.REJECTS_SCHEMA`, most records first."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW told_rejects AS SELECT * FROM {source}")
    return [Told(*row) for row in rows_of(connection, query("collect/sql/rejects_told"))]


def by_log(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, dict[str, int]]:
    """Count the rejects of each log by code, most records first."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW told_rejects AS SELECT * FROM {source}")
    counts: dict[str, dict[str, int]] = {}
    for label, code, records in rows_of(connection, query("collect/sql/rejects_by_log")):
        counts.setdefault(label, {})[code] = records
    return counts


def stored_rejects(*, lake: Lake, settings: Settings) -> list[Told]:
    """Count the rejects of all sent logs as they were read last.

    Raises:
        LakeError: the lake can't be read.
    """
    files = lake.snapshot(REJECTED_RECORDS).files
    if not files:
        return []
    with database(lake, settings) as connection:
        show_files(connection, REJECTED_RECORDS, files)
        told, logs = told_in(connection, _DISTINCT), by_log(connection, _DISTINCT)
    sent = lake.snapshot(SENT_MESSAGES)
    moments = [looked_at_again(label, sent) for label, codes in logs.items() if IN_FUTURE in codes]
    return [each.until(min(filter(None, moments), default=None)) for each in told]


_DISTINCT: Final = """(
  SELECT DISTINCT ON (file, line, item) * FROM rejected_records WHERE source = 'sent_log' ORDER BY rejected_at
)"""
"""The rejects of sent logs: two runs at once may have stored the same."""


def is_unusable(good: int, rejects: Mapping[str, int]) -> bool:
    """Say whether more than half of a log's records are rejected for what they are.

    Args:
        good: records that became messages.
        rejects: records that did not, by code.
    """
    if not WHOLE_FILE.isdisjoint(rejects) or (not good and not PART_OF_FILE.isdisjoint(rejects)):
        return True
    faulty = sum(count for code, count in rejects.items() if code not in EXCUSED)
    return 2 * faulty > good + sum(rejects.values())


def unusable_lines(labels: Collection[str], *, lake: Lake, settings: Settings) -> list[str]:
    """Say of logs that are unusable why, and what to do: one line each.

    Raises:
        LakeError: the lake can't be read.
    """
    if not labels:
        return []
    with database(lake, settings) as connection:
        show_files(connection, REJECTED_RECORDS, lake.snapshot(REJECTED_RECORDS).files)
        counts = by_log(connection, _DISTINCT)
    return [_unusable_line(label, counts.get(label, {})) for label in labels]


def _shown(label: str) -> str:
    return printable(mask_digits(label, is_own=True))


def _unusable_line(label: str, rejects: Mapping[str, int]) -> str:
    code = _main_code(rejects)
    count = "a whole file" if code in WHOLE_FILE else f"{rejects.get(code, 0):,} records"
    return (
        f"SMS_SENT_LOGS: {_shown(label)} is mostly unusable: {code}: {count} ({REASONS.get(code, code)}); "
        f"{remedy_for(code)}; "
        "`sms-delivery doctor` says how its fields are understood, and the next run reads it again"
    )


def remedy_for(code: str) -> str:
    """Say what to do about rejects of a code."""
    return _REMEDIES.get(code, _FIX)


def _main_code(rejects: Iterable[str]) -> str:
    codes = [code for code in rejects if code not in EXCUSED]
    return next((code for code in codes if code in WHOLE_FILE), next(iter(codes), "rejected"))
