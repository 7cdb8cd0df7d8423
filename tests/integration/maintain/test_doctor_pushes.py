"""What `doctor` says of pushed reports: each thing that can be wrong with them is a line that says what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.api.pushes import PushRules, line_of
from pipeline.collect.pushed_reports import take_pushed
from pipeline.lake.lake import Lake
from pipeline.maintain.pushes import push_remarks
from pipeline.maintain.surroundings import Remark
from pipeline.model.phone_numbers import NumberPolicy
from pipeline.model.settings import Settings
from tests.support.lakes import Sent, store_sent

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TOKEN = "token-of-tests-27182818"


@pytest.fixture
def look(lake: Lake, settings: Callable[..., Settings], tmp_path: Path) -> Callable[..., list[Remark]]:
    """Look at a set-up that is right but for the values given."""
    (tmp_path / "pushed").mkdir(mode=0o700)

    def found(*, now: datetime = NOON, **values: Any) -> list[Remark]:
        chosen = settings(**({"push_token": TOKEN, "pushed_reports": tmp_path / "pushed"} | values))
        remarks = list(push_remarks(chosen, lake=lake, now=now))
        assert not [remark for remark in remarks if TOKEN in remark.text or remark.subject != "pushes"]
        return remarks

    return found


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """Write reports as the receiver does at a moment."""

    def written(*msg_ids: str, at: datetime) -> None:
        rules = PushRules(NumberPolicy(), None, at)
        lines = [line_of({"appId": "app", "msgid": msg_id, "status": 0}, rules)[0] for msg_id in msg_ids]
        path = tmp_path / "pushed" / f"pushed-{at:%Y%m%dT%H}Z-a.jsonl"
        path.write_bytes(b"".join(lines))
        os.utime(path, (at.timestamp(), at.timestamp()))

    return written


def test_nothing_is_said_where_no_reports_are_taken(look: Callable[..., list[Remark]]) -> None:
    """They are an extra."""
    assert look(push_token=None, pushed_reports=None) == []


def test_a_token_without_a_folder_is_a_setting_to_fix(look: Callable[..., list[Remark]]) -> None:
    """The receiver can't start."""
    (remark,) = look(pushed_reports=None)
    assert remark.is_wrong
    assert remark.text.startswith("SMS_PUSHED_REPORTS: is not set")


def test_a_folder_that_is_not_there_yet_is_advice_and_one_that_is_a_file_is_wrong(
    look: Callable[..., list[Remark]], tmp_path: Path
) -> None:
    """`listen` makes it."""
    (tmp_path / "file").write_text("")
    (missing,), (file,) = look(pushed_reports=tmp_path / "none"), look(pushed_reports=tmp_path / "file")
    assert (missing.is_advice, missing.is_wrong) == (True, False)
    assert (file.is_advice, file.is_wrong) == (False, True)
    assert "`sms-delivery listen` makes it" in missing.text


def test_a_folder_in_which_others_can_write_is_wrong(look: Callable[..., list[Remark]], tmp_path: Path) -> None:
    """They could forge reports."""
    (tmp_path / "pushed").chmod(0o777)
    (remark,) = look()
    assert remark.is_wrong
    assert "chmod go-w it" in remark.text


def test_reports_that_come_and_are_read_are_well(
    look: Callable[..., list[Remark]], write: Callable[..., None], lake: Lake, settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:  # fmt: skip
    """The same after their files were read and deleted."""
    store_sent(lake, [Sent("1", NOON - timedelta(hours=3))])
    write("1", at=NOON - timedelta(hours=2, minutes=40))
    take_pushed(lake=lake, settings=settings(pushed_reports=tmp_path / "pushed"), now=NOON)
    assert not list((tmp_path / "pushed").iterdir())
    (remark,) = look()
    assert (remark.is_advice, remark.is_wrong) == (False, False)
    assert "mode 0700" in remark.text


def test_a_silence_is_told_if_messages_were_sent_meanwhile(
    look: Callable[..., list[Remark]], write: Callable[..., None], lake: Lake, settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:  # fmt: skip
    """A quiet night is none; neither is a receiver that took reports an hour ago."""
    store_sent(lake, [Sent("1", NOON - timedelta(hours=9))])
    write("1", at=NOON - timedelta(hours=8))
    take_pushed(lake=lake, settings=settings(pushed_reports=tmp_path / "pushed"), now=NOON)
    assert [remark.is_advice for remark in look()] == [False]

    store_sent(lake, [Sent("2", NOON - timedelta(hours=4))])

    assert [remark.is_advice for remark in look(now=NOON - timedelta(hours=3))] == [False]
    (remark,) = look()
    assert remark.is_advice
    assert "no report was pushed since 2026-03-02 04:00 UTC, but 1 messages were sent" in remark.text


def test_a_receiver_that_never_took_a_report_is_told(look: Callable[..., list[Remark]], lake: Lake) -> None:
    """The platform does not have its address."""
    store_sent(lake, [Sent("1", NOON - timedelta(hours=9))])
    (remark,) = look()
    assert "no report was pushed in the last 7 days, but 1 messages were sent" in remark.text


def test_reports_that_no_run_has_read_for_an_hour_are_told(
    look: Callable[..., list[Remark]], write: Callable[..., None]
) -> None:
    """Those of the last hour wait for the next run."""
    write("1", at=NOON - timedelta(minutes=30))
    assert [remark.is_advice for remark in look()] == [False]
    write("2", at=NOON - timedelta(hours=2, minutes=5))
    (remark,) = look()
    assert remark.is_advice
    assert "1 files hold reports that no run has read, the oldest of 2026-03-02 09:00 UTC" in remark.text


def test_many_reports_of_messages_that_no_log_has_are_told(
    look: Callable[..., list[Remark]], write: Callable[..., None], lake: Lake, settings: Callable[..., Settings],
    tmp_path: Path,
) -> None:  # fmt: skip
    """A log is missing, or somebody else posts; the last hour's may be logged later."""
    ids = [str(number) for number in range(200)]
    store_sent(lake, [Sent(msg_id, NOON - timedelta(hours=3)) for msg_id in ids])
    chosen = settings(pushed_reports=tmp_path / "pushed")
    write(*ids, "998", "999", at=NOON - timedelta(hours=3))
    take_pushed(lake=lake, settings=chosen, now=NOON)
    assert [remark.is_advice for remark in look()] == [False]

    write("997", at=NOON - timedelta(hours=1, minutes=10))
    write("996", at=NOON - timedelta(minutes=10))
    take_pushed(lake=lake, settings=chosen, now=NOON)

    (remark,) = look()
    assert remark.is_advice
    assert "3 of 203 reports of the last 7 days are of messages that no log has" in remark.text
