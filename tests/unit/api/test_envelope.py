"""Decoding: every spelling that clients have met is read; nothing else passes for an answer."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.api.envelope import Envelope, NotTheProtocolError, decode_envelope, text_of

COUNTS = ("success", "fail", "sending", "nofound")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
fields = ("status", "reason", *COUNTS, "array")
near_envelopes = st.dictionaries(st.sampled_from(fields), any_json, max_size=len(fields))


def decoded(**answer: Any) -> Envelope:
    return decode_envelope(json.dumps(answer).encode())


@given(any_json | near_envelopes)
def test_any_json_is_an_envelope_or_not_the_protocol(answer: object) -> None:
    try:
        envelope = decode_envelope(json.dumps(answer).encode())
    except NotTheProtocolError:
        return
    assert isinstance(answer, dict)
    assert envelope.status
    assert list(envelope.rows) == (answer.get("array") or [])


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe{")
@example(b"[" * 100_000)
@example(b'{"status":"0","array":[')
@example(b'{"status":"0","reason":"\\ud800"}')
@example(b'{"status":' + b"9" * 10_000 + b"}")
@example(b'{"status":"0","success":1e999}')
@example(b'{"status":"0"}{"status":"0"}')
@example(b"<!DOCTYPE html><html></html>")
def test_any_bytes_are_an_envelope_or_not_the_protocol(body: bytes) -> None:
    with contextlib.suppress(NotTheProtocolError):
        assert decode_envelope(body).status


@pytest.mark.parametrize("array", [{"array": None}, {"array": []}, {}], ids=["null", "empty", "missing"])
def test_an_array_that_is_null_empty_or_missing_has_no_rows(array: dict[str, Any]) -> None:
    assert not decoded(status="0", **array).rows


@pytest.mark.parametrize("array", [{}, "", "[]", 0, False, {"msgId": "1"}])
def test_an_array_of_another_kind_is_not_the_protocol(array: object) -> None:
    with pytest.raises(NotTheProtocolError):
        decoded(status="0", array=array)


@pytest.mark.parametrize("value", ["", "1", 1.5, True, [], {"a": "1"}, "{", '"', "\\", "ü"])
@pytest.mark.parametrize("separators", [(",", ":"), (" ,\n", " : ")])
def test_rows_are_what_the_body_holds(value: object, separators: tuple[str, str]) -> None:
    array = [{"msgId": "1", "status": value}, {"msgId": "2", "status": value}]
    text = json.dumps(array, separators=separators).encode()

    assert list(decode_envelope(b'{"status":"0","array":' + text + b"}").rows) == array


@pytest.mark.parametrize("value", [None, 1, "", "}", "},{", [], [{}]])
def test_an_element_that_is_no_row_is_kept_between_rows(value: object) -> None:
    array = [{"msgId": "1"}, value, {"msgId": "2"}]
    envelope = decoded(status="0", array=array)

    assert list(envelope.rows) == array


@pytest.mark.parametrize("status", ["0", 0, " 0 "])
def test_status_zero_is_success_as_text_or_number(status: object) -> None:
    assert decoded(status=status).status == "0"


@pytest.mark.parametrize("status", [None, "", " ", True, False, 0.0, [], {}])
def test_an_envelope_without_a_status_is_not_the_protocol(status: object) -> None:
    """Least of all is it a success: false and 0.0 are not "0"."""
    with pytest.raises(NotTheProtocolError):
        decoded(status=status)


@given(st.integers(0, 10**12))
def test_counts_are_the_same_as_text_and_as_numbers(count: int) -> None:
    as_text = decoded(status="0", **dict.fromkeys(COUNTS, str(count)))
    as_number = decoded(status="0", **dict.fromkeys(COUNTS, count))

    assert as_text == as_number
    assert (as_text.success, as_text.fail, as_text.sending, as_text.not_found) == (count,) * 4


@pytest.mark.parametrize("count", [None, "", "many", "-1", -1, 1.5, "1.0", True, "٣", "9" * 30, [], {}])
def test_counts_that_are_no_counts_are_left_out(count: object) -> None:
    assert decoded(status="0", success=count).success is None


def test_counts_that_are_missing_are_left_out() -> None:
    envelope = decoded(status="0")

    assert (envelope.success, envelope.fail, envelope.sending, envelope.not_found) == (None,) * 4
    assert envelope.reason == ""


@given(st.integers(0, 10**32 - 1))
def test_mistake_5_an_id_that_comes_as_a_number_keeps_every_digit(msg_id: int) -> None:
    body = b'{"status":0,"array":[{"msgId":%d}]}' % msg_id
    (row,) = decode_envelope(body).rows

    assert isinstance(row, dict)
    assert text_of(row["msgId"]) == str(msg_id)


@given(any_json)
def test_text_is_what_text_and_integers_say_and_nothing_else(value: object) -> None:
    text = text_of(value)

    if isinstance(value, str):
        assert text == (value.strip() or None)
    elif type(value) is int:
        assert text == str(value)
    else:
        assert text is None


@given(texts, any_json)
def test_fields_that_nobody_documented_do_not_matter(name: str, value: object) -> None:
    if name in fields:
        return
    assert decoded(**{name: value}, status="0", array=[]) == decoded(status="0", array=[])


def test_mistake_2_an_error_envelope_is_told_from_an_answer_without_reports() -> None:
    error, nothing = decoded(status="-18", reason="port program unusual"), decoded(status="0")

    assert (error.status, error.reason) == ("-18", "port program unusual")
    assert nothing.status == "0"
