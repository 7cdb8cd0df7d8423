"""Failed runs and red checks are posted to a receiver on a socket: when, how often, and with nothing secret in it."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from assets.definitions import build_definitions
from assets.resources import Workspace, utc_now
from assets.run_health import Silence
from assets.sensors import build_sensors
from pipeline.maintain.alerts import post
from pipeline.model.errors import AlertFailed, SettingsError
from pipeline.model.settings import Settings, given_settings, load_settings
from tests.support.alerts import PATH, Receiver, Watch, receiving
from tests.support.places import Place, opened_place, write_logs
from tests.support.runs import Recorded, recorded


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def here(place: Place, receiver: Receiver) -> Iterator[Recorded]:
    with recorded(place, alert_webhook=receiver.url) as here:
        yield here


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened_place(tmp_path) as place:
        yield place


def watch_of(here: Recorded, name: str, settings: Settings | None = None) -> Watch:
    chosen = settings or here.settings
    (sensor,) = [s for s in build_sensors(chosen, lambda: chosen, Silence()) if s.name == name]
    return Watch(here.instance, sensor)


def fail(here: Recorded) -> dg.ExecuteInProcessResult:
    """Run without logs and credentials."""
    bare = given_settings(here.settings.lake.parent)
    result = Recorded(here.instance, bare).run(utc_now().date(), utc_now().date())
    assert not result.success
    return result


def test_a_failed_run_is_posted_once_an_hour_with_the_line_that_says_what_to_mend(
    here: Recorded, receiver: Receiver
) -> None:
    watch = watch_of(here, "run_failures")
    run_id = fail(here).run_id
    assert watch.tick() == "1 messages posted"
    assert watch.tick() == "nothing to post"
    (message,) = receiver.posted
    assert "SMS_SENT_LOGS: is needed" in message["text"]
    assert message["run_id"] == run_id
    assert message["event"] == "run_failures"
    assert message["first_day"] == utc_now().date().isoformat()
    for _ in range(2):
        fail(here)
        assert watch.tick() == "nothing to post"
    watch.an_hour_later()
    fail(here)
    watch.tick()
    assert [posted["held_back"] for posted in receiver.posted] == [0, 2]


def test_one_cause_is_posted_once_whichever_job_it_fails_and_another_cause_at_once(
    here: Recorded, receiver: Receiver
) -> None:
    watch = watch_of(here, "run_failures")
    fail(here)
    assert watch.tick() == "1 messages posted"
    bare = given_settings(here.settings.lake.parent)
    by_hand = build_definitions(bare, Workspace(lambda: bare)).resolve_job_def("__ASSET_JOB")
    asked = {"asset_selection": [dg.AssetKey("sent_messages")], "tags": {"dagster/partition": f"{utc_now().date()}"}}
    assert not by_hand.execute_in_process(instance=here.instance, raise_on_error=False, **asked).success  # type: ignore[arg-type]
    assert watch.tick() == "nothing to post"
    without_secret = here.settings.model_copy(update={"api_secret": None})
    Recorded(here.instance, without_secret).run(utc_now().date(), utc_now().date())
    assert watch.tick() == "1 messages posted"
    assert "SMS_API_SECRET" in receiver.posted[-1]["text"]


def test_an_alert_names_assets_made_by_hand_their_days_the_first_line_and_the_run(
    here: Recorded, receiver: Receiver
) -> None:
    @dg.asset(name="messages", partitions_def=dg.DailyPartitionsDefinition("2026-11-01"))
    def broken() -> None:
        raise ValueError("the first line\nand another")

    linked = here.settings.model_copy(update={"dagster_url": "https://dagster.example/"})
    watch = watch_of(here, "run_failures", linked)
    by_hand = dg.Definitions(assets=[broken]).resolve_job_def("__ASSET_JOB")
    result = by_hand.execute_in_process(
        instance=here.instance,
        asset_selection=[dg.AssetKey("messages")],
        partition_key="2026-11-02",
        raise_on_error=False,
    )
    watch.tick()
    (message,) = receiver.posted
    assert message["text"].splitlines() == [
        "sms-delivery: materialization of messages for 2026-11-02 to 2026-11-02 failed",
        "ValueError: the first line",
        f"https://dagster.example/runs/{result.run_id}",
    ]


def test_history_before_the_sensor_was_switched_on_is_not_posted(here: Recorded, receiver: Receiver) -> None:
    fail(here)
    watch = watch_of(here, "run_failures")
    assert watch.tick() == "nothing to post"
    assert receiver.posted == []


@pytest.mark.slow
def test_red_checks_are_posted_with_their_numbers_and_no_phone_number(
    place: Place, here: Recorded, receiver: Receiver
) -> None:
    today = write_logs(place, 300).date()
    with (place.folder / "logs" / f"sent-{today}.jsonl").open("a") as log:
        log.writelines('{"sent_at": "2026-01-01T00:00:00Z", "number": "91856321412"}\n' for _ in range(9))
    watch = watch_of(here, "check_failures")
    assert here.run(today - timedelta(days=2), today).success
    assert watch.tick() == "1 messages posted"
    (message,) = receiver.posted
    (found,) = message["found"]
    assert (found["check"], found["asset"], found["severity"]) == ("rejected_share", "sent_messages", "WARN")
    assert found["numbers"]["rejected"] == 9
    assert "WARN rejected_share of sent_messages" in message["text"]
    assert "91856321412" not in json.dumps(message)
    assert here.run(today, today).success
    assert watch.tick() == "nothing to post"


def test_a_webhook_that_does_not_take_it_is_tried_again_and_holds_nothing_up(
    here: Recorded, receiver: Receiver
) -> None:
    watch = watch_of(here, "run_failures")
    fail(here)
    receiver.status = 500
    assert watch.tick() == "SMS_ALERT_WEBHOOK: it answers with HTTP status 500"
    receiver.status = 200
    assert watch.tick() == "1 messages posted"
    assert watch.tick() == "nothing to post"


def test_without_a_webhook_nothing_is_posted_and_the_sensors_are_off(here: Recorded) -> None:
    bare = given_settings(here.settings.lake.parent)
    watch = watch_of(here, "run_failures", bare)
    fail(here)
    assert watch.tick() == "SMS_ALERT_WEBHOOK is not set: nothing is posted"
    for settings, status in ((bare, "STOPPED"), (here.settings, "RUNNING")):
        posting = [s for s in build_sensors(settings, lambda: bare, Silence()) if s.name != "dead_runs"]
        assert {s.default_status.value for s in posting} == {status}


def test_a_webhook_that_is_not_there_or_redirects_is_named_without_its_url(receiver: Receiver) -> None:
    for url, status, reason in (
        (f"http://localhost:1{PATH}", 200, "ConnectError"),
        (receiver.url, 302, "HTTP status 302"),
    ):
        receiver.status = status
        with pytest.raises(AlertFailed, match=reason) as raised:
            post(SecretStr(url), {"text": "hello"})
        assert PATH not in str(raised.value)
    assert len(receiver.posted) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    pem = tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", str(pem), "-out", str(tmp_path / "certificate.pem"), "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", pem)
    with receiving(context) as receiver, pytest.raises(AlertFailed, match="ConnectError"):
        post(SecretStr(receiver.url), {"text": "hello"})
    assert receiver.posted == []


def test_a_webhook_in_the_clear_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMS_ALERT_WEBHOOK", f"http://example.com{PATH}")
    with pytest.raises(SettingsError, match="SMS_ALERT_WEBHOOK: must be an https URL") as raised:
        load_settings(folder=tmp_path)
    assert PATH not in str(raised.value)
