"""What earlier versions did not note of logs that they read: made up for once, by the first run on their lake.

Belongs here: notes that can be had from the tables. Does not belong here: layouts of tables (`lake/opening.py`).

Versions before noted no moment from which a log with a record in the future is read again.
"""

from __future__ import annotations

from pipeline.collect.log_notes import of_records_in_future
from pipeline.lake.lake import Lake, retry
from pipeline.lake.notes import are_waits_noted, note_waits_noted
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.model.settings import Settings
from pipeline.model.tables import REJECTED_RECORDS, SENT_MESSAGES


def note_waits_of_earlier_versions(lake: Lake, settings: Settings) -> None:
    """Have logs read again that an earlier version found a record in the future in.

    Raises:
        LakeError: the lake can't be read or written.
    """
    if are_waits_noted(lake):
        return
    rejects = lake.snapshot(REJECTED_RECORDS)
    if rejects.rows:
        with database(lake, settings) as connection:
            show_files(connection, REJECTED_RECORDS, rejects.files)
            labels = [label for (label,) in rows_of(connection, query("collect/sql/logs_with_records_in_future"))]
        retry(lambda: _note(lake, labels))
    note_waits_noted(lake)


def _note(lake: Lake, labels: list[str]) -> None:
    present = lake.snapshot(SENT_MESSAGES)
    if notes := of_records_in_future(labels, present):
        lake.commit(present, transactions=notes)
