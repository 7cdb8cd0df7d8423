"""Use case: store the reports that `sms-delivery listen` took, in `pushed_reports`.

What belongs here: reading each line once, the day of its message, moving reports whose message is logged later. What
does not: the files (`push_files.py`), taking pushes (`api/push_server.py`), what a push decides: nothing (`follow`).

One commit stores the reports of some lines and notes how far their file was read, so a run that dies, or two at once,
store no line twice. A report whose message no log has lies in the partition without a day, until a log has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Final, Literal

import duckdb
import msgspec
import pyarrow as pa

from pipeline.collect.push_files import Lines, PushFile, delete_if_done, line_number, lines_of, push_files
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import DataFile, Lake, Snapshot, retry
from pipeline.lake.notes import days_changed, forgotten_messages, forgotten_numbers
from pipeline.lake.parquet import arrow_schema
from pipeline.lake.queries import database, query, rows_of, show_files, write_partition
from pipeline.model.hidden_keys import id_without_forgotten, is_number_as_app
from pipeline.model.json_fields import fit_json
from pipeline.model.phone_numbers import NumberPolicy, mask_text, treat_number
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import PUSHED_REPORTS, REJECTED_RECORDS, SENT_MESSAGES

PUSHES: Final = "pushed_reports"
"""Name of the lock that a reader of the files holds, and of this step as a reader of `sent_messages`."""
_READ: Final = "pushed:"
"""Beginning of the application transactions whose version is how many bytes of a file were read."""
_MOVED: Final = "pushed_moves"
_RECENT: Final = timedelta(days=4)
"""Days of sending that are looked at first: nearly all reports are of them."""
_MONEY: Final = Decimal(10) ** -12
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Line(msgspec.Struct):
    """A line as `api/pushes.py` writes it: a report, or what can't be used and why."""

    received_at: _Instant
    app_id: str = ""
    msg_id: Annotated[str, msgspec.Meta(pattern="^[0-9]{0,32}$")] = ""
    status: Literal["delivered", "failed", ""] = ""
    number: str | None = None
    reason: str | None = None
    mcc: str | None = None
    mnc: str | None = None
    reported_at: _Instant | None = None
    price: Decimal | None = None
    pay: Decimal | None = None
    currency: str | None = None
    charge_count: int | None = None
    extra: str | None = None
    rejected: str | None = None
    raw: str | None = None


@dataclass
class PushTally:
    """What was taken: reports stored, those of them that no log has, lines rejected, reports whose message came later.

    Attributes:
        waiting: reports in the lake that no log has, those of earlier runs too.
    """

    reports: int = 0
    unlogged: int = 0
    rejected: int = 0
    moved: int = 0
    waiting: int = 0


def take_pushed(*, lake: Lake, settings: Settings, now: datetime) -> PushTally:
    """Store what the files of `SMS_PUSHED_REPORTS` hold and was not read; delete files that are over and read.

    Raises:
        LakeError: the lake can't be read or written.
    """
    tally, files = PushTally(), push_files(settings.pushed_reports)
    if not files and not lake.snapshot(PUSHED_REPORTS).files:
        return tally
    with (
        lake.lock(PUSHES),
        days_changed(lake, [SENT_MESSAGES], reader=PUSHES) as changed,
        database(lake, settings) as connection,
    ):
        first = kept_days(lake).messages
        tally.moved = retry(partial(_move, connection, lake, {day for day in changed if day >= first}))
        reader = _Reader(connection, lake, settings, now, tally)
        for file in files:
            reader.read(file)
    waiting = lake.snapshot(PUSHED_REPORTS).of([None])
    tally.waiting = sum(file.rows for file in waiting)
    return tally


def has_unread(*, lake: Lake, settings: Settings) -> bool:
    """Say whether a file has lines that no run has read; none is opened.

    Raises:
        LakeError: the lake can't be read.
    """
    return bool(unread_files(lake=lake, settings=settings))


def unread_files(*, lake: Lake, settings: Settings) -> list[PushFile]:
    """Return the files that have lines that no run has read, oldest first; none is opened.

    Raises:
        LakeError: the lake can't be read.
    """
    files = push_files(settings.pushed_reports)
    if not files:
        return []
    present = lake.snapshot(PUSHED_REPORTS)
    return [file for file in files if file.size > _read_up_to(file, present)]


def _read_up_to(file: PushFile, present: Snapshot) -> int:
    return present.transaction(_READ + file.path.name) or 0


@dataclass(frozen=True)
class _Reader:
    connection: duckdb.DuckDBPyConnection
    lake: Lake
    settings: Settings
    now: datetime
    tally: PushTally

    def read(self, file: PushFile) -> None:
        """Store the lines of a file that were not read, some at a time."""
        offset = _read_up_to(file, self.lake.snapshot(PUSHED_REPORTS))
        for lines in lines_of(file, offset, now=self.now):
            if not self._store(file, offset, lines):
                return
            offset = lines.end
        delete_if_done(file, offset, now=self.now)

    def _store(self, file: PushFile, offset: int, lines: Lines) -> bool:
        """Store some lines; False if another run has stored them meanwhile."""
        present = self.lake.snapshot(PUSHED_REPORTS)
        if _read_up_to(file, present) != offset:
            return False
        rows, rejects = self._parsed(file, offset, lines)
        if rejects := self._not_stored(rejects, file):
            table = pa.Table.from_pylist(rejects, arrow_schema(REJECTED_RECORDS))
            self.lake.append(REJECTED_RECORDS, [self.lake.write(REJECTED_RECORDS, table, None)])
        self._place(rows)
        add = list(self._written())
        self.lake.commit(present, add=add, transactions={_READ + file.path.name: lines.end})
        self.tally.reports += len(rows)
        self.tally.rejected += len(rejects)
        self.tally.unlogged += sum(each.rows for each in add if each.sent_date is None)
        return True

    def _not_stored(self, rejects: list[dict[str, Any]], file: PushFile) -> list[dict[str, Any]]:
        """Leave out what a run stored that died before it noted how far it had read."""
        if not rejects:
            return []
        show_files(self.connection, REJECTED_RECORDS, self.lake.snapshot(REJECTED_RECORDS).of([None]))
        rows = rows_of(self.connection, query("collect/sql/pushed_rejects"), {"file": file.path.name})
        stored = {line for (line,) in rows}
        return [reject for reject in rejects if reject["line"] not in stored]

    def _parsed(self, file: PushFile, offset: int, lines: Lines) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return rows of reports, and rejects."""
        numbers, forgotten = number_policy(self.settings), {msg_id for _, msg_id in forgotten_messages(self.lake)}
        numbers = NumberPolicy(numbers.mode, numbers.key, forgotten_numbers(self.lake))
        rows: list[dict[str, Any]] = []
        broken: list[tuple[int, str, str | None]] = []
        for place, text in enumerate(lines.texts):
            try:
                line = msgspec.json.decode(text, type=_Line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                why = "cut_line: the line has no end" if lines.is_cut else "broken_line: is no pushed report"
                broken.append((place, why, None))
                continue
            if line.rejected is None and line.app_id and is_number_as_app(line.app_id, numbers):
                line.rejected = "bad_app: appId is a phone number"
            if line.rejected is not None or not (line.app_id and line.msg_id and line.status):
                broken.append((place, line.rejected or "broken_line: is no pushed report", line.raw))
                continue
            rows.append(_row(line, numbers, is_forgotten=line.msg_id in forgotten))
        first = line_number(file, offset) if broken else 0
        rejects = [self._reject(file, first + place, why, raw, numbers) for place, why, raw in broken]
        return rows, rejects

    def _reject(self, file: PushFile, line: int, why: str, raw: str | None, numbers: NumberPolicy) -> dict[str, Any]:
        return {
            "source": "push", "file": file.path.name, "line": line, "item": 0, "reason": mask_text(why, numbers),
            "raw": None if raw is None else mask_text(raw, numbers), "rejected_at": self.now,
        }  # fmt: skip

    def _place(self, rows: list[dict[str, Any]]) -> None:
        """Make the table `pushes` of reports, each with the day of its message: the last days are looked at first."""
        staged = pa.Table.from_pylist(rows, arrow_schema(PUSHED_REPORTS))
        self.connection.register("staged", staged)
        self.connection.execute("CREATE OR REPLACE TEMP TABLE pushes AS FROM staged")
        self.connection.unregister("staged")
        sent, since = self.lake.snapshot(SENT_MESSAGES), (self.now - _RECENT).date()
        recent = [day for day in sent.days() if day >= since]
        for days in (recent, [day for day in sent.days() if day < since]):
            if days and rows_of(self.connection, "SELECT 1 FROM pushes WHERE sent_date IS NULL LIMIT 1"):
                show_files(self.connection, SENT_MESSAGES, sent.of(days))
                self.connection.execute(query("collect/sql/pushed_days"))

    def _written(self) -> Iterator[DataFile]:
        for (day,) in rows_of(self.connection, "SELECT DISTINCT sent_date FROM pushes ORDER BY sent_date"):
            yield from _file_of(self.connection, self.lake, "SELECT * FROM pushes", day)


def _row(line: _Line, numbers: NumberPolicy, *, is_forgotten: bool) -> dict[str, Any]:
    """Return the row of a report. Its number was treated when it came; since then numbers may have been forgotten."""
    row = {name: getattr(line, name) for name in PUSHED_REPORTS.column_names if name != "sent_date"}
    for name in ("price", "pay"):
        row[name] = None if row[name] is None else row[name].quantize(_MONEY)
    if is_forgotten:
        row["number"] = None
    elif numbers.mode == "keep":
        row["number"] = treat_number(line.number, numbers)
    if numbers.forgotten:
        row["msg_id"] = id_without_forgotten(line.msg_id, numbers.forgotten)
        row["reason"] = None if line.reason is None else mask_text(line.reason, numbers)
        row["extra"] = None if line.extra is None else fit_json(line.extra, numbers)
    return row


def _file_of(connection: duckdb.DuckDBPyConnection, lake: Lake, select: str, day: date | None) -> tuple[DataFile, ...]:
    """Write the rows of one day to a new file, if there are any."""
    of_day = f"SELECT * FROM ({select}) WHERE sent_date IS NOT DISTINCT FROM $day::DATE"
    parameters = {"day": day.isoformat() if day else None}
    file = write_partition(connection, lake, PUSHED_REPORTS, select=of_day, day=day, parameters=parameters)
    return (file,) if file else ()


def _move(connection: duckdb.DuckDBPyConnection, lake: Lake, changed: Collection[date]) -> int:
    """Move reports to the day of their message, where days of `sent_messages` have changed; return how many."""
    present, sent = lake.snapshot(PUSHED_REPORTS), lake.snapshot(SENT_MESSAGES)
    here: list[date | None] = [*changed, None]
    if not changed or not present.of(here):
        return 0
    show_files(connection, SENT_MESSAGES, sent.of(changed))
    show_files(connection, PUSHED_REPORTS, present.of(here))
    connection.execute(query("collect/sql/pushed_moves"))
    moves = rows_of(connection, "SELECT old_date, sent_date, count(*) FROM moved GROUP BY ALL")
    if not moves:
        return 0
    leaving, arriving = {old for old, _, _ in moves}, {new for _, new, _ in moves}
    add = [
        file
        for day in leaving | arriving
        for file in _file_of(connection, lake, query("collect/sql/pushed_after_moves"), day)
    ]
    version = (present.transaction(_MOVED) or 0) + 1
    lake.commit(present, add=add, remove=present.of(leaving | arriving), transactions={_MOVED: version})
    return sum(count for _, _, count in moves)
