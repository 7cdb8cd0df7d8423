"""`message ID` finds a message by several texts, and prints its history."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from assets.cli.message import as_json, as_lines
from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.lake.lake import Lake
from pipeline.maintain.message import SHOWN_AT_MOST, find_messages
from pipeline.model.settings import Settings
from tests.support.lakes import Called, Said, Sent, store_answers, store_calls, store_sent

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MSG_ID, NUMBER = "2108021054011000095", "919856321412"
ZONE = ZoneInfo("Asia/Kolkata")
PRICE = '{"pricedetail":{"price":"0.0125","pay":"0.0250","currency":"USD","chargeCnt":2}}'


def logged(lake: Lake, settings: Callable[..., Settings], **values: object) -> Settings:
    """Collect a log of one message to NUMBER."""
    log = lake.folder.parent / "sent-2026-03-01.jsonl"
    record = {"msg_id": MSG_ID, "sent_at": "2026-03-01T10:00:00Z", "number": f"+{NUMBER}", "order_id": "order 7"}
    log.write_text("\n" + json.dumps(record) + "\n", encoding="utf-8")
    chosen = settings(lake=lake.folder, sent_logs=str(log), app_id="app", **values)
    collect([NOW.date()], lake=lake, settings=chosen, now=NOW)
    derive_messages([], lake=lake, settings=chosen, now=NOW)
    return chosen


@pytest.mark.parametrize("numbers", ["keep", "mask", "hash", "drop"])
def test_a_message_is_found_by_id_order_and_each_spelling_of_its_number(
    lake: Lake, settings: Callable[..., Settings], numbers: str
) -> None:
    """One spelling in the log, others on the command line, whatever is stored of it; a dropped number finds nothing."""
    chosen = logged(lake, settings, numbers=numbers, numbers_key="0123456789abcdef" * 2)
    for text in (MSG_ID, "order 7"):
        assert find_messages(text, lake=lake, settings=chosen).total == 1, text
    (known,) = find_messages(MSG_ID, lake=lake, settings=chosen).messages
    wide = "".join(chr(0xFF10 + int(digit)) for digit in NUMBER)
    stored = [known.facts["number"]] if known.facts["number"] else []
    for text in (NUMBER, "+91 98563-21412", "0091 (98563) 21412", wide, *stored):
        assert find_messages(text, lake=lake, settings=chosen).total == (numbers != "drop"), text


@pytest.mark.parametrize(
    "text", ["210802105401100009", "21080210540110000951", "order", "1412", "%", "' OR 1=1 --", "\x00"]
)
def test_a_part_of_an_id_or_sql_finds_nothing(lake: Lake, settings: Callable[..., Settings], text: str) -> None:
    chosen = logged(lake, settings)
    assert find_messages(text, lake=lake, settings=chosen).total == 0


def test_everything_that_is_known_of_a_message_is_told(lake: Lake, settings: Callable[..., Settings]) -> None:
    chosen = logged(lake, settings)
    sent_at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    first = Said(MSG_ID, "sending", sent_at + timedelta(minutes=1))
    last = Said(MSG_ID, "delivered", sent_at + timedelta(hours=1), sent_at + timedelta(seconds=4), extra=PRICE)
    store_answers(lake, [(first, NOW.date()), (last, NOW.date())])
    store_calls(lake, [(Called(sent_at, ids=200, elapsed_ms=1234), NOW.date() - timedelta(days=3))])
    derive_messages([], lake=lake, settings=chosen, now=NOW)
    found = find_messages(MSG_ID, lake=lake, settings=chosen)
    log = lake.folder.parent / "sent-2026-03-01.jsonl"
    assert list(as_lines(found, ZONE)) == [
        f"message   {MSG_ID} of app app",
        "state     delivered, final, received 2026-03-01 15:30:04+05:30, 4.0 s after sending",
        f"sent      2026-03-01 15:30:00+05:30 to {NUMBER}, country IN, order order 7",
        f"log       {log}, line 2",
        "paid      0.025 USD, 2 parts",
        "asked     2 times, 2026-03-01 15:31:00+05:30 to 2026-03-01 16:30:00+05:30",
        (
            "answer    2026-03-01 15:31:00+05:30  sending, call call-0 of 200 ids: ok, no HTTP status, 1 requests, "
            "1,234 ms"
        ),
        "answer    2026-03-01 16:30:00+05:30  delivered, call call-1",
    ]
    (told,) = json.loads(as_json(found))
    assert told["facts"] | {"sent_at": "2026-03-01T10:00:00+00:00", "pay": "0.025000000000"} == told["facts"]
    assert [answer["status"] for answer in told["answers"]] == ["sending", "delivered"]


def test_a_message_that_was_never_asked_for_or_derived_is_pending(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    store_sent(lake, [Sent("1", NOW)])
    found = find_messages("1", lake=lake, settings=settings(lake=lake.folder))
    assert "state     pending, not final" in list(as_lines(found, ZONE))
    assert "asked     never" in list(as_lines(found, ZONE))


def test_several_messages_are_listed_newest_first_and_the_rest_is_counted(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    sent = [Sent(f"{n}", NOW - timedelta(minutes=n), number=NUMBER) for n in range(SHOWN_AT_MOST + 7)]
    store_sent(lake, [*sent, replace(sent[0], app_id="other", number=None)])
    chosen = settings(lake=lake.folder)
    lines = list(as_lines(find_messages(NUMBER, lake=lake, settings=chosen), ZONE))
    assert lines[0].startswith(f"{SHOWN_AT_MOST + 7} messages")
    assert lines[1] == "  2026-03-01 17:30:00+05:30  0  app app  pending"
    assert lines[-1] == "  and 7 older ones"
    assert find_messages("0", lake=lake, settings=chosen).total == 2  # of two apps


def test_hostile_names_are_escaped_when_printed(lake: Lake, settings: Callable[..., Settings]) -> None:
    store_sent(lake, [Sent("1", NOW, sender_id="\x1b[2J\nstate     delivered", labels={"a": "\u202e"})])
    found = find_messages("1", lake=lake, settings=settings(lake=lake.folder))
    lines = list(as_lines(found, ZONE))
    assert lines[2].endswith("sender \\x1b[2J\\nstate     delivered")
    assert lines[3] == "labels    a=\\u202e"
    assert as_json(found).isascii()
