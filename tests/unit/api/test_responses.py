"""What a response means: for each kind of answer, the error that says what the caller does next."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.envelope import Envelope
from pipeline.api.responses import clock_offset, judge_response, retry_after_seconds
from pipeline.model.errors import (
    ApiRefused,
    AppRefused,
    BatchFailed,
    BatchRefused,
    CallError,
    ClockSkewed,
    Throttled,
    TransientError,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DATE = "Mon, 02 Mar 2026 12:00:00 GMT"
OFFSET_BY_DATE = 0.5
HTML = b"<!DOCTYPE html>\n<html><body>Welcome, +91856321412</body></html>"


@dataclass
class Answer:
    status_code: int = 200
    headers: httpx.Headers = field(default_factory=httpx.Headers)


def judge(body: bytes | dict[str, Any], http_status: int = 200, **headers: str) -> Envelope:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    offset = clock_offset(named, sent_at=NOW, observed_at=NOW)
    return judge_response(Answer(http_status, named), raw, offset_seconds=offset, observed_at=NOW)


def error_of(body: bytes | dict[str, Any], http_status: int = 200, **headers: str) -> CallError:
    with pytest.raises(CallError) as raised:
        judge(body, http_status, **headers)
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("-1", AppRefused),
        ("-2", AppRefused),
        ("-11", ApiRefused),
        ("-12", TransientError),
        ("-13", AppRefused),
        ("-14", BatchRefused),
        ("-15", Throttled),
        ("-16", ClockSkewed),
        ("-18", TransientError),
        ("-19", AppRefused),
        ("-22", ApiRefused),
        ("-25", ApiRefused),
        ("-29", AppRefused),
        ("-30", AppRefused),
        ("-31", AppRefused),
        ("-32", AppRefused),
        ("-99", BatchFailed),
        ("1", BatchFailed),
        ("success", BatchFailed),
    ],
)
@pytest.mark.parametrize("as_number", [False, True], ids=["text", "number"])
def test_mistake_2_each_envelope_code_is_its_error_and_none_an_answer(
    status: str, kind: type[CallError], as_number: bool
) -> None:
    told = int(status) if as_number and status.lstrip("-").isdigit() else status
    error = error_of({"status": told, "reason": "because", "array": []})

    assert type(error) is kind
    assert (error.http_status, error.status, error.reason) == (200, status, "because")
    assert "because" in str(error)


def test_success_with_http_200_is_the_envelope() -> None:
    assert judge({"status": "0", "success": "1", "array": [{}]}).success == 1


@pytest.mark.parametrize("code", ["-1", "-13", "-30", "-31"])
def test_refused_credentials_are_named_by_their_setting_or_the_account(code: str) -> None:
    message = str(error_of({"status": code}))

    assert "correct SMS_API_KEY" in message or "the account" in message


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 599])
@pytest.mark.parametrize("body", [HTML, b"", b'{"status":"0","array":[]}'], ids=["html", "empty", "success"])
def test_a_server_error_may_pass_whatever_it_carries(status: int, body: bytes) -> None:
    error = error_of(body, status)

    assert type(error) is TransientError
    assert error.http_status == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 414, 418, 451])
@pytest.mark.parametrize("body", [HTML, b"", b'{"status":"0","array":[]}'], ids=["html", "empty", "success"])
def test_any_other_client_error_stops_the_base_and_names_its_setting(status: int, body: bytes) -> None:
    error = error_of(body, status)

    assert type(error) is ApiRefused
    assert "SMS_API_BASE_URL" in str(error)
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_stops_the_base_and_names_its_setting(status: int) -> None:
    error = error_of(HTML, status, Location="https://elsewhere.invalid/")

    assert type(error) is ApiRefused
    assert "SMS_API_BASE_URL" in str(error)
    assert "redirect" in str(error)


@pytest.mark.parametrize(
    "body", [HTML, b"", b"null", b"[]", b'{"status":"0","arr', b'{"status":"0","array":{}}', b'{"code":0}']
)
def test_a_body_with_http_200_that_is_not_the_protocol_may_pass(body: bytes) -> None:
    assert type(error_of(body)) is TransientError


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_a_success_that_is_not_quite_http_200_is_not_believed(status: int) -> None:
    """Part of an answer would turn the rest of its ids into not_found."""
    assert type(error_of({"status": "0", "array": []}, status)) is TransientError


@pytest.mark.parametrize(
    ("http_status", "code", "kind"),
    [
        (400, "-14", BatchRefused),
        (401, "-1", AppRefused),
        (403, "-2", AppRefused),
        (429, "-15", Throttled),
        (500, "-18", TransientError),
        (503, "-16", ClockSkewed),
        (302, "-1", AppRefused),
    ],
)
def test_an_envelope_with_a_documented_code_decides_whatever_the_http_status(
    http_status: int, code: str, kind: type[CallError]
) -> None:
    error = error_of({"status": code}, http_status)

    assert type(error) is kind
    assert (error.http_status, error.status) == (http_status, code)


@pytest.mark.parametrize(("http_status", "kind"), [(400, ApiRefused), (500, TransientError), (429, Throttled)])
def test_of_an_undocumented_code_the_http_status_decides(http_status: int, kind: type[CallError]) -> None:
    assert type(error_of({"status": "-99"}, http_status)) is kind


@pytest.mark.parametrize("body", [HTML, b"", b'{"status":"0"}', b'{"status":"-18"}'])
@pytest.mark.parametrize("hint", ["7", "Mon, 02 Mar 2026 12:00:07 GMT"])
def test_503_with_a_hint_slows_down(body: bytes, hint: str) -> None:
    error = error_of(body, 503, Retry_After=hint)

    assert isinstance(error, Throttled)
    assert error.wait_seconds == 7


@pytest.mark.parametrize("headers", [{}, {"Retry_After": "soon"}])
def test_429_slows_down_with_or_without_a_hint(headers: dict[str, str]) -> None:
    error = error_of(b"", 429, **headers)

    assert isinstance(error, Throttled)
    assert error.wait_seconds is None


def test_too_frequent_takes_the_hint_too() -> None:
    error = error_of({"status": "-15"}, Retry_After="3")

    assert isinstance(error, Throttled)
    assert error.wait_seconds == 3


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", None),
        ("1", 1),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("-5", None),
        ("soon", None),
        ("99999999999999999999", None),
        ("Mon, 02 Mar 2026 12:05:00 GMT", 300),
        ("Monday, 02-Mar-26 12:05:00 GMT", 300),
        ("Mon Mar  2 12:05:00 2026", 300),
        ("Mon, 02 Mar 2026 13:05:00 +0100", 300),
        ("Mon, 02 Mar 2026 11:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -0800", None),
        ("Mon, 99 Mar 2026 12:05:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, now=NOW) == seconds


@given(st.text(max_size=40))
def test_retry_after_of_any_text_is_a_wait_or_none(value: str) -> None:
    seconds = retry_after_seconds(value, now=NOW)

    assert seconds is None or seconds > 0


def test_a_date_in_retry_after_is_of_the_clock_that_the_platform_shows() -> None:
    """Here it is 12:00, there 14:00: until 14:01 means a minute, not two hours."""
    error = error_of(b"", 429, Date=DATE.replace("12:", "14:"), Retry_After=DATE.replace("12:00:", "14:01:"))

    assert isinstance(error, Throttled)
    assert error.wait_seconds == 60 - OFFSET_BY_DATE


@pytest.mark.parametrize("seconds", [-86_400 * 30, -600, -1, 0, 1, 600, 86_400 * 30])
def test_an_expired_timestamp_tells_how_far_the_clocks_are_apart(seconds: int) -> None:
    """`Date` has whole seconds, so the offset is right to half of one."""
    date = (NOW + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    error = error_of({"status": "-16"}, Date=date)

    assert isinstance(error, ClockSkewed)
    assert error.offset_seconds == seconds + OFFSET_BY_DATE


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"date": ""},
        {"date": "noon"},
        {"date": DATE, "age": "0"},
        {"date": DATE, "Age": "3600"},
        {"date": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"date": "Fri, 31 Dec 2999 23:59:59 GMT"},
        {"date": "Fri, 31 Dec 9999 23:59:59 -0800"},
    ],
)
def test_a_date_that_is_missing_cached_or_absurd_tells_nothing(headers: dict[str, str]) -> None:
    assert clock_offset(httpx.Headers(headers), sent_at=NOW, observed_at=NOW) is None


def test_the_offset_is_taken_against_the_middle_of_the_exchange() -> None:
    offset = clock_offset(
        httpx.Headers({"date": DATE}), sent_at=NOW - timedelta(seconds=20), observed_at=NOW + timedelta(seconds=10)
    )

    assert offset == 5 + OFFSET_BY_DATE


@given(st.text(max_size=40))
def test_a_date_of_any_text_is_an_offset_or_none(text: str) -> None:
    assert isinstance(clock_offset({"Date": text}, sent_at=NOW, observed_at=NOW), float | None)


@pytest.mark.parametrize("http_status", [200, 404, 500])
def test_what_was_said_is_one_line_without_phone_numbers(http_status: int) -> None:
    reason = "no\nroute to 91856321412\x00 \u2028 now"
    for body in (HTML, reason.encode(), {"status": "-99", "reason": reason}, {"status": "-18", "reason": reason}):
        error = error_of(body, http_status)
        text = f"{error} {error!r}"

        assert "91856321412" not in text
        assert len(str(error).splitlines()) == 1
        assert "\x00" not in str(error)


def test_of_an_undocumented_code_the_start_of_the_body_is_kept_for_a_person() -> None:
    error = error_of({"status": "-77", "detail": "quota of 91856321412 is used up"})

    assert '"detail": "quota of *********** is used up"' in str(error)


@given(st.binary(max_size=2_000), st.sampled_from([200, 302, 404, 429, 500, 503]))
def test_no_body_makes_a_message_that_nobody_could_read(body: bytes, http_status: int) -> None:
    try:
        judge(body, http_status)
    except CallError as error:
        text = str(error)
    else:
        return
    assert len(text) < 400
    assert len(text.splitlines()) == 1
