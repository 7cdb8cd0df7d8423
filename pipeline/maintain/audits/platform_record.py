"""Audits of `platform_record`: the sent logs have what the platform sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pipeline.lake.queries import query
from pipeline.maintain.audits.context import WORDS, AuditContext, Finding, finding_of
from pipeline.model.tables import MESSAGES, PLATFORM_RECORD, RECORD_READS, SENT_MESSAGES

UNLOGGED_SHARE: Final = 0.001
"""Largest share of an app's messages of a day that may be in no log."""
UNLOGGED_SHARE_SEVERE: Final = 0.05
_VIEWS: Final = ("unlogged_messages", "unrecorded_messages", "record_differences", "record_by_day")
_ONE_DAY: Final = timedelta(days=1)


def logs_complete(context: AuditContext) -> Finding:
    """Of each app and day at most 0.1 % of the messages in the platform's record are in no sent log (warning; over 5 %:
    error).

    If it fails: look at `unlogged_messages`. A log is missing or is written elsewhere (`SMS_SENT_LOGS`), or somebody
    else sends with the key: then ask the platform for another one.
    """  # noqa: D205 - its first sentence is longer than a line
    recorded = context.show(PLATFORM_RECORD, context.days)
    read = context.show(RECORD_READS, context.days)
    around = {day + step * _ONE_DAY for day in context.days for step in (-1, 0, 1)}  # a log's zone may be another
    for table in (SENT_MESSAGES, MESSAGES):
        context.show(table, around if recorded else ())
    for view in _VIEWS:
        context.connection.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS {query(f'publish/sql/views/{view}')}")
    bad = context.bad_rows("logs_complete", bound=UNLOGGED_SHARE)
    worst = max((float(row["unlogged_share"]) for row in bad), default=0.0)
    figures = {
        "recorded": recorded,
        "days_read": read,
        "days_over_bound": len(bad),
        "unlogged": sum(int(row["unlogged"]) for row in bad),
        "worst_share": worst,
        "bound": UNLOGGED_SHARE,
    }
    return finding_of([_told(row) for row in bad], figures, is_severe=worst > UNLOGGED_SHARE_SEVERE)


def _told(row: dict[str, object]) -> dict[str, object]:
    text = (
        f"{row['sent_date']}: {row['unlogged']:,} of {row['recorded']:,} messages in the platform's record of app "
        f"{row['app_id']} are in no sent log (view unlogged_messages)"
    )
    return {WORDS: text, **row, "sent_date": str(row["sent_date"])}
