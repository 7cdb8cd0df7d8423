"""Fill a lake by hand with sent messages, answers and calls, without logs or an API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.model.settings import Settings
from pipeline.model.tables import (
    ACCOUNT_BALANCE,
    API_CALLS,
    DELIVERY_REPORTS,
    REJECTED_RECORDS,
    SENT_MESSAGES,
    Table,
)

UTC_ZONE = ZoneInfo("UTC")
Row = dict[str, object]


@dataclass(frozen=True)
class Sent:
    """A sent message as a log records it."""

    msg_id: str
    sent_at: datetime
    app_id: str = "app"
    number: str | None = None
    country: str | None = None
    sender_id: str | None = None
    labels: Mapping[str, str] | None = None


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


@dataclass(frozen=True)
class Called:
    """One call: a row of `api_calls`."""

    requested_at: datetime
    outcome: str = "ok"
    app_id: str = "app"
    ids: int = 10
    attempts: int = 1
    elapsed_ms: int = 0
    status: str = "0"
    error: str | None = None


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """Return the partition of an instant."""
    return moment.astimezone(zone).date()


def store_sent(lake: Lake, messages: Iterable[Sent], *, zone: ZoneInfo = UTC_ZONE) -> None:
    """Append sent messages to their partitions."""
    _append(lake, SENT_MESSAGES, sent_rows(messages, zone))


def sent_rows(messages: Iterable[Sent], zone: ZoneInfo) -> list[Row]:
    """Return rows of `sent_messages`."""
    return [
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
            "labels": None if sent.labels is None else list(sent.labels.items()),
        }
        for line, sent in enumerate(messages, 1)
    ]


def store_answers(lake: Lake, answers: Iterable[tuple[Said, date]]) -> None:
    """Append answers, each with the partition of its message."""
    _append(lake, DELIVERY_REPORTS, answer_rows(answers))


def answer_rows(answers: Iterable[tuple[Said, date]], *, first: int = 0) -> list[Row]:
    """Return rows of `delivery_reports`."""
    return [
        {
            "app_id": answer.app_id,
            "msg_id": answer.msg_id,
            "number": answer.number,
            "country": answer.country,
            "status": answer.status,
            "receive_time": answer.receive_time,
            "observed_at": answer.observed_at,
            "call_id": f"call-{call}",
            "extra": answer.extra,
            "sent_date": day,
        }
        for call, (answer, day) in enumerate(answers, first)
    ]


def store_calls(lake: Lake, calls: Iterable[tuple[Called, date]]) -> None:
    """Append calls, each with its partition."""
    _append(lake, API_CALLS, call_rows(calls))


def call_rows(calls: Iterable[tuple[Called, date]]) -> list[Row]:
    """Return rows of `api_calls`."""
    return [
        {"call_id": f"call-{number}", "sent_date": day, **asdict(called)} for number, (called, day) in enumerate(calls)
    ]


def store_balance(lake: Lake, at: datetime) -> None:
    """Append a balance that the platform told at an instant of its clock."""
    nothing = dict.fromkeys(("app_id", "balance", "gift", "credit", "spend_per_day", "currency"))
    row = nothing | {"account": "account", "observed_at": at, "sent_date": day_of(at, UTC_ZONE)}
    _append(lake, ACCOUNT_BALANCE, [row])


def store_rejects(lake: Lake, rejects: Iterable[Row]) -> None:
    """Append rejected records, each with its partition."""
    _append(lake, REJECTED_RECORDS, list(rejects))


def store_rows(lake: Lake, table: Table, rows: Iterable[Row]) -> None:
    """Append rows of any table, each with its partition."""
    _append(lake, table, list(rows))


def _append(lake: Lake, table: Table, rows: list[Row]) -> None:
    for day in sorted({row["sent_date"] for row in rows}, key=str):
        assert isinstance(day, date)
        of_day = [row for row in rows if row["sent_date"] == day]
        lake.append(table, [lake.write(table, pa.Table.from_pylist(of_day, schema=arrow_schema(table)), day)])


def derive_two_days(lake: Lake, settings: Settings, *, now: datetime, closed: date, still_open: date) -> Lake:
    """Store and derive two days of six messages: all of the first are final, five of the second are not."""
    for start, day, status in ((0, closed, "delivered"), (100, still_open, "sending")):
        sent_at = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
        store_sent(lake, [Sent(str(start + number), sent_at) for number in range(6)])
        asked = [(Said(str(start + number), status, sent_at + timedelta(hours=number)), day) for number in range(5)]
        store_answers(lake, [*asked, (Said(str(start + 5), "failed", sent_at + timedelta(hours=1)), day)])
    derive_messages([], lake=lake, settings=settings, now=now)
    derive_rates([], lake=lake, settings=settings, now=now)
    return lake
