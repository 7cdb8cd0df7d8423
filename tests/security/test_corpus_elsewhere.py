"""Hostile values in pushes, the platform's record and balances; out by sheets, CSV, `message` and the page."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from pipeline.api.simulator.rules import make_msg_id
from pipeline.publish.sheet import FORMULA_STARTS
from tests.security.corpus import CHAT, FORMATS, HTML, MARKDOWN, SHEETS, SQL, TERMINAL, VALUES
from tests.support.commands import run_command
from tests.support.hostile import Seen, serving
from tests.support.places import Place, opened_place
from tests.support.pushes import TOKEN, post, receiving, report

pytestmark = pytest.mark.slow
SENT_AT = (datetime.now(UTC) - timedelta(days=7)).replace(hour=12, minute=0, second=0, microsecond=0)
IDS = {make_msg_id(SENT_AT, place): value for place, value in enumerate(VALUES)}
REASON = "<!channel>\x1b[2J</script><img src=x onerror=alert(1)>"
AS_THEY_ARE = (*SQL, *HTML, *CHAT, *SHEETS, *FORMATS, *MARKDOWN)
"""Values without blanks at their ends, control characters or digits that look like a number."""
TABLES = ("messages", "pushed_reports", "platform_record", "rejected_records")


def answer(asked: Seen) -> tuple[int, dict[str, str], bytes]:
    """Answer each call with hostile values, in fields that the protocol names and in others."""
    call = asked.target.partition("?")[0].rpartition("/")[2]
    if call == "getBalance":
        amounts = {"balance": SHEETS[0], "gift": HTML[0], "credit": TERMINAL[0]}
        return 200, {}, json.dumps({"status": "0", "reason": REASON} | amounts).encode()
    rows: list[dict[str, str]] = [
        {"msgId": msg_id, "status": "1" if call == "getReport" else "0", "receiveTime": SENT_AT.isoformat()}
        | {"note": value, value: value}
        for msg_id, value in IDS.items()
        if call == "getSentRcd" or msg_id in asked.msg_ids
    ]
    strange = {"msgId": HTML[1], "status": SQL[0], "receiveTime": HTML[0]}
    body = {"status": "0", "reason": REASON, "success": str(len(rows)), "fail": "0", "array": [*rows, strange]}
    return 200, {}, json.dumps(body).encode()


@dataclass(frozen=True)
class Done:
    """A place in which everything was run once, and what each command printed."""

    place: Place
    said: dict[str, str]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "logs").mkdir()
    log = folder / "logs" / f"sent-{SENT_AT.date()}.jsonl"
    records = [{"msg_id": msg_id, "sent_at": SENT_AT.isoformat(), "app_id": "app1"} for msg_id in IDS]
    log.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    with receiving(folder) as receiver:
        pushed = [report(msgid=i, status=1, reason=value, note=value, mcc=value) for i, value in IDS.items()]
        apps = [report(number, appId=value, reason=value) for number, value in enumerate(VALUES)]
        assert post(receiver, [*pushed, *apps, *VALUES]) == 200
        receiver.process.terminate()
        said = {"listen": "".join(receiver.process.communicate())}
    day = str(SENT_AT.date())
    commands = [["run", "--from", day, "--to", day], ["reconcile", "--from", day, "--to", day], ["status"], ["doctor"]]
    commands += [["message", msg_id] for msg_id in list(IDS)[:: len(IDS) // 4]]
    commands += [["export", f"{table}{ending}", "--table", table] for table in TABLES for ending in (".csv", ".xlsx")]
    with opened_place(folder) as place, serving(answer) as (url, _):
        place.environment.update(
            {"SMS_API_BASE_URL": url, "SMS_PUSHED_REPORTS": "pushed", "SMS_NUMBERS": "keep", "SMS_PUSH_TOKEN": TOKEN}
        )
        for command in commands:
            ended = run_command(command, folder=folder, environment=place.environment)
            said[" ".join(command)] = ended.stdout + ended.stderr
            assert ended.returncode in {0, 1}, (command, ended.stderr)
        yield Done(place, said)


def test_what_was_pushed_and_what_the_record_says_is_kept_as_data(done: Done) -> None:
    reasons = {reason for (reason,) in done.place.query("SELECT reason FROM pushed_reports")}
    assert reasons >= set(AS_THEY_ARE)
    apps = {app for (app,) in done.place.query("SELECT DISTINCT app_id FROM pushed_reports")}
    assert apps >= set(AS_THEY_ARE)
    notes = {json.loads(str(extra)).get("note") for (extra,) in done.place.query("SELECT extra FROM platform_record")}
    assert notes >= set(AS_THEY_ARE)
    assert done.place.query("SELECT count(*) FROM account_balance") == [(0,)]
    states = done.place.query("SELECT DISTINCT delivery_status, count(*) FROM messages GROUP BY ALL")
    assert states == [("failed", len(IDS))]


def test_no_line_of_a_command_does_more_than_show(done: Done) -> None:
    for command, text in done.said.items():
        assert "Traceback" not in text, command
        assert TOKEN not in text, command
        for line in text.split("\n"):
            assert line.isprintable(), (command, line)


def test_no_cell_of_a_sheet_is_a_formula_and_each_says_what_is_published(done: Done) -> None:
    for table in TABLES:
        (sheet,) = openpyxl.load_workbook(done.place.folder / f"{table}.xlsx").worksheets
        cells = [cell for row in sheet.iter_rows(min_row=2) for cell in row]
        assert {cell.data_type for cell in cells} <= {"s", "n", "d", "b", "inlineStr"}, table
        assert all(cell.hyperlink is None for cell in cells)
        assert all(cell.quotePrefix for cell in cells if str(cell.value).startswith(tuple(FORMULA_STARTS)))
    (sheet,) = openpyxl.load_workbook(done.place.folder / "pushed_reports.xlsx").worksheets
    heads = [cell.value for cell in sheet[1]]
    shown = {unescape(str(row[heads.index("reason")].value)) for row in sheet.iter_rows(min_row=2)}
    assert shown >= set(AS_THEY_ARE)


def test_no_cell_of_a_csv_begins_as_a_formula(done: Done) -> None:
    for table in TABLES:
        with (done.place.folder / f"{table}.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        assert len(rows) > len(VALUES)
        assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+@\t\r"))], table


def test_the_page_shows_a_reason_and_runs_none(done: Done) -> None:
    page = Path(done.place.folder, "data", "report.html").read_text("utf-8")
    assert not any(value in page for value in HTML[:2])
    assert "onerror=alert(1)>" not in page
