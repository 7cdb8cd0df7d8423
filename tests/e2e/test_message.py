"""`message ID`: what the command prints and how it ends."""

from __future__ import annotations

import json

import pytest

from tests.support.places import Place, write_logs


@pytest.mark.slow
def test_a_message_is_told_after_a_run_and_none_is_one_line_and_status_1(place: Place) -> None:
    assert "SMS_LAKE: " in place.run("message", "1", status=2).stderr
    write_logs(place, 5)
    place.run("run")
    ((msg_id, number),) = place.query("SELECT msg_id, number FROM messages LIMIT 1")
    assert f"message   {msg_id} of app " in place.run("message", str(msg_id)).stdout
    (told,) = json.loads(place.run("message", "--json", f"+{number}").stdout)
    assert told["facts"]["msg_id"] == msg_id
    missing = place.run("message", f"{msg_id}0", status=1)
    assert missing.stdout == ""
    assert missing.stderr.count("\n") == 1
    assert "ID: is empty" in place.run("message", " ", status=2).stderr
