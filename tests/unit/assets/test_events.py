"""Failures that are no bugs become one line; log lines hold no phone number."""

from __future__ import annotations

import logging

import dagster as dg
import duckdb
import pytest

from assets.events import LIBRARY, MAX_LINES, expected_error, library_log, readable_failures
from pipeline.model.errors import LakeError, RunFailed, SettingsError
from pipeline.model.phone_numbers import mask_digits


@pytest.mark.parametrize("error", [SettingsError("SMS_LAKE: is wrong"), RunFailed("one\ntwo")])
def test_errors_of_the_project_stay_what_they_are(error: Exception) -> None:
    assert expected_error(error) is error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LakeError("no\nroom"), "no room"),
        (OSError(28, "No space left on device"), "the lake or the disk: OSError: [Errno 28] No space left on device"),
        (duckdb.IOException("lost\n4915112345678"), "the lake or the disk: IOException: lost *************"),
    ],
)  # fmt: skip
def test_errors_of_lake_and_disk_become_one_line_without_numbers(error: Exception, text: str) -> None:
    found = expected_error(error)
    assert isinstance(found, LakeError)
    assert str(found) == text


def test_a_bug_is_no_expected_error() -> None:
    assert expected_error(KeyError("msg_id")) is None
    with pytest.raises(KeyError), readable_failures():
        raise KeyError("msg_id")


def test_a_readable_failure_is_one_line_and_is_not_retried() -> None:
    with pytest.raises(dg.Failure) as failed, readable_failures():
        raise OSError(2, "gone")
    assert failed.value.description == "the lake or the disk: FileNotFoundError: [Errno 2] gone"
    assert not failed.value.allow_retries


def test_log_lines_of_the_library_are_passed_on_up_to_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    log, library = logging.getLogger("run"), logging.getLogger(f"{LIBRARY}.follow")
    with library_log(log):
        for number in range(MAX_LINES + 5):
            library.warning("call a1-%d of 4915112345678", number)
    lines = [record.getMessage() for record in caplog.records if record.name == "run"]
    assert lines[0] == "call a1-0 of *************"
    assert lines[MAX_LINES:] == ["5 more such lines; each call is a row of api_calls"]


def test_ids_of_calls_stay_readable() -> None:
    call_id = "12345678a23b45c7d890123456789012"
    assert mask_digits(f"call {call_id} of 1234567", is_own=True) == f"call {call_id} of *******"
