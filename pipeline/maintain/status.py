"""Use case: report the state of the project: partitions, outstanding messages, what is due, the last publication."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from pipeline.derive.days import days_not_closed
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.maintain.due import Due, what_is_due
from pipeline.model.settings import Settings
from pipeline.model.tables import LAKE_TABLES, MESSAGES, SENT_MESSAGES, SNAPSHOT_INFO
from pipeline.publish.reading import PUBLISHED, opened_published


@dataclass(frozen=True)
class Outstanding:
    """Messages of one state that is not final; all but `unknown` ones are still asked for."""

    delivery_status: str
    messages: int
    oldest_sent_at: datetime


@dataclass(frozen=True)
class LastPublication:
    """The published file: when it was made, UTC, and which tables changed in the lake since then.

    `data_as_of` is when its latest answer arrived, None before the first.
    """

    published_at: datetime
    data_as_of: datetime | None
    tables_behind: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """State of the project.

    `days` are the partitions that have messages, in order; of `outstanding` the state with the oldest message is first;
    `due` is the work of a run started now; `published` is None before the first publication.
    """

    days: tuple[date, ...]
    messages: int
    outstanding: tuple[Outstanding, ...]
    due: Due
    published: LastPublication | None


def status_of(*, lake: Lake, settings: Settings, now: datetime) -> Status:
    """Return the state of the project; no log is opened, no call is made.

    Raises:
        LakeError: lake or published file can't be read.
    """
    sent = lake.snapshot(SENT_MESSAGES)
    return Status(
        days=tuple(sent.days()),
        messages=sent.rows,
        outstanding=_outstanding(lake, settings),
        due=what_is_due(lake=lake, settings=settings, now=now),
        published=last_publication(lake=lake, settings=settings),
    )


def _outstanding(lake: Lake, settings: Settings) -> tuple[Outstanding, ...]:
    with database(lake, settings) as connection:
        days = days_not_closed(connection, lake)
        show_files(connection, MESSAGES, lake.snapshot(MESSAGES).of(days))
        return tuple(Outstanding(*row) for row in rows_of(connection, query("maintain/sql/outstanding")))


def last_publication(*, lake: Lake, settings: Settings) -> LastPublication | None:
    """Return when and from what the published file was made, None where there is none.

    Raises:
        LakeError: the file can't be read.
    """
    if not settings.duckdb.exists():
        return None
    with opened_published(settings.duckdb) as connection:
        select = f"SELECT table_name, lake_version, published_at, data_as_of FROM {PUBLISHED}.{SNAPSHOT_INFO.name}"
        rows = rows_of(connection, select)
    versions = {table.name: lake.snapshot(table).version for table in LAKE_TABLES}
    behind = tuple(name for name, version, *_ in rows if versions.get(name, version) != version)
    return LastPublication(rows[0][2], rows[0][3], behind)


def status_text(status: Status, *, zone: str) -> str:
    """Return the state as lines of text."""
    days = f"{len(status.days):,} days, {status.days[0]} to {status.days[-1]} ({zone})" if status.days else "none yet"
    lines = [f"partitions   {days}", f"messages     {status.messages:,}"]
    lines += [
        f"outstanding  {row.messages:,} {row.delivery_status}, the oldest sent {_utc(row.oldest_sent_at)}"
        for row in status.outstanding
    ]
    if not status.outstanding:
        lines.append("outstanding  none")
    span = f": {status.due.range[0]} to {status.due.range[1]}" if status.due.range else ""
    lines.append(f"due          {status.due.reason}{span}")
    return "\n".join([*lines, f"published    {_published(status.published)}"])


def _published(publication: LastPublication | None) -> str:
    if publication is None:
        return "never; `sms-delivery publish` or the next run does"
    as_of = _utc(publication.data_as_of) if publication.data_as_of else "none yet"
    behind = ", ".join(publication.tables_behind)
    return f"{_utc(publication.published_at)}, answers up to {as_of}" + (f"; changed since: {behind}" if behind else "")


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
