"""Fill a lake by hand: sent messages and answers, without logs or an API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.lake import Lake, arrow_schema
from pipeline.tables import API_CALLS, DELIVERY_REPORTS, SENT_MESSAGES, Table

UTC_ZONE = ZoneInfo("UTC")


@dataclass(frozen=True)
class Sent:
    """A sent message as a log names it."""

    msg_id: str
    sent_at: datetime
    app_id: str = "app"
    number: str | None = None
    country: str | None = None
    sender_id: str | None = None


@dataclass(frozen=True)
class Said:
    """One answer for one message."""

    msg_id: str
    status: str
    observed_at: datetime
    receive_time: datetime | None = None
    app_id: str = "app"
    number: str | None = None
    country: str | None = None
    extra: str | None = None


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """Return the partition of an instant."""
    return moment.astimezone(zone).date()


def store_sent(lake: Lake, messages: Iterable[Sent], *, zone: ZoneInfo = UTC_ZONE) -> None:
    """Append sent messages to their partitions."""
    rows: list[dict[str, object]] = [
        {
            "app_id": sent.app_id,
            "msg_id": sent.msg_id,
            "number": sent.number,
            "country": sent.country,
            "sender_id": sent.sender_id,
            "order_id": None,
            "sent_at": sent.sent_at,
            "sent_date": day_of(sent.sent_at, zone),
            "file": "by hand",
            "line": line,
        }
        for line, sent in enumerate(messages, 1)
    ]
    _append(lake, SENT_MESSAGES, rows)


def store_answers(lake: Lake, answers: Iterable[tuple[Said, date]]) -> None:
    """Append answers, each with the partition of its message."""
    rows: list[dict[str, object]] = [
        {
            "app_id": said.app_id,
            "msg_id": said.msg_id,
            "number": said.number,
            "country": said.country,
            "status": said.status,
            "receive_time": said.receive_time,
            "observed_at": said.observed_at,
            "call_id": f"call-{call}",
            "extra": said.extra,
            "sent_date": day,
        }
        for call, (said, day) in enumerate(answers)
    ]
    _append(lake, DELIVERY_REPORTS, rows)


def store_calls(lake: Lake, calls: Iterable[tuple[datetime, str, date]]) -> None:
    """Append calls: when they were made, their outcome, the partition asked for."""
    rows: list[dict[str, object]] = [
        {
            "call_id": f"call-{number}",
            "app_id": "app",
            "sent_date": day,
            "requested_at": requested_at,
            "ids": 10 + number,
            "attempts": 1 + number % 3,
            "elapsed_ms": 7 * number,
            "outcome": outcome,
        }
        for number, (requested_at, outcome, day) in enumerate(calls)
    ]
    _append(lake, API_CALLS, rows)


def _append(lake: Lake, table: Table, rows: list[dict[str, object]]) -> None:
    for day in sorted({row["sent_date"] for row in rows}, key=str):
        assert isinstance(day, date)
        of_day = [row for row in rows if row["sent_date"] == day]
        lake.append(table, [lake.write(table, pa.Table.from_pylist(of_day, schema=arrow_schema(table)), day)])
