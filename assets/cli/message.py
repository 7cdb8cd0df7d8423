"""`message ID`: prints what the lake knows of a message, for people or as JSON.

Belongs here: the form of the lines. Does not belong here: finding messages (`pipeline/maintain/message.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.maintain.message import FoundMessages, KnownMessage
from pipeline.model.printable import printable


def as_json(found: FoundMessages) -> str:
    """Return the messages as a JSON array, times in UTC, decimals as text."""
    return json.dumps([asdict(message) for message in found.messages], default=_plain, indent=2)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else f"{value:f}" if isinstance(value, Decimal) else str(value)


def as_lines(found: FoundMessages, zone: ZoneInfo) -> Iterator[str]:
    """Give the lines of a message, or one line per message if there are several, fit to be shown; times in `zone`."""
    return map(printable, _whole(found.messages[0], zone) if len(found.messages) == 1 else _list(found, zone))


def _list(found: FoundMessages, zone: ZoneInfo) -> Iterator[str]:
    yield f"{found.total:,} messages, the newest first; name one by its msg_id:"
    for message in found.messages:
        facts = message.facts
        line = (_time(facts["sent_at"], zone), facts["msg_id"], f"app {facts['app_id']}", facts["delivery_status"])
        yield "  " + "  ".join(line)
    if found.total > len(found.messages):
        yield f"  and {found.total - len(found.messages):,} older ones"


def _whole(message: KnownMessage, zone: ZoneInfo) -> Iterator[str]:
    facts = message.facts
    yield f"message   {facts['msg_id']} of app {facts['app_id']}"
    yield f"state     {_state(facts, zone)}"
    yield f"sent      {_sent(facts, zone)}"
    if facts["labels"]:
        yield f"labels    {', '.join(f'{name}={value}' for name, value in facts['labels'].items())}"
    yield f"log       {facts['file']}" + (f", line {facts['line']}" if facts["line"] else "")
    if facts["pay"] is not None:
        parts = f", {facts['charge_count']} parts" if facts["charge_count"] else ""
        yield f"paid      {facts['pay'].normalize():f} {facts['currency'] or '(no currency)'}{parts}"
    yield f"asked     {_asked(facts, zone)}"
    for answer in message.answers:
        yield f"answer    {_answer(answer, zone)}"


def _state(facts: Mapping[str, Any], zone: ZoneInfo) -> str:
    parts = [facts["delivery_status"] + (", final" if facts["is_final"] else ", not final")]
    if facts["receive_time"]:
        parts.append(f"received {_time(facts['receive_time'], zone)}")
    if facts["latency_seconds"] is not None:
        parts.append(f"{facts['latency_seconds']:,.1f} s after sending")
    return ", ".join(parts)


def _sent(facts: Mapping[str, Any], zone: ZoneInfo) -> str:
    parts = [f"{_time(facts['sent_at'], zone)} to {facts['number'] or 'a number that is not stored'}"]
    parts += [f"country {facts['country']}"] if facts["country"] else []
    parts += [f"sender {facts['sender_id']}"] if facts["sender_id"] else []
    parts += [f"order {facts['order_id']}"] if facts["order_id"] else []
    return ", ".join(parts)


def _asked(facts: Mapping[str, Any], zone: ZoneInfo) -> str:
    if not facts["poll_count"]:
        return "never"
    first, last = (_time(facts[name], zone) for name in ("first_polled_at", "last_polled_at"))
    return f"once, {first}" if facts["poll_count"] == 1 else f"{facts['poll_count']} times, {first} to {last}"


def _answer(answer: Mapping[str, Any], zone: ZoneInfo) -> str:
    text = f"{_time(answer['observed_at'], zone)}  {answer['status']}, call {answer['call_id']}"
    if answer["outcome"]:
        http = f"HTTP {answer['http_status']}" if answer["http_status"] else "no HTTP status"
        text += f" of {answer['ids']} ids: {answer['outcome']}, {http}, {answer['attempts']} requests"
        text += f", {answer['elapsed_ms']:,} ms"
    return text


def _time(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).isoformat(sep=" ", timespec="seconds")
