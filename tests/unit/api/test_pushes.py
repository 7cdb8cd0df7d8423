"""What is read from the body of a push: tolerant of the vendor's samples, and never misread."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.pushes import NotAPushError, PushRules, decode_push, line_of
from pipeline.model.forgotten_numbers import ForgottenNumbers
from pipeline.model.phone_numbers import NumberPolicy

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SAMPLE = """{
  'appId': 'app1',
  'msgid ': '2108021054011000095',
  'mobile': '91856321412',
  'status': 1,
  'reason': 'it\\'s "off"',
  'timestamp': 1613037003000,
  'mcc': '404', 'mnc': '45',
  'pricedetail': {'pay': '0.02', 'price': '0.01', 'currency': 'USD', 'chargeCnt': 2},
}"""
REPORT: dict[str, Any] = {"appId": "app1", "msgid": "2108021054011000095", "mobile": "91856321412", "status": 0}


def rows(body: str | bytes, **rules: Any) -> list[dict[str, Any]]:
    chosen = PushRules(**({"numbers": NumberPolicy(), "default_app": None, "received_at": NOW} | rules))
    found = decode_push(body if isinstance(body, bytes) else body.encode())
    return [json.loads(line_of(element, chosen)[0]) for element in found]


def pushed(**changes: Any) -> dict[str, Any]:
    (row,) = rows(json.dumps({name: value for name, value in (REPORT | changes).items() if value is not ...}))
    return row


def test_the_sample_of_the_vendors_page_is_read_whole() -> None:
    assert rows(SAMPLE) == [
        {
            "app_id": "app1", "msg_id": "2108021054011000095", "number": "91856321412", "status": "failed",
            "reason": 'it\'s "off"', "reported_at": "2021-02-11T09:50:03Z", "received_at": "2026-03-02T12:00:00Z",
            "mcc": "404", "mnc": "45", "pay": "0.02", "price": "0.01", "currency": "USD", "charge_count": 2,
            "extra": None,
        }
    ]  # fmt: skip


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_single_quotes_are_read_as_the_text_that_they_enclose(text: str) -> None:
    """Whatever the text, in single quotes with JSON's escapes it is the same text."""
    inner = json.dumps(text)[1:-1].replace(r"\"", '"').replace("'", r"\'")
    (found,) = decode_push(("{'a': '" + inner + "', }").encode())
    assert found == {"a": text}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=6))
def test_json_is_read_as_json(value: object) -> None:
    """A body that is JSON is never read by the tolerant way."""
    body = json.dumps([{"a": value}])
    assert decode_push(body.encode()) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[]", "{}", "3", "null", "'a'", "{'a': 'it's'}", '{"a": "b}', "{'a': 'b'", "{a: 1}", "[NaN]", "[{}] x",
        "[" * 100_000, '{"a": ' + "9" * 5000 + "}", '{"msgid": "1", "msgid ": "2"}', "{'a': 1, 'a': 1}", "\ud800",
    ],
    ids=range(18),
)  # fmt: skip
def test_what_is_no_report_is_refused_as_a_whole(body: str) -> None:
    with pytest.raises(NotAPushError) as refused:
        decode_push(body.encode("utf-8", "surrogatepass"))
    assert "9" * 20 not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"appId": ...}, "no_app"),
        ({"appId": " "}, "no_app"),
        ({"appId": "a\nb"}, "bad_app"),
        ({"msgid": ...}, "no_id"),
        ({"msgid": "x1"}, "bad_id"),
        ({"msgid": 2.108e18}, "bad_id"),
        ({"msgid": "1" * 33}, "bad_id"),
        ({"msgid": "٢١"}, "bad_id"),
        ({"status": ...}, "bad_status"),
        ({"status": "DELIVRD"}, "bad_status"),
        ({"status": True}, "bad_status"),
        ({"msgId": "7"}, "ambiguous"),
    ],
)
def test_a_report_that_can_not_be_used_is_kept_with_the_reason(changes: dict[str, Any], code: str) -> None:
    row = pushed(**changes)
    assert row["rejected"].partition(":")[0] == code
    assert "app_id" not in row


@pytest.mark.parametrize(("status", "state"), [(0, "delivered"), ("0", "delivered"), (1, "failed"), ("13", "failed")])
def test_zero_is_delivered_and_all_else_failed(status: object, state: str) -> None:
    assert pushed(status=status)["status"] == state


def test_ids_are_text_whether_pushed_as_text_or_number() -> None:
    ids = [pushed(msgid=value)["msg_id"] for value in ("2108021054011000095", 2108021054011000095, 10**31 + 1)]
    assert ids == ["2108021054011000095", "2108021054011000095", str(10**31 + 1)]


def test_what_can_not_be_read_is_null_and_kept() -> None:
    row = pushed(timestamp="soon", mcc="four", orderId="o1", status=7, pricedetail={"price": "much", "settle": 1})
    assert (row["reported_at"], row["mcc"], row["price"]) == (None, None, None)
    assert json.loads(row["extra"]) == {
        "timestamp": "soon", "mcc": "four", "orderId": "o1", "status": 7, "pricedetail": {"price": "much", "settle": 1},
    }  # fmt: skip


def test_an_app_is_lent_only_to_a_report_without_the_field() -> None:
    bodies = [json.dumps({k: v for k, v in REPORT.items() if k != "appId"}), json.dumps(REPORT | {"appId": ""})]
    one, other = (rows(body, default_app="mine")[0] for body in bodies)
    assert one["app_id"] == "mine"
    assert "rejected" in other


@pytest.mark.parametrize("mode", ["mask", "hash", "drop"])
def test_no_number_is_in_a_line_where_numbers_are_hidden(mode: Any) -> None:
    """Fields, free text, unknown fields and rejects alike."""
    policy = NumberPolicy(mode, b"k" * 32)
    report = REPORT | {"reason": "to +91 8563 21412", "extra": {"to": "91856321412"}}
    bodies = [json.dumps(report), json.dumps(report | {"status": "x", "mobile": "+91 856-321-412"})]
    assert not [body for body in bodies if "321412" in str(rows(body, numbers=policy))]


def test_a_forgotten_number_does_not_come_back() -> None:
    forgotten = ForgottenNumbers(b"key")
    forgotten = ForgottenNumbers(b"key", {forgotten.digest_of("91856321412")}, {11})
    (row,) = rows(json.dumps(REPORT | {"reason": "to 91856321412"}), numbers=NumberPolicy(forgotten=forgotten))
    assert row["number"] is None
    assert "91856321412" not in str(row)
