"""`doctor` and `status`: each problem is one line that says what to fix, and an exit status."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from assets.cli.main import main
from pipeline.api.simulator.faults import Faults
from pipeline.api.simulator.sample_logs import write_sent_logs
from pipeline.api.simulator.server import Running, SimulatorOptions, running
from pipeline.derive.messages import derive_messages
from pipeline.derive.rates import derive_rates
from pipeline.lake.lake import Lake
from pipeline.maintain.audits.delivery_rates import latency_words
from pipeline.maintain.doctor import Finding, examine
from pipeline.maintain.status import status_text
from pipeline.model.settings import Settings, given_settings
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY
from tests.integration.maintain.test_maintenance import World
from tests.support.lakes import Called, Said, Sent, store_answers, store_calls, store_sent
from tests.support.places import Place, opened_place, write_logs

KEY, SECRET = "key-of-tests", "secret-of-tests-3141592"
Examine = Callable[..., dict[str, Finding]]


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Examine]:
    """Examine settings that are right except for the values given, against a simulator with the options given."""
    now = datetime.now(UTC)
    write_sent_logs(tmp_path / "logs", messages=50, days=[now.date()], now=now, app_id="app")
    before = os.umask(0o077)

    def found(*, ahead: float = 0, faults: str | None = None, **values: Any) -> dict[str, Finding]:
        is_refused = faults == "getBalance"  # that call alone
        struck = Faults.from_specs([faults] if faults and not is_refused else [])
        if is_refused:
            struck = Faults(script=lambda _, call: "-32" if call.name == "getBalance" else None)
        chosen = SimulatorOptions(api_key=KEY, api_secret=SECRET, faults=struck)
        with running(chosen, clock=lambda: datetime.now(UTC) + timedelta(seconds=ahead)) as server:
            findings = examine(settings_of(server, **values), now=now)
        for finding in findings:
            assert SECRET not in finding.text
            text = re.sub(r"part\d*-[0-9a-f-]{36}", "", finding.text.replace(str(tmp_path), ""))
            assert not re.search(r"\d{7}", text), finding.text
        return {finding.subject: finding for finding in findings}

    def settings_of(server: Running, **values: Any) -> Settings:
        right = {
            "api_base_url": server.base_url,
            "api_key": KEY,
            "api_secret": SECRET,
            "sent_logs": "logs/sent-{date}.jsonl",
        }
        return given_settings(tmp_path, **(right | values))

    yield found
    os.umask(before)


def wrong(findings: dict[str, Finding]) -> dict[str, str]:
    return {subject: finding.text for subject, finding in findings.items() if not finding.ok}


def test_doctor_finds_nothing_wrong_and_creates_nothing_where_all_is_well(look: Examine, tmp_path: Path) -> None:
    findings = look()
    of_logs = ["sent logs", "fields", "records", "times"]
    assert list(findings) == ["settings", "env file", "proxy", "numbers", *of_logs, "lake", "credentials", "clock"]
    assert wrong(findings) == {}
    assert not (tmp_path / "data").exists()


def test_a_wrong_secret_names_the_settings_to_fix(look: Examine) -> None:
    findings = wrong(look(api_secret="another-secret-2718281"))
    assert list(findings) == ["credentials"]
    assert "SMS_API_KEY and SMS_API_SECRET" in findings["credentials"]


@pytest.mark.parametrize("seconds", [-900, 900])
def test_a_clock_that_is_off_is_reported_and_the_credentials_still_pass(look: Examine, seconds: int) -> None:
    findings = wrong(look(ahead=seconds))
    assert list(findings) == ["clock"]
    offset = re.search(r" ([+-]\d+) s from this machine's; fix", findings["clock"])
    assert offset
    assert abs(int(offset[1]) - seconds) < 3


def test_a_platform_that_can_not_be_reached_is_reported(look: Examine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    findings = wrong(look(api_base_url=f"http://127.0.0.1:{port}/sms"))
    assert list(findings) == ["credentials", "clock"]
    assert f"127.0.0.1:{port}" in findings["credentials"]


def test_a_broken_accounts_file_is_named_and_all_else_is_looked_at(look: Examine, tmp_path: Path) -> None:
    (tmp_path / "accounts.toml").write_text("[apps", "utf-8")
    findings = look(accounts="accounts.toml", numbers="mask")
    assert "is not a TOML file" in wrong(findings)["settings"]
    assert findings["records"].ok


def test_an_html_response_is_reported(look: Examine) -> None:
    findings = wrong(look(faults="html=1"))
    assert "HTTP 200" in findings["credentials"]


def test_missing_logs_are_reported_and_the_app_of_the_settings_is_asked_for(look: Examine) -> None:
    findings = look(sent_logs="elsewhere/{date}.jsonl", app_id="app")
    assert list(wrong(findings)) == ["sent logs"]
    assert "SMS_SENT_LOGS" in findings["sent logs"].text
    assert "app app" in findings["credentials"].text


def test_credentials_are_tested_by_the_balance_where_no_message_is_known(look: Examine) -> None:
    """Without an app the account can still be asked; a platform that tells no balance is asked for an id instead."""
    new = {"sent_logs": "elsewhere/{date}.jsonl"}

    no_app = look(**new)["credentials"]
    assert no_app.ok
    assert "SMS_APP_ID" in no_app.text
    assert "balance 1250.75" in no_app.text
    assert wrong(look(**new, api_secret="another-secret"))["credentials"].count("SMS_API_KEY and SMS_API_SECRET") == 1
    assert "SMS_API_KEY" in wrong(look(**new, api_secret="another-secret", app_id="app"))["credentials"]
    assert "and its credentials" in look(**new, app_id="app", faults="getBalance")["credentials"].text


def test_an_id_refused_with_minus_14_shows_that_the_credentials_are_good(look: Examine) -> None:
    assert wrong(look(faults="-14=1")) == {}


def test_each_account_is_asked_for(look: Examine, tmp_path: Path) -> None:
    (tmp_path / "accounts.toml").write_text(f'[apps.other]\napi_key = "{KEY}"\napi_secret = "not-that-one"\n')
    findings = look(accounts=tmp_path / "accounts.toml")
    assert "app other" in findings["credentials"].text
    assert not findings["credentials"].ok


def test_a_lake_made_with_other_settings_is_reported(look: Examine, tmp_path: Path) -> None:
    lake = tmp_path / "data" / "lake"
    lake.mkdir(parents=True)
    (lake / "settings.json").write_text('{"SMS_TIMEZONE": "Asia/Tokyo"}')
    assert wrong(look())["lake"].startswith("SMS_TIMEZONE: ")


def log_of(folder: Path, content: str) -> None:
    """Write the log of today in place of the good one."""
    for path in (folder / "logs").iterdir():
        path.unlink()
    (folder / "logs" / f"sent-{datetime.now(UTC).date()}.csv").write_text(content)


def test_doctor_says_how_each_column_is_understood_which_are_ignored_and_which_come_close(
    look: Examine, tmp_path: Path
) -> None:
    sent_at = datetime.now(UTC) - timedelta(minutes=1)
    log_of(tmp_path, f"MessageId,ts,app_id,sendr,campaign,body\n1,{sent_at.isoformat()},app,ACME,spring,Hello\n")
    findings = look(sent_logs="logs/sent-{date}.csv", sent_log_labels="campaign")
    assert wrong(findings) == {}
    name = f"sent-{datetime.now(UTC).date()}.csv"
    assert findings["fields"].text == (
        f"{name}: msg_id from MessageId; sent_at from ts; app_id from app_id; label campaign from campaign; ignored: "
        "sendr (close to sender_id; if it is, set SMS_SENT_LOG_FIELDS=sender_id=sendr), body"
    )
    assert findings["records"].text == f"{name}: 1 of the first 1 records can be stored"
    assert findings["times"].text.startswith(f"{name}: sent {sent_at:%Y-%m-%d %H:%M:%S} to ")


def test_doctor_says_which_names_of_the_settings_the_log_lacks(look: Examine, tmp_path: Path) -> None:
    log_of(tmp_path, f"Reference,ts,app_id\n1,{datetime.now(UTC).isoformat()},app\n")
    fields = look(sent_logs="logs/sent-{date}.csv", sent_log_fields="msg_id=Reference,number=Dest")["fields"].text
    assert "msg_id from Reference" in fields
    assert fields.endswith("no Dest, which SMS_SENT_LOG_FIELDS names")


def test_doctor_says_what_would_be_rejected_and_why(look: Examine, tmp_path: Path) -> None:
    log_of(tmp_path, "msg_id,app_id,Sent\n" + "1,app,2026-11-18\n" * 3)
    findings = wrong(look(sent_logs="logs/sent-{date}.csv", app_id="app"))
    assert list(findings) == ["records"]
    assert "0 of the first 3 records can be stored; no_time: 3, first in line 2" in findings["records"]
    assert "SMS_SENT_LOG_FIELDS (sent_at=NAME)" in findings["records"]


def test_doctor_names_the_zone_where_messages_would_have_been_sent_in_the_future(look: Examine, tmp_path: Path) -> None:
    sent_at = datetime.now(UTC) + timedelta(hours=3)
    log_of(tmp_path, f"msg_id,app_id,sent_at\n1,app,{sent_at:%Y-%m-%d %H:%M:%S}\n")
    (text,) = wrong(look(sent_logs="logs/sent-{date}.csv")).values()
    assert "3.0 hours from now; is SMS_SENT_LOG_TIMEZONE" in text


def early_answers(folder: Path) -> tuple[Lake, datetime]:
    """Make a lake of 100 messages that arrived 3,587 s before they were sent; return it and the time of sending."""
    sent_at = datetime.now(UTC) - timedelta(hours=2)
    sent = [Sent(str(number), sent_at) for number in range(100)]
    chosen = given_settings(folder)
    lake = Lake.open(chosen.lake, mode=chosen.file_mode, recorded=chosen.recorded)
    store_sent(lake, sent)
    received = sent_at - timedelta(hours=1) + timedelta(seconds=13)
    answers = [Said(each.msg_id, "delivered", sent_at, received) for each in sent]
    store_answers(lake, [(answer, sent_at.date()) for answer in answers])
    derive_messages([], lake=lake, settings=chosen, now=sent_at)
    derive_rates([], lake=lake, settings=chosen, now=sent_at)
    return lake, sent_at


def test_doctor_says_in_the_words_of_a_run_that_latencies_can_not_be_right(look: Examine, tmp_path: Path) -> None:
    _, sent_at = early_answers(tmp_path)
    findings = wrong(look())
    assert list(findings) == ["latency"]
    assert findings["latency"] == latency_words(sent_at.date(), 100, -3587.0, ZoneInfo("UTC"))


@pytest.mark.parametrize(("start", "end"), [(0.5, 1.0), (0.0, 0.5)], ids=["footer", "pages"])
def test_a_damaged_data_file_is_named_and_all_else_is_looked_at(
    start: float, end: float, look: Examine, tmp_path: Path
) -> None:
    lake, _ = early_answers(tmp_path)
    path = lake.snapshot(DELIVERY_ROLLUPS_DAILY).files[0].path
    content = bytearray(path.read_bytes())
    first, last = int(len(content) * start), int(len(content) * end)
    content[first:last] = bytes(last - first)
    path.chmod(0o640)
    path.write_bytes(content)
    findings = look()
    assert list(wrong(findings)) == ["lake"]
    assert DELIVERY_ROLLUPS_DAILY.name in findings["lake"].text
    assert "sms-delivery repair" in findings["lake"].text
    assert findings["credentials"].ok


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened_place(tmp_path) as place:
        yield place


def command(place: Place, monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str) -> Result:
    monkeypatch.chdir(place.folder)
    return CliRunner().invoke(main, arguments, env=place.environment | environment)


def test_the_command_ends_with_0_1_or_2(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    write_logs(place, 20)
    good = command(place, monkeypatch, "doctor")
    assert (good.exit_code, len(place.simulator.calls)) == (0, 1)
    assert {line.split()[0] for line in good.output.splitlines()} == {"ok"}
    bad = command(place, monkeypatch, "doctor", SMS_API_SECRET="another-one-entirely")
    assert bad.exit_code == 1
    assert "fix   credentials" in bad.output
    assert command(place, monkeypatch, "doctor", SMS_API_SECRET="").exit_code == 2
    assert command(place, monkeypatch, "doctor", SMS_BATCH_SIZE="0").exit_code == 2
    assert command(place, monkeypatch, "status").exit_code == 2


def test_status_says_how_many_requests_were_made_today_and_how_full_they_were(
    lake: Lake, settings: Callable[..., Settings]
) -> None:
    """Repeated ones count, whichever day their ids were sent on; those of yesterday do not."""
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    today, days_ago = noon.date(), timedelta(days=3)
    calls = [Called(noon, ids=200), Called(noon - timedelta(hours=11), ids=50, attempts=2)]
    store_calls(lake, [(calls[0], today), (calls[1], today - days_ago), (Called(noon - timedelta(hours=13)), today)])

    said = status_text(lake=lake, settings=settings(lake=lake.folder), now=noon)

    assert "requests     3 today, of 100 ids on average" in said.splitlines()


def test_status_says_what_is_there_what_is_outstanding_and_when_it_was_published(tmp_path: Path) -> None:
    before = os.umask(0o077)
    world = World(tmp_path)

    def status() -> dict[str, str]:
        text = status_text(lake=world.lake, settings=world.settings, now=datetime.now(UTC))
        return dict(re.split(" {2,}", line, maxsplit=1) for line in text.splitlines())

    first = status()
    assert (first["messages"], first["outstanding"], first["published"][:6]) == ("6", "none", "never;")
    world.send("7")
    world.answer("7", "sending")
    world.derive()
    world.publish()
    published = status()
    assert published["outstanding"].startswith("1 unknown, the oldest sent 20")
    assert re.fullmatch(r"20[-\d]+ [:\d]+ UTC, answers up to 20[-\d]+ [:\d]+ UTC", published["published"])
    world.send("8")
    grown = status()
    os.umask(before)
    assert grown["published"].endswith(" UTC; changed since: sent_messages")
    assert (grown["messages"], grown["partitions"].split()[:2]) == ("8", ["1", "days,"])
