"""The page shows what the published file says, escapes what logs say, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from pipeline.derive import derive_messages, derive_rates
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.page import write_page
from pipeline.publish import publish
from pipeline.settings import Settings
from tests.worlds.lakes import Said, Sent, store_answers, store_sent

NOW = datetime(2026, 10, 27, 12, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"


def published(lake: Lake, chosen: Settings, sent: list[Sent]) -> str:
    store_sent(lake, sent)
    store_answers(lake, [(Said(s.msg_id, "delivered", NOW, s.sent_at), s.sent_at.date()) for s in sent[::2]])
    days = {s.sent_at.date() for s in sent}
    derive_messages(days, lake=lake, settings=chosen, now=NOW)
    derive_rates(days, lake=lake, settings=chosen, now=NOW)
    publish(lake=lake, settings=chosen, now=NOW)
    return write_page(settings=chosen).read_text("utf-8")


def test_the_page_shows_the_rates_of_the_published_file(lake: Lake, settings: Callable[..., Settings]) -> None:
    chosen = settings()
    text = published(lake, chosen, [Sent(str(n), NOW - timedelta(hours=n), country="IN") for n in range(1, 60)])
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        rows = connection.execute(
            "SELECT sent_date::VARCHAR, sent, delivered, delivery_rate FROM delivery_by_day"
        ).fetchall()
    assert len(rows) == 3
    for day, sent, delivered, rate in rows:
        assert re.search(rf"<td>{day}( \*)?</td><td>{sent:,}</td><td>{delivered:,}</td>", text)
        assert f"{rate:.1%}" in text


def test_what_logs_say_is_escaped_and_nothing_is_fetched(lake: Lake, settings: Callable[..., Settings]) -> None:
    text = published(lake, settings(), [Sent("1", NOW, country=HOSTILE, sender_id=HOSTILE)])
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text


def test_a_page_of_no_messages_says_so(lake: Lake, settings: Callable[..., Settings]) -> None:
    chosen = settings()
    publish(lake=lake, settings=chosen, now=NOW)
    assert "No message yet." in write_page(settings=chosen).read_text("utf-8")


def test_a_page_without_a_published_file_is_a_clear_error(settings: Callable[..., Settings]) -> None:
    with pytest.raises(LakeError, match="SMS_REPORT"):
        write_page(settings=settings())
