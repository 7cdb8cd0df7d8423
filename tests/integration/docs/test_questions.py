"""The page of questions: each is answered by one line of SQL, which works on a published file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings, given_settings
from pipeline.publish.database import publish
from tests.support.lakes import Said, Sent, store_answers, store_rejects, store_sent
from tests.support.readme import DOCS

NOW: Final = datetime(2026, 10, 27, 12, tzinfo=UTC)
PAGE: Final = (DOCS / "questions.md").read_text("utf-8")
QUESTIONS: Final = {
    section.splitlines()[0]: section.partition("```sql\n")[2].partition("```")[0]
    for section in PAGE.split("\n### ")[1:]
}
PRICE: Final = '{"pricedetail":{"price":"0.0125","pay":"0.025","currency":"USD","chargeCnt":2}}'

LABELS: Final = {"campaign": "autumn"}
REJECT: Final = {
    "source": "sent_log",
    "file": "sent.jsonl",
    "line": 1,
    "item": 0,
    "reason": "no_id",
    "raw": None,
    "sent_date": NOW.date(),
    "rejected_at": NOW,
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish two weeks, the second with fewer delivered messages, prices, a campaign and a rejected record."""
    folder = tmp_path_factory.mktemp("questions")
    chosen: Settings = given_settings(folder, unknown_after_hours=24, sent_log_labels="campaign")
    lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded={})
    sent = [
        Sent(f"{week}{n}", NOW - timedelta(days=2 + 7 * week, minutes=n), country="IN", number="91981", labels=LABELS)
        for week in range(2)
        for n in range(100)
    ]
    answers = [
        Said(s.msg_id, "delivered" if s.msg_id[0] == "1" else "failed", s.sent_at, s.sent_at, extra=PRICE) for s in sent
    ]
    store_sent(lake, sent)
    store_answers(lake, [(said, s.sent_at.date()) for said, s in zip(answers, sent, strict=True)])
    store_sent(lake, [Sent(f"3{n}", NOW - timedelta(days=3), country="NG", number="23480") for n in range(3)])
    failed = [Said(f"3{n}", "failed", NOW - timedelta(days=2)) for n in range(3)]
    store_answers(lake, [(said, (NOW - timedelta(days=3)).date()) for said in failed])
    store_rejects(lake, [REJECT])
    derive_messages([], lake=lake, settings=chosen, now=NOW)
    derive_rates([], lake=lake, settings=chosen, now=NOW)
    publish(lake=lake, settings=chosen, now=NOW)
    return chosen.duckdb


def test_the_page_has_ten_questions() -> None:
    assert len(QUESTIONS) == 10
    assert PAGE.count("### ") == PAGE.count("```sql") == 10


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_by_one_line_of_sql(question: str, published: Path) -> None:
    sql = QUESTIONS[question]
    assert sql.count("\n") == 1
    assert sql.endswith(";\n")
    with duckdb.connect(published, read_only=True) as connection:
        assert connection.execute(sql).fetchall()
