"""Sent logs that agree with the simulator: the same ids, numbers and seconds.

What belongs here: which messages are sent when, and how a log writes them down.
What does not: what becomes of them (`rules`), reading logs.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING

from pipeline.api.simulator.rules import SEQUENCES, fate_of, make_msg_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

SENDERS = ("ACME", "Bluebird", "Kiosk24", "Parcely", "TinyBank")
"""Sender ids, all equally frequent."""

HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 12, 12, 12, 11, 11, 12, 13, 12, 9, 7, 5, 3)
"""The daily rhythm: how busy each 24th of a local day is."""

LARGEST_CALL = 5
"""A record that is a whole `sendSms` answer has 2 to this many messages."""

CALL_CHANCE = 1 / 15
"""Share of the records that are whole answers; with 3.5 messages each they hold a fifth of all."""

ALL_ALIKE = (1.0,) * 7
"""Weekdays of the same weight."""

_LEAST_OF_A_DAY = 1e-6
"""Weight of a day that has just begun: no message, unless there is no other day."""

_CUMULATED = tuple(accumulate(HOUR_WEIGHTS, initial=0))


@dataclass(frozen=True)
class Traffic:
    """Who sends how much.

    Attributes:
        sources: fields of a record besides message and time, as `app_id` and `sender_id`.
        weights: how frequent each of them is.
        weekdays: how busy Monday to Sunday are; where they differ, a day under way gets its part alone.
    """

    sources: tuple[Mapping[str, str], ...]
    weights: tuple[float, ...]
    weekdays: tuple[float, ...] = ALL_ALIKE


@dataclass(frozen=True, slots=True)
class _Record:
    """One line of a log: messages sent in the same second (UTC)."""

    sent_at: datetime
    msg_ids: tuple[str, ...]
    source: Mapping[str, str]


def even_traffic(app_id: str) -> Traffic:
    """Return one app with all senders alike, every day alike."""
    return Traffic(tuple({"app_id": app_id, "sender_id": name} for name in SENDERS), (1.0,) * len(SENDERS))


def write_sent_logs(
    folder: Path,
    *,
    messages: int,
    days: Sequence[date],
    now: datetime,
    app_id: str = "",
    traffic: Traffic | None = None,
    zone: tzinfo = UTC,
    seed: int = 1,
) -> list[Path]:
    """Write one JSON-lines file a day, `sent-YYYY-MM-DD.jsonl`; the same arguments give the same bytes.

    Args:
        folder: where to; made where it is missing.
        messages: how many in all, spread over the days as the traffic says.
        days: local days of `zone`; those that begin after `now` get no message and no file.
        now: no message is sent later (aware).
        app_id: app of every record, sent by all senders alike, without `traffic`.
        traffic: who sends how much.
        zone: whose days they are; `sent_at` is written with its offset.
        seed: another seed sends other messages.

    Raises: ValueError where there are messages but no day for them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    chosen = traffic or even_traffic(app_id)
    for day, records in _days(messages=messages, days=days, now=now, traffic=chosen, zone=zone, seed=seed):
        path = folder / f"sent-{day.isoformat()}.jsonl"
        with path.open("w", encoding="utf-8", newline="\n") as lines:
            lines.writelines(_line(record, zone) for record in records)
        paths.append(path)
    return paths


def sent_messages(
    *, messages: int, days: Sequence[date], now: datetime, zone: tzinfo = UTC, seed: int = 1
) -> list[tuple[str, datetime]]:
    """Return (msg_id, sent_at in UTC) of every message that `write_sent_logs` writes, in its order."""
    return [
        (msg_id, record.sent_at)
        for _, records in _days(messages=messages, days=days, now=now, traffic=even_traffic(""), zone=zone, seed=seed)
        for record in records
        for msg_id in record.msg_ids
    ]


def _days(
    *, messages: int, days: Sequence[date], now: datetime, traffic: Traffic, zone: tzinfo, seed: int
) -> Iterator[tuple[date, Iterator[_Record]]]:
    """Yield each day that has begun, with its records in the order of sending."""
    begun = sorted({day for day in days if _midnight(day, zone) <= now})
    if messages and not begun:
        raise ValueError("no day for the messages: all of them begin after now")
    written, shares = 0, tuple(accumulate(_weight(day, traffic, now, zone) for day in begun))
    for day, share in zip(begun, shares, strict=True):
        count = math.ceil(messages * share / shares[-1]) - written
        yield day, _records(day, count=count, first=seed * 1_000_003 + written, now=now, traffic=traffic, zone=zone)
        written += count


def _weight(day: date, traffic: Traffic, now: datetime, zone: tzinfo) -> float:
    """Return how much of the messages a day gets: less where it has just begun, if days differ."""
    if traffic.weekdays == ALL_ALIKE:
        return 1.0
    start, end = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    gone = min((now - start) / (end - start), 1.0)
    return traffic.weekdays[day.weekday()] * max(_busyness(gone), _LEAST_OF_A_DAY)


def _records(day: date, *, count: int, first: int, now: datetime, traffic: Traffic, zone: tzinfo) -> Iterator[_Record]:
    """Yield the records of one day; their messages are numbered from `first`."""
    chance = Random(first)  # noqa: S311 - sample data that must come out the same again
    start, end = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
    day_seconds = (end - start).total_seconds()
    latest = math.floor(min((now - start).total_seconds(), day_seconds - 1))
    busy_until = _busyness(latest / day_seconds)
    done = 0
    while done < count:
        moment = _moment((done + chance.random()) / count * busy_until) * day_seconds
        sent_at = start + timedelta(seconds=min(math.floor(moment), latest))
        size = 2 + int(chance.random() * (LARGEST_CALL - 1)) if chance.random() < CALL_CHANCE else 1
        size = min(size, count - done)
        numbers = range(first + done, first + done + size)
        msg_ids = tuple(make_msg_id(sent_at, number % SEQUENCES) for number in numbers)
        (source,) = chance.choices(traffic.sources, traffic.weights)
        yield _Record(sent_at, msg_ids, source)
        done += size


def ids_by_app(paths: Iterable[Path]) -> dict[str, list[str]]:
    """Return the ids in logs that `write_sent_logs` wrote, in order, by app.

    Raises: ValueError where a line is not one of them.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        for line in path.read_text("utf-8").splitlines():
            fields = json.loads(line)
            try:
                array = fields["response"]["array"] if "response" in fields else [{"msgId": fields["msg_id"]}]
                found[fields["app_id"]] += [row["msgId"] for row in array]
            except (KeyError, TypeError) as error:
                raise ValueError(f"{path} is not a log of the simulator: it has no {error}") from error
    return {app_id: sorted(set(msg_ids)) for app_id, msg_ids in found.items()}


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Return the instant (UTC) at which the local day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _busyness(moment: float) -> float:
    """Return the share of a day's messages that is sent before this part of the day (both 0 to 1)."""
    if moment >= 1:
        return 1.0
    hour, part = divmod(moment * len(HOUR_WEIGHTS), 1)
    return (_CUMULATED[int(hour)] + part * HOUR_WEIGHTS[int(hour)]) / _CUMULATED[-1]


def _moment(busyness: float) -> float:
    """Return the part of the day before which this share of the messages is sent: `_busyness` undone."""
    mass = busyness * _CUMULATED[-1]
    hour = min(bisect_right(_CUMULATED, mass), len(HOUR_WEIGHTS)) - 1
    return (hour + (mass - _CUMULATED[hour]) / HOUR_WEIGHTS[hour]) / len(HOUR_WEIGHTS)


def _line(record: _Record, zone: tzinfo) -> str:
    """Return the record as one line of JSON."""
    common = {"sent_at": record.sent_at.astimezone(zone).isoformat(), **record.source}
    rows = [_message(msg_id) for msg_id in record.msg_ids]
    if len(rows) == 1:
        msg_id, number, order_id = rows[0]
        fields: dict[str, object] = {"msg_id": msg_id, **common, "number": number, "order_id": order_id}
    else:
        fields = {**common, "response": _response(rows)}
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _message(msg_id: str) -> tuple[str, str, str]:
    """Return id, number and order id; the order id ends like the id."""
    return msg_id, fate_of(msg_id).number, f"o-{msg_id[-7:]}"


def _response(rows: Sequence[tuple[str, str, str]]) -> dict[str, object]:
    """Return what `sendSms` answers for these messages."""
    array = [{"msgId": msg_id, "number": number, "orderId": order_id} for msg_id, number, order_id in rows]
    return {"status": "0", "reason": "success", "success": str(len(rows)), "fail": "0", "array": array}
