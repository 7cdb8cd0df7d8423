"""What the messages that were read change in the lake: new ones, repeated ones, corrections.

Belongs here: comparing staged messages with stored ones, the files that a commit adds and removes.
Does not belong here: which logs are read, the commit (`sent_messages`), which record counts (`sql/`).

What a log says now stands: a message that it gave before under another app, time, number or sender is replaced, its
day too. A log that gives a message no more removes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import duckdb

from pipeline.collect.staging import StagedFile
from pipeline.lake.lake import DataFile, Lake, Snapshot
from pipeline.lake.notes import forgotten_messages
from pipeline.lake.queries import query, rows_of, show_files, show_staged, write_partition
from pipeline.model.tables import SENT_MESSAGES


@dataclass(frozen=True)
class Change:
    """What one commit does to `sent_messages`.

    Attributes:
        stored_by_day: messages that the lake did not have.
        corrected: messages that it had otherwise.
        repeating: logs with a message that counts from another log.
    """

    add: Sequence[DataFile] = ()
    remove: Sequence[DataFile] = ()
    stored_by_day: Counter[date] = field(default_factory=Counter)
    corrected: int = 0
    repeating: Collection[str] = ()


class Comparison:
    """Staged messages beside those of a snapshot.

    Attributes:
        present: the snapshot.
        is_plain: no message was read twice, is stored, or may correct one.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        present: Snapshot,
        *,
        staged: Sequence[StagedFile],
        read: Collection[str],
        days: Collection[date],
        is_there: Callable[[str], bool],
    ) -> None:
        """Compare.

        Args:
            connection: where queries are run.
            lake: of the snapshot.
            present: `sent_messages`.
            staged: files of the messages that were read.
            read: labels of the logs that were read to their end.
            days: further days that may hold messages of these logs.
            is_there: says whether there is a log of a label.
        """
        self._connection = connection
        self._lake = lake
        self.present = present
        self._staged = staged
        near = {file.sent_date + timedelta(days=step) for file in staged for step in (-1, 0, 1)}
        show_files(connection, SENT_MESSAGES, present.of(near | set(days)))
        show_staged(connection, "messages_read", SENT_MESSAGES, [file.path for file in staged])
        connection.execute(query("collect/sql/doubtful_keys"))
        self.is_plain = not rows_of(connection, "SELECT 1 FROM doubtful_keys LIMIT 1")
        if not self.is_plain:
            self._resolve(read, is_there)

    def _resolve(self, read: Collection[str], is_there: Callable[[str], bool]) -> None:
        """Find the record that counts of each message, and the stored ones that are corrected."""
        forgotten = sorted({msg_id for _, msg_id in forgotten_messages(self._lake)})
        self._list("forgotten_ids", "msg_id", forgotten)
        self._list("files_read", "file", sorted(read))
        for name in ("settled_keys", "unsettled", "touched"):
            self._connection.execute(query(f"collect/sql/{name}"))
        sources = rows_of(self._connection, "SELECT DISTINCT file FROM touched ANTI JOIN files_read USING (file)")
        self._list("files_gone", "file", [label for (label,) in sources if not is_there(label)])
        for name in ("winners", "new_messages", "removed"):
            self._connection.execute(query(f"collect/sql/{name}"))

    def _list(self, table: str, column: str, texts: Sequence[str]) -> None:
        select = f"SELECT unnest($texts::VARCHAR[]) AS {column}"
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {select}", {"texts": list(texts)})

    def days_corrected(self) -> set[date]:
        """Return the days that hold the messages which are corrected."""
        if self.is_plain:
            return set()
        return {
            day for (day,) in rows_of(self._connection, "SELECT DISTINCT sent_date FROM removed WHERE is_corrected")
        }

    def change(self) -> Change:
        """Write the files of the change: if nothing is doubtful, the staged files as they are."""
        if self.is_plain:
            return self._plain_change()
        counted = rows_of(self._connection, query("collect/sql/corrected_by_day"))
        leaving = {day: count for day, count, _, _ in counted if count}
        arriving = {day: count for day, _, _, count in counted}
        add: list[DataFile] = []
        stored: Counter[date] = Counter()
        for day in sorted({file.sent_date for file in self._staged} | leaving.keys()):
            file = self._written(day, is_rewritten=day in leaving)
            kept = sum(one.rows for one in self.present.of([day])) - leaving[day] if day in leaving else 0
            stored[day] += (file.rows if file else 0) - kept - arriving.get(day, 0)
            add += [file] if file else []
        return Change(
            add,
            self.present.of(leaving.keys()),
            +stored,
            sum(count for _, _, count, _ in counted),
            [label for (label,) in rows_of(self._connection, query("collect/sql/repeating_logs"))],
        )

    def _plain_change(self) -> Change:
        add = [self._lake.write_from(SENT_MESSAGES, file.path, file.sent_date, rows=file.rows) for file in self._staged]
        stored: Counter[date] = Counter()
        for file in self._staged:
            stored[file.sent_date] += file.rows
        return Change(add, stored_by_day=stored)

    def _written(self, day: date, *, is_rewritten: bool) -> DataFile | None:
        select = query("collect/sql/messages_of_day")
        if is_rewritten:
            select = f"({query('collect/sql/kept_of_day')}) UNION ALL BY NAME ({select})"
        parameters = {"day": day.isoformat()}
        return write_partition(
            self._connection, self._lake, SENT_MESSAGES, select=select, day=day, parameters=parameters
        )

    @property
    def moves(self) -> str | None:
        """Query of the messages that get another app or day, see `lake.moves`; None if nothing is doubtful."""
        return None if self.is_plain else query("collect/sql/moves")
