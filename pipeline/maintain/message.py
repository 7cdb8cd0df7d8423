"""Use case: all that the lake knows of one message.

Belongs here: which messages a text means, and reading them. Does not belong here: how they are printed
(`assets/cli/message.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb

from pipeline.lake.lake import Lake
from pipeline.lake.queries import Scalar, database, query, show_files
from pipeline.model.phone_numbers import treat_number, treat_text
from pipeline.model.settings import Settings, number_policy
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, MESSAGES, SENT_MESSAGES

SHOWN_AT_MOST: Final = 100
"""Messages that are read: a number may have thousands."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class KnownMessage:
    """A message: how it was logged and its state, and its answers in order, each with its call."""

    facts: Row
    answers: tuple[Row, ...]


@dataclass(frozen=True)
class FoundMessages:
    """The messages that a text means, newest first: the first of them, and how many there are."""

    messages: tuple[KnownMessage, ...]
    total: int


def find_messages(text: str, *, lake: Lake, settings: Settings) -> FoundMessages:
    """Find messages by their id, their order id or their number, as it is stored or as a person types it.

    Raises:
        LakeError: the lake can't be read.
    """
    policy = number_policy(settings)
    asked: dict[str, Scalar] = {
        "text": text,
        "order_id": treat_text(text, policy),
        "number": treat_number(text, policy),
    }
    with database(lake, settings) as connection:
        for table in (SENT_MESSAGES, MESSAGES):
            show_files(connection, table, lake.snapshot(table).files)
        meant = connection.sql(query("maintain/sql/messages_meant"), params=asked).fetchall()
        chosen = meant[:SHOWN_AT_MOST]
        _show_meant(connection, lake, chosen)
        answers = _rows(connection, "message_answers")
        messages = [KnownMessage(facts, _answers_of(facts, answers)) for facts in _rows(connection, "message_states")]
    return FoundMessages(tuple(messages), len(meant))


def _show_meant(connection: duckdb.DuckDBPyConnection, lake: Lake, keys: Sequence[tuple[Any, ...]]) -> None:
    """Make the table `meant`, and show the files that may hold something of these messages."""
    connection.execute("CREATE TEMP TABLE meant (app_id VARCHAR, msg_id VARCHAR, sent_date DATE)")
    if keys:
        connection.executemany("INSERT INTO meant VALUES (?, ?, ?)", [key[:3] for key in keys])
    days = {day for _, _, day, _ in keys}
    for table in (SENT_MESSAGES, MESSAGES, DELIVERY_REPORTS):
        show_files(connection, table, lake.snapshot(table).of(days))
    calls, latest = lake.snapshot(API_CALLS), max(days, default=date.min)
    show_files(connection, API_CALLS, calls.of([day for day in calls.days() if day <= latest]))  # its earliest id's day


def _rows(connection: duckdb.DuckDBPyConnection, name: str) -> list[Row]:
    result = connection.execute(query(f"maintain/sql/{name}"))
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _answers_of(facts: Row, answers: Sequence[Row]) -> tuple[Row, ...]:
    key = ("app_id", "msg_id", "sent_date")
    return tuple(
        {name: value for name, value in answer.items() if name not in key}
        for answer in answers
        if all(answer[name] == facts[name] for name in key)
    )
