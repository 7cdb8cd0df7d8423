"""Hostile values through every way in: kept exactly as data, and acted on by nothing on the way out."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import escape

from pipeline.api.simulator.rules import make_msg_id
from tests.security.corpus import BROKEN, CHAT, FILE_NAMES, HTML, LABEL_NAMES, LONG, MARKDOWN, VALUES
from tests.support.hostile import Seen, serving
from tests.support.places import Place, opened_place

SENT_AT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
LABELS = ("campaign", *LABEL_NAMES)
FIELDS = ("msg_id", "sent_at", "app_id", "sender_id", "order_id", *LABELS)
REASON = "<!channel>\x1b[2J"
LONGEST = 200
"""Characters of a text field that are stored."""


EMPTY = ("", "null")


def stored(value: str) -> str:
    """Return what the design says is stored of a text, empty where it stands for a missing one."""
    text = value.strip().removeprefix("'").strip()
    text = text.replace("\r", "\n").replace("\0", "").encode("utf-8", "ignore").decode()[:LONGEST].strip()
    return "" if text in EMPTY else text


OFTEN = (HTML[0], HTML[1], MARKDOWN[0])
"""Values with so many messages that the page shows them."""
APP_NAMES = tuple(name for name in FILE_NAMES if stored(name))
"""Names of folders `app_id=…`."""


def app_of(value: str) -> str:
    """Return the value as an app id, where it is one."""
    return value if stored(value) else "app"


def records(values: Sequence[str], first: int) -> list[dict[str, str]]:
    at = SENT_AT.isoformat()
    return [
        dict(zip(FIELDS, (make_msg_id(SENT_AT, first + place), at, app_of(value), *[value] * 7), strict=True))
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
    pq.write_table(pa.Table.from_pylist(of_parquet), folder / "log.parquet")
    for place, name in enumerate(FILE_NAMES):
        record = records(["plain"], 3_000 + place)[0]
        (folder / f"{name}.jsonl").write_text(json.dumps(record) + '\n{"msg_id": "x"}\n', "utf-8")
    for place, name in enumerate(APP_NAMES):
        hive = folder / f"app_id={name}"
        hive.mkdir()
        record = records(["plain"], 4_000 + place)[0]
        del record["app_id"]
        (hive / "log.jsonl").write_text(json.dumps(record) + "\n", "utf-8")
    many = records(OFTEN * 20, 5_000)
    (folder / "many.jsonl").write_text("".join(json.dumps(record) + "\n" for record in many), "utf-8")
    everything = [*of_json, *of_csv, *of_parquet, *many]
    return {record["msg_id"]: record["sender_id"] for record in everything}


NOTES = itertools.cycle(VALUES)


def answer(asked: Seen) -> tuple[int, dict[str, str], bytes]:
    """Answer for every id, hostile values in the fields that the protocol does not name."""
    rows = [
        {"msgId": msg_id, "status": "0", "receiveTime": SENT_AT.isoformat(), "note": next(NOTES)}
        for msg_id in asked.msg_ids
    ]
    return 200, {}, json.dumps({"status": "0", "reason": REASON, "array": rows}).encode()


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
            {"SMS_API_BASE_URL": url, "SMS_SENT_LOGS": "logs/*,logs/*/*", "SMS_SENT_LOG_LABELS": ",".join(LABELS)}
        )
        commands = {"run": 0, "status": 0, "doctor": 1, "publish": 0, "export": 0}
        said = {}
        for command, status in commands.items():
            more = ["taken.duckdb"] if command == "export" else []
            ended = place.run(command, *more, status=status)
            said[command] = ended.stdout + ended.stderr
        yield Run(place, sent, said)


def test_every_value_is_stored_as_it_was_logged(done: Run) -> None:
    found = done.place.query("SELECT msg_id, app_id, sender_id, order_id, labels FROM sent_messages")
    by_id = {str(msg_id): (app, sender, order, labels) for msg_id, app, sender, order, labels in found}
    by_id |= {msg_id: _with_line_feeds(*by_id[msg_id]) for msg_id, value in done.sent.items() if "\r" in value}
    wrong = {
        value: by_id.get(msg_id)
        for msg_id, value in done.sent.items()
        if by_id.get(msg_id)
        != (stored(app_of(value)), text := stored(value) or None, text, dict.fromkeys(LABELS, text) if text else None)
    }

    assert wrong == {}


def _with_line_feeds(
    app: object, sender: object, order: object, labels: object
) -> tuple[object, object, object, object]:
    """Write a line end in a cell as CSV's reader does: any of the three becomes a line feed."""
    assert isinstance(labels, dict)
    fed = {name: str(text).replace("\r", "\n") for name, text in labels.items()}
    app, sender, order = (str(text).replace("\r", "\n") for text in (app, sender, order))
    return app, sender, order, fed


def test_the_name_of_a_folder_is_the_app_as_it_was_written(done: Run) -> None:
    found = done.place.query("SELECT DISTINCT app_id FROM sent_messages WHERE contains(file, '/app_id=')")
    assert {str(app).replace("\r", "\n") for (app,) in found} == {stored(unquote(name)) for name in APP_NAMES}


def test_what_the_platform_said_is_read_back_as_it_was_said(done: Run) -> None:
    notes = {json.loads(str(extra)).get("note") for (extra,) in done.place.query("SELECT extra FROM delivery_reports")}
    assert notes >= {value for value in VALUES if value not in LONG}
    assert done.place.query("SELECT DISTINCT reason FROM api_calls") == [(REASON,)]


def test_each_reject_names_its_log_and_keeps_what_it_said(done: Run) -> None:
    found = done.place.query("SELECT file, line, raw FROM rejected_records")
    assert {(Path(str(file)).name, line, raw) for file, line, raw in found} == {
        (f"{name}.jsonl", 2, '{"msg_id":"x"}') for name in FILE_NAMES
    }


def test_each_label_is_a_dimension_by_its_name(done: Run) -> None:
    found = done.place.query("SELECT DISTINCT dimension, value FROM delivery_rollups_daily WHERE value IS NOT NULL")
    for name in LABELS:
        values = {value for dimension, value in found if dimension == f"label:{name}"}
        assert values >= {stored(value) for value in HTML if stored(value)}, name


def test_every_message_is_delivered_and_every_view_answers(done: Run) -> None:
    ((delivered, every),) = done.place.query(
        "SELECT count(*) FILTER (WHERE delivery_status = 'delivered'), count(*) FROM messages"
    )
    assert delivered == every == len(done.sent) + len(FILE_NAMES) + len(APP_NAMES)
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
    for value in OFTEN:
        assert str(htmlsafe_json_dumps(value)) in page, "the charts do not show it"
        assert str(escape(value)) in page, "the tables do not show it"


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
