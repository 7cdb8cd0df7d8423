"""The page shows what the published file says, escapes what logs say, and needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import stat
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.lake.parquet import arrow_schema
from pipeline.model.errors import LakeError
from pipeline.model.settings import Settings
from pipeline.model.tables import REJECTED_RECORDS
from pipeline.publish.database import publish
from pipeline.publish.page.writing import write_page
from tests.support.lakes import Said, Sent, store_answers, store_sent
from tests.support.publications import HOSTILE, publication_by_hand

NOW = datetime(2026, 10, 27, 12, tzinfo=UTC)


def published(lake: Lake, chosen: Settings, sent: list[Sent]) -> str:
    store_sent(lake, sent)
    store_answers(lake, [(Said(s.msg_id, "delivered", NOW, s.sent_at), s.sent_at.date()) for s in sent[::2]])
    days = {s.sent_at.date() for s in sent}
    derive_messages(days, lake=lake, settings=chosen, now=NOW)
    derive_rates(days, lake=lake, settings=chosen, now=NOW)
    publish(lake=lake, settings=chosen, now=NOW)
    return write_page(settings=chosen).read_text("utf-8")


class Elements(HTMLParser):
    """Every element of a page, and the text of its scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip() and self.found[-1][0] in {"script", "style"}:
            self.texts.append((self.found[-1][0], data))


def data_of(text: str) -> dict[str, Any]:
    """Return what the page's script is given."""
    found: dict[str, Any] = json.loads(
        next(data for tag, data in elements(text).texts if tag == "script" and data.startswith("{"))
    )
    return found


def elements(text: str) -> Elements:
    parser = Elements()
    parser.feed(text)
    return parser


def test_the_page_says_in_one_line_how_many_records_are_rejected_and_why(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    chosen = settings(lake=lake.folder)
    assert "Not counted" not in published(lake, chosen, [Sent("1", NOW - timedelta(hours=3))])
    reasons = ["no_id: there is no msg_id"] * 2 + ["bad_time: <b>"]
    for line, reason in enumerate(reasons):
        row = {"source": "sent_log", "file": "log", "line": line, "item": 0, "reason": reason, "sent_date": NOW.date()}
        table = pa.Table.from_pylist([row], schema=arrow_schema(REJECTED_RECORDS))
        lake.append(REJECTED_RECORDS, [lake.write(REJECTED_RECORDS, table, NOW.date())])
    text = published(lake, chosen, [])
    assert "Not counted: 3 records of sent logs that can't be used (no_id 2, bad_time 1)" in html.unescape(text)


def test_the_page_shows_the_rates_of_the_published_file(lake: Lake, settings: Callable[..., Settings]) -> None:
    chosen = settings(lake=lake.folder)
    told = data_of(
        published(lake, chosen, [Sent(str(n), NOW - timedelta(hours=n), country="IN") for n in range(1, 60)])
    )
    with duckdb.connect(chosen.duckdb, read_only=True) as connection:
        rows = connection.execute(
            "SELECT sent_date::VARCHAR, sent, delivered, failed, is_mature FROM delivery_by_day "
            "ORDER BY is_mature DESC, sent_date DESC"
        ).fetchall()
    assert len(rows) == 3
    assert [first for first, _ in told["bins"]] == [day for day, *_ in rows]
    assert told["mature"] == sum(is_mature for *_, is_mature in rows)
    counts = [[row[n] for row in rows] for n in (1, 2, 3)] + [[sent - delivered for _, sent, delivered, *_ in rows]]
    assert told["series"]["all"] == [[column if any(column) else 0 for column in counts]]


@pytest.mark.parametrize("world", [{"days": 0}, {"days": 1}, {"days": 40, "countries": HOSTILE, "senders": HOSTILE}])
def test_names_add_no_element_and_nothing_is_fetched(
    world: dict[str, Any], settings: Callable[..., Settings], tmp_path: Path
) -> None:
    publication_by_hand(tmp_path / "by-hand.duckdb", **world)
    page = elements(write_page(settings=settings(duckdb=tmp_path / "by-hand.duckdb")).read_text("utf-8"))
    assert Counter(tag for tag, _ in page.found if tag in {"script", "style", "link", "img", "meta"}) == {
        "meta": 4, "link": 1, "style": 1, "script": 2,
    }  # fmt: skip
    for tag, attributes in page.found:
        assert not {"src", "srcset", "action", "style", "data"} & attributes.keys(), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert attributes.get("href") in {None, "data:,"}


def test_the_policy_names_just_the_scripts_and_the_style_that_are_there(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    page = elements(published(lake, settings(lake=lake.folder), [Sent("1", NOW)]))
    (policy,) = (a["content"] or "" for tag, a in page.found if a.get("http-equiv") == "Content-Security-Policy")
    hashes = {
        kind: [
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for tag, text in page.texts
            if tag == kind and not text.startswith("{")
        ]
        for kind in ("script", "style")
    }
    assert policy.startswith(
        f"default-src 'none'; script-src {' '.join(hashes['script'])}; style-src {hashes['style'][0]}; "
    )
    assert len(hashes["script"]) == 1
    assert "unsafe" not in policy


def test_what_logs_say_is_escaped(lake: Lake, settings: Callable[..., Settings]) -> None:
    sent = [Sent(str(n), NOW, country=HOSTILE[n % 2], sender_id=HOSTILE[n % 2]) for n in range(4)]
    text = published(lake, settings(lake=lake.folder), sent)
    assert HOSTILE[0] not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text
    assert [one["values"] for one in data_of(text)["dimensions"]] == [sorted(HOSTILE[:2])] * 2


def test_a_page_of_no_messages_says_so(lake: Lake, settings: Callable[..., Settings]) -> None:
    chosen = settings(lake=lake.folder)
    publish(lake=lake, settings=chosen, now=NOW)
    assert "No message yet." in write_page(settings=chosen).read_text("utf-8")


def test_the_page_has_the_mode_of_the_setting_and_leaves_nothing_beside_it(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    publication_by_hand(tmp_path / "by-hand.duckdb", days=2)
    chosen = settings(duckdb=tmp_path / "by-hand.duckdb", report=tmp_path / "page" / "report.html", file_mode="0604")
    write_page(settings=chosen)
    path = write_page(settings=chosen)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_page_that_can_not_take_its_place_leaves_nothing_beside_it(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    publication_by_hand(tmp_path / "by-hand.duckdb", days=2)
    (tmp_path / "page" / "report.html").mkdir(parents=True)
    chosen = settings(duckdb=tmp_path / "by-hand.duckdb", report=tmp_path / "page" / "report.html")
    with pytest.raises(LakeError, match="SMS_REPORT"):
        write_page(settings=chosen)
    assert [file.name for file in (tmp_path / "page").iterdir()] == ["report.html"]


def test_what_a_writer_left_that_died_goes(tmp_path: Path, settings: Callable[..., Settings]) -> None:
    """It is a copy of the published file; a kill or a power cut leaves it."""
    publication_by_hand(tmp_path / "by-hand.duckdb", days=2)
    chosen = settings(duckdb=tmp_path / "by-hand.duckdb", report=tmp_path / "page" / "report.html")
    chosen.report.parent.mkdir()
    for name in (".report.html.0a1b.tmp", ".report.html.0a1b.tmp.wal"):
        (chosen.report.parent / name).write_text("half")
    write_page(settings=chosen)
    assert [file.name for file in chosen.report.parent.iterdir()] == ["report.html"]


def test_a_page_without_a_published_file_is_a_clear_error(settings: Callable[..., Settings]) -> None:
    with pytest.raises(LakeError, match="SMS_DUCKDB: there is no "):
        write_page(settings=settings())


def test_what_was_never_asked_for_and_never_will_be_has_its_own_words(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    old = [Sent(str(n), NOW - timedelta(days=100), country="IN") for n in range(1004)]
    store_sent(lake, [*old, Sent("young", NOW - timedelta(days=80))])
    for step in (derive_messages, derive_rates):
        step([], lake=lake, settings=settings(), now=NOW)
    publish(lake=lake, settings=settings(), now=NOW)
    text = write_page(settings=settings(lake=lake.folder)).read_text("utf-8")
    assert "never asked: 1,004 messages before 2026-07-29, the platform no longer answers for them" in text
    assert "oldest was sent 2026-08-08" in text  # outstanding is the other one alone
    assert "0.0%" not in text


@pytest.mark.parametrize(
    "world",
    [
        {"days": 400, "countries": [f"{n:03}" for n in range(200)], "senders": ["ACME", "Kiosk24"]},
        {"days": 400, "countries": [f"{n:02}" for n in range(30)], "senders": [f"S{n}" for n in range(30)]},
        {"days": 60, "countries": ["IN", "BR"], "senders": [f"S{n}" for n in range(2000)]},
    ],
    ids=["countries", "both", "senders"],
)
def test_a_page_of_many_days_and_names_stays_under_a_megabyte_and_a_half(
    world: dict[str, Any], settings: Callable[..., Settings], tmp_path: Path
) -> None:
    publication_by_hand(tmp_path / "by-hand.duckdb", **world)
    path = write_page(settings=settings(duckdb=tmp_path / "by-hand.duckdb"))
    assert path.stat().st_size < 1_500_000


def test_no_message_is_lost_between_names_and_bins(settings: Callable[..., Settings], tmp_path: Path) -> None:
    """Every dimension and every split sums to all messages, also where names share a row."""
    world: dict[str, Any] = {"days": 230, "countries": ["IN", "BR", None], "senders": [f"S{n}" for n in range(150)]}
    file = publication_by_hand(tmp_path / "by-hand.duckdb", **world)
    told = data_of(write_page(settings=settings(duckdb=file)).read_text("utf-8"))
    with duckdb.connect(file, read_only=True) as connection:
        totals = connection.execute("SELECT sum(sent), sum(delivered), sum(failed) FROM delivery_by_day").fetchall()[0]
    split = [row for line in told["pairs"]["country/sender_id"] if line for row in line]
    for rows in (*told["series"].values(), split):
        sums = [sum(sum(row[n]) for row in rows if row and row[n]) for n in range(3)]
        assert sums == [int(total) for total in totals]
    kept = len(told["pairs"]["country/sender_id"][0]) - 1
    assert kept < 120  # the others share the last row of the split
    lines = [line for line in told["pairs"]["country/sender_id"] if line]
    for sender in range(kept):
        for n in range(3):
            split = [sum(counts) for counts in zip(*(line[sender][n] for line in lines), strict=True)]
            assert split == told["series"]["sender_id"][sender][n]
    (senders,) = (one for one in told["dimensions"] if one["key"] == "sender_id")
    assert senders["names"][-1] == "30 others"


def test_no_setting_is_named(settings: Callable[..., Settings], tmp_path: Path) -> None:
    publication_by_hand(tmp_path / "by-hand.duckdb", days=40)
    assert "SMS_" not in write_page(settings=settings(duckdb=tmp_path / "by-hand.duckdb")).read_text("utf-8")
