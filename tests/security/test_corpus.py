"""Hostile values through every way in: kept exactly as data, and acted on by nothing on the way out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.api.simulator.rules import make_msg_id
from tests.security.corpus import BROKEN, CHAT, FILE_NAMES, HTML, VALUES
from tests.support.hostile import Seen, serving
from tests.support.places import Place, opened_place

SENT_AT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
FIELDS = ("msg_id", "sent_at", "app_id", "sender_id", "order_id", "campaign")
LONGEST = 200
"""Characters of a text field that are stored."""


EMPTY = ("", "null")


def stored(value: str) -> str:
    """Return what the design says is stored of a text, empty where it stands for a missing one."""
    text = value.strip().removeprefix("'").strip()
    text = text.replace("\r", "\n").replace("\0", "").encode("utf-8", "ignore").decode()[:LONGEST].strip()
    return "" if text in EMPTY else text


def records(values: Sequence[str], first: int) -> list[dict[str, str]]:
    at = SENT_AT.isoformat()
    return [
        dict(zip(FIELDS, (make_msg_id(SENT_AT, first + place), at, "app", value, value, value), strict=True))
        for place, value in enumerate(values)
    ]


def write_logs(folder: Path) -> dict[str, str]:
    """Write a log of each format, and one log of each hostile name; return what stands in each message by id."""
    folder.mkdir()
    of_json, of_csv, of_parquet = records((*VALUES, *BROKEN), 0), records(VALUES, 1_000), records(VALUES, 2_000)
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in of_json), "ascii")
    with (folder / "log.csv").open("w", encoding="utf-8", newline="") as log:
        writer = csv.DictWriter(log, FIELDS)
        writer.writeheader()
        writer.writerows(of_csv)
    for record in of_parquet:
        record["app_id"] = record["sender_id"] if stored(record["sender_id"]) not in EMPTY else "app"
    pq.write_table(pa.Table.from_pylist(of_parquet), folder / "log.parquet")
    for place, name in enumerate(FILE_NAMES):
        record = records(["plain"], 3_000 + place)[0]
        (folder / f"{name}.jsonl").write_text(json.dumps(record) + '\n{"msg_id": "x"}\n', "utf-8")
    everything = [*of_json, *of_csv, *of_parquet]
    return {record["msg_id"]: record["sender_id"] for record in everything}


def answer(asked: Seen) -> tuple[int, dict[str, str], bytes]:
    """Answer for every id, hostile values in the fields that the protocol does not name."""
    rows = [
        {"msgId": msg_id, "status": "0", "receiveTime": SENT_AT.isoformat(), "note": VALUES[place % len(VALUES)]}
        for place, msg_id in enumerate(asked.msg_ids)
    ]
    return 200, {}, json.dumps({"status": "0", "reason": "<!channel>\x1b[2J", "array": rows}).encode()


class Run:
    """A place in which everything was run once: what was sent, and what each command printed."""

    def __init__(self, place: Place, sent: dict[str, str], said: dict[str, str]) -> None:
        self.place, self.sent, self.said = place, sent, said


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("hostile")
    with opened_place(folder) as place, serving(answer) as (url, _):
        sent = write_logs(folder / "logs")
        place.environment.update(
            {"SMS_API_BASE_URL": url, "SMS_SENT_LOGS": "logs/*", "SMS_SENT_LOG_LABELS": "campaign"}
        )
        commands = {"run": 0, "status": 0, "doctor": 1, "publish": 0, "export": 0}
        said = {}
        for command, status in commands.items():
            more = ["taken.duckdb"] if command == "export" else []
            ended = place.run(command, *more, status=status)
            said[command] = ended.stdout + ended.stderr
        yield Run(place, sent, said)


def test_every_value_is_stored_as_it_was_logged(done: Run) -> None:
    found = done.place.query("SELECT msg_id, sender_id, order_id, labels FROM sent_messages")
    by_id = {str(msg_id): (sender, order, labels) for msg_id, sender, order, labels in found}
    by_id |= {msg_id: _with_line_feeds(*by_id[msg_id]) for msg_id, value in done.sent.items() if "\r" in value}
    wrong = {
        value: by_id.get(msg_id)
        for msg_id, value in done.sent.items()
        if by_id.get(msg_id) != (text := stored(value) or None, text, {"campaign": text} if text else None)
    }

    assert wrong == {}


def _with_line_feeds(sender: object, order: object, labels: object) -> tuple[object, object, object]:
    """Write a line end in a cell as CSV's reader does: any of the three becomes a line feed."""
    assert isinstance(labels, dict)
    fed = {name: str(text).replace("\r", "\n") for name, text in labels.items()}
    return str(sender).replace("\r", "\n"), str(order).replace("\r", "\n"), fed


def test_every_message_is_delivered_and_every_view_answers(done: Run) -> None:
    ((delivered, every),) = done.place.query(
        "SELECT count(*) FILTER (WHERE delivery_status = 'delivered'), count(*) FROM messages"
    )
    assert delivered == every == len(done.sent) + len(FILE_NAMES)
    for (view,) in done.place.query("SELECT view_name FROM duckdb_views() WHERE NOT internal"):
        done.place.query(f"SELECT count(*) FROM {view}")


def test_an_export_holds_the_same_values(done: Run) -> None:
    with duckdb.connect(done.place.folder / "taken.duckdb", read_only=True) as connection:
        taken = connection.execute("SELECT DISTINCT sender_id FROM messages ORDER BY ALL").fetchall()

    assert taken == done.place.query("SELECT DISTINCT sender_id FROM messages ORDER BY ALL")


def test_no_line_of_a_command_does_more_than_show(done: Run) -> None:
    for command, text in done.said.items():
        for line in text.split("\n"):
            assert line.isprintable(), (command, line)
        assert "\nsms-delivery: done" not in text


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.handlers, self.sources = 0, 0, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.handlers += sum(name.startswith("on") for name, _ in attrs)
        self.sources += sum("evil.example" in (value or "") for _, value in attrs)


def test_the_page_has_no_tag_that_a_value_made(done: Run) -> None:
    page = (done.place.folder / "data" / "report.html").read_text("utf-8")
    tags = _Tags()
    tags.feed(page)

    assert (tags.handlers, tags.sources) == (0, 0)
    assert not any(value in page for value in HTML[:2])


def test_nobody_is_called_by_what_a_run_says(done: Run) -> None:
    from pipeline.model.printable import for_slack  # noqa: PLC0415 - one test of many needs it

    for value in CHAT[:4]:
        assert value not in for_slack(done.said["run"] + value)


def test_an_app_that_is_refused_is_named_and_acted_on_by_no_terminal(tmp_path: Path) -> None:
    record = {"msg_id": make_msg_id(SENT_AT, 1), "sent_at": SENT_AT.isoformat()}
    refusal = json.dumps({"status": "-16", "reason": "\x1b[2J\u202e"}).encode()
    with opened_place(tmp_path) as place, serving(lambda _: (200, {}, refusal)) as (url, _):
        (tmp_path / "log.jsonl").write_text(json.dumps(record))
        done = place.run(
            "run", status=1, SMS_API_BASE_URL=url, SMS_SENT_LOGS="*.jsonl", SMS_APP_ID="app\x1b[2J\x9b\u202e"
        )
    said = done.stdout + done.stderr

    assert r"app\x1b[2J\x9b\u202e" in said
    assert all(line.isprintable() for line in said.split("\n"))
