"""Flattening: each id asked for becomes exactly one row, whatever the platform answers."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.api.codes import ROW_REASONS
from pipeline.api.envelope import AnsweredCall, NotTheProtocolError, decode_envelope
from pipeline.api.reports import REJECT_DTYPES, REPORT_DTYPES, Flattened, flatten_reports, parse_receive_time

DAY = date(2021, 2, 12)
NOW = datetime(2021, 2, 12, 2, tzinfo=UTC)
ONE, TWO, STRANGER = "2108021054011000095", "2108021059531000096", "2108021059531000097"
VENDOR_SAMPLE = b"""{
"status": "0",
"reason": "success",
"success": "2",
"fail": "0",
"sending": "0",
"nofound": "0",
"array": [
{
"msgId": "2108021054011000095",
"number": "91856321412",
"receiveTime": "2021-02-12T09:30:03+08:00",
"status": "0"
},
{
"msgId": "2108021059531000096",
"number": "91856321413",
"receiveTime": "2021-02-12T09:30:03+08:00",
"status": "0"
}
]
}"""
"""The response of the vendor's page, "RESPONSE EXAMPLE"."""


def row_of(msg_id: object = ONE, **fields: Any) -> dict[str, Any]:
    return {
        "msgId": msg_id,
        "number": "91856321412",
        "receiveTime": "2021-02-12T09:30:03+08:00",
        "status": "0",
    } | fields


def answer_of(body: bytes | dict[str, Any], *asked: str, call_id: str = "call") -> AnsweredCall:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return AnsweredCall(
        call_id, "4luaKsL2", NOW, [(msg_id, DAY) for msg_id in asked or (ONE, TWO)], decode_envelope(raw)
    )


def flattened(*rows: object, asked: tuple[str, ...] = (ONE, TWO), **envelope: Any) -> Flattened:
    return flatten_reports([answer_of({"status": "0", "array": list(rows)} | envelope, *asked)])


def statuses(flat: Flattened) -> dict[str, str]:
    return dict(zip(flat.reports["msg_id"], flat.reports["status"], strict=True))


def reasons(flat: Flattened) -> list[str]:
    return [reason.partition(":")[0] for reason in flat.rejects["reason"]]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
few_ids = st.integers(1, 6).map(str)  # so few that rows often meet ids that were asked
near_rows = st.fixed_dictionaries(
    {},
    optional={
        "msgId": few_ids | st.integers(1, 6) | any_json,
        "number": st.just("91856321412") | any_json,
        "receiveTime": st.just("2021-02-12T09:30:03+08:00") | st.datetimes().map(str) | any_json,
        "status": st.sampled_from(["0", "1", "-1", 0, 1, -1, "7"]) | any_json,
        "pricedetail": any_json,
    },
)
counts = st.none() | st.integers(0, 6) | st.integers(0, 6).map(str) | any_json
near_answers = st.fixed_dictionaries(
    {"status": st.just("0")},
    optional={
        "array": st.none() | st.lists(near_rows | any_json, max_size=8),
        **dict.fromkeys(("success", "fail", "sending", "nofound"), counts),
    },
)


@given(st.lists(st.tuples(near_answers, st.sets(few_ids, min_size=1)), max_size=3))
@example([({"status": "0", "array": [{"msgId": "1", "status": 10**40, "receiveTime": 1e300, "x": -(10**40)}]}, {"1"})])
def test_each_id_asked_for_is_exactly_one_row_and_nothing_raises(
    answers: list[tuple[dict[str, Any], set[str]]],
) -> None:
    flat = flatten_reports(
        answer_of(body, *sorted(asked), call_id=str(number)) for number, (body, asked) in enumerate(answers)
    )

    rows = Counter(zip(flat.reports["call_id"], flat.reports["msg_id"], strict=True))
    assert rows == Counter((str(number), msg_id) for number, (_, asked) in enumerate(answers) for msg_id in asked)
    assert set(flat.reports["status"]) <= {"delivered", "failed", "sending", "not_found"}
    assert not flat.rejects.duplicated(["file", "item"]).any()
    assert {reason.partition(":")[0] for reason in flat.rejects["reason"]} <= ROW_REASONS.keys()


@given(st.lists(near_rows | any_json, max_size=8), st.sets(few_ids, min_size=1))
def test_every_row_of_an_answer_is_a_report_or_a_reject_or_named_as_a_mismatch(
    rows: list[object], asked: set[str]
) -> None:
    flat = flattened(*rows, asked=tuple(sorted(asked)))

    found = (flat.reports["status"] != "not_found").sum()
    unusable = sum(code in {"bad_row", "bad_row_id"} for code in reasons(flat))
    left = len(rows) - found - unusable  # strangers, and rows for an id that had one before
    assert left >= 0
    if not left:
        assert not flat.mismatches


@given(st.lists(near_answers, max_size=2))
def test_empty_and_full_frames_have_the_same_columns_and_types(bodies: list[dict[str, Any]]) -> None:
    flat = flatten_reports(answer_of(body) for body in bodies)
    empty = flatten_reports([])

    assert empty.reports.empty
    assert empty.rejects.empty
    for one, other, dtypes in (
        (flat.reports, empty.reports, REPORT_DTYPES),
        (flat.rejects, empty.rejects, REJECT_DTYPES),
    ):
        assert one.dtypes.to_dict() == other.dtypes.to_dict()
        assert {name: str(dtype) for name, dtype in one.dtypes.items()} == dtypes


def test_the_vendors_sample_exchange_gives_two_delivered_rows() -> None:
    flat = flatten_reports([answer_of(VENDOR_SAMPLE)])

    assert statuses(flat) == {ONE: "delivered", TWO: "delivered"}
    assert list(flat.reports["number"]) == ["91856321412", "91856321413"]
    assert list(flat.reports["receive_time"]) == [pd.Timestamp("2021-02-12 01:30:03", tz="UTC")] * 2
    assert list(flat.reports["sent_date"]) == [DAY, DAY]
    assert flat.reports["extra"].isna().all()
    assert flat.rejects.empty
    assert not flat.mismatches


@pytest.mark.parametrize(
    ("status", "expected"),
    [("0", "delivered"), (0, "delivered"), ("1", "failed"), (1, "failed"), ("-1", "sending"), (-1, "sending")],
)
def test_mistake_1_a_row_is_read_as_the_vendors_page_says(status: object, expected: str) -> None:
    flat = flattened(row_of(status=status), asked=(ONE,))

    assert statuses(flat) == {ONE: expected}
    assert flat.rejects.empty


def test_mistake_2_an_error_is_no_answer_that_could_be_flattened() -> None:
    """Without a status-0 envelope there is no `AnsweredCall`: see `test_responses` and `test_client` for the rest."""
    with pytest.raises(NotTheProtocolError):
        answer_of(b'{"array": []}')


def test_mistake_3_ids_that_were_not_returned_are_rows_too_and_not_final() -> None:
    flat = flattened(row_of(ONE), asked=(ONE, TWO), nofound="1")

    assert statuses(flat) == {ONE: "delivered", TWO: "not_found"}
    assert not flat.mismatches


@given(st.integers(10**18, 10**19 - 1))
def test_mistake_5_an_id_as_a_json_number_is_the_id_that_was_asked(number: int) -> None:
    body = b'{"status":0,"success":1,"array":[{"msgId":%d,"number":91856321412,"status":0}]}' % number
    flat = flatten_reports([answer_of(body, str(number))])

    assert statuses(flat) == {str(number): "delivered"}
    assert list(flat.reports["number"]) == ["91856321412"]
    assert not flat.mismatches


@pytest.mark.parametrize("msg_id", [2.108021054011e18, "2.108021054011e+18", None, "", True, [], "²", "٣", "1;2"])
def test_mistake_5_an_id_that_is_not_text_of_digits_is_rejected(msg_id: object) -> None:
    flat = flattened(row_of(msg_id), asked=(ONE,))

    assert statuses(flat) == {ONE: "not_found"}
    assert reasons(flat) == ["bad_row_id"]


@pytest.mark.parametrize("array", [{"array": None}, {"array": []}, {}], ids=["null", "empty", "missing"])
def test_without_rows_every_id_is_not_found(array: dict[str, Any]) -> None:
    flat = flatten_reports([answer_of({"status": "0", "nofound": "2"} | array)])

    assert statuses(flat) == {ONE: "not_found", TWO: "not_found"}
    assert not flat.mismatches


@pytest.mark.parametrize("row", [None, 1, "text", [], [row_of()], True])
def test_a_row_that_is_not_an_object_is_rejected(row: object) -> None:
    flat = flattened(row, row_of(ONE), asked=(ONE,))

    assert statuses(flat) == {ONE: "delivered"}
    assert reasons(flat) == ["bad_row"]
    assert list(flat.rejects["item"]) == [0]


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2021-02-12T09:30:03+08:00", "2021-02-12T01:30:03Z"),
        ("2021-02-12T01:30:03Z", "2021-02-12T01:30:03Z"),
        ("2021-02-12T01:30:03+00:00", "2021-02-12T01:30:03Z"),
        ("2021-02-11T20:00:03-05:30", "2021-02-12T01:30:03Z"),
        ("2021-02-12T09:30:03+0800", "2021-02-12T01:30:03Z"),
        ("2021-02-12 09:30:03+08:00", "2021-02-12T01:30:03Z"),
        ("2021-02-12T09:30:03.5+08:00", "2021-02-12T01:30:03.500Z"),
        ("2021-02-12T09:30:03.123456789+08:00", "2021-02-12T01:30:03.123456Z"),
        ("  2021-02-12T09:30:03+08:00\n", "2021-02-12T01:30:03Z"),
        ("2021-02-12T15:15:03+13:45", "2021-02-12T01:30:03Z"),
    ],
)
def test_a_receive_time_leaves_as_utc_whatever_its_offset(written: str, utc: str) -> None:
    flat = flattened(row_of(receiveTime=written), asked=(ONE,))

    assert list(flat.reports["receive_time"]) == [pd.Timestamp(utc)]
    assert flat.rejects.empty


@pytest.mark.parametrize("written", [None, "", "  "])
def test_a_receive_time_that_is_empty_is_null_and_nothing_odd(written: object) -> None:
    flat = flattened(row_of(receiveTime=written, status="-1"), asked=(ONE,))

    assert flat.reports["receive_time"].isna().all()
    assert flat.rejects.empty


@pytest.mark.parametrize(
    "written",
    [
        "2021-02-12T09:30:03",  # no offset: nobody knows whose clock
        "2021-02-12",
        "2021-02-12+08:00",
        "2021-02-12T09:30:03 08:00",  # what becomes of + in a query
        "yesterday, about noon",
        "0000-00-00T00:00:00+08:00",
        "0001-01-01T00:00:00+08:00",  # before the first instant that can be written in UTC
        "9999-12-31T23:59:59-08:00",
        "2021-02-30T09:30:03+08:00",
        "2021-02-12T09:30:03+25:00",
        "1613093403",
        1613093403,
        1613093403.5,
        True,
        [],
        {},
    ],
)
def test_a_receive_time_that_cannot_be_read_is_null_and_said_so(written: object) -> None:
    flat = flattened(row_of(receiveTime=written), asked=(ONE,))

    assert statuses(flat) == {ONE: "delivered"}
    assert flat.reports["receive_time"].isna().all()
    assert reasons(flat) == ["bad_receive_time"]


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)),  # noqa: DTZ001 - the offset is drawn beside it
    st.integers(-14 * 60, 14 * 60),
)
def test_a_receive_time_is_the_same_instant_after_reading(wall: datetime, minutes: int) -> None:
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    read = parse_receive_time(f"{wall.isoformat()}{sign}{hours:02d}:{rest:02d}")

    assert read == wall.replace(tzinfo=UTC) - timedelta(minutes=minutes)
    assert read is not None
    assert read.tzinfo is UTC


@given(texts)
def test_a_receive_time_of_any_text_is_utc_or_none(text: str) -> None:
    read = parse_receive_time(text)

    assert read is None or read.utcoffset() == timedelta(0)


def test_rows_for_ids_that_were_not_asked_are_left_out_and_a_mismatch() -> None:
    flat = flattened(row_of(ONE), row_of(STRANGER), asked=(ONE,))

    assert statuses(flat) == {ONE: "delivered"}
    assert "not asked" in flat.mismatches["call"]


def test_the_same_row_twice_counts_once_and_is_no_mismatch() -> None:
    flat = flattened(row_of(ONE), row_of(ONE), asked=(ONE,), success="1")

    assert statuses(flat) == {ONE: "delivered"}
    assert not flat.mismatches


@pytest.mark.parametrize(("first", "second"), [("0", "1"), ("1", "0"), ("-1", "0"), ("0", "-1")])
def test_of_rows_that_contradict_the_first_counts_and_the_call_is_a_mismatch(first: str, second: str) -> None:
    flat = flattened(row_of(ONE, status=first), row_of(ONE, status=second), asked=(ONE,))

    assert statuses(flat) == statuses(flattened(row_of(ONE, status=first), asked=(ONE,)))
    assert "contradict" in flat.mismatches["call"]


@pytest.mark.parametrize("status", ["7", 7, "", None, "delivered", True, 0.0, [], {}])
def test_a_status_that_nobody_documented_counts_as_sending_and_is_rejected_too(status: object) -> None:
    flat = flattened(row_of(status=status), asked=(ONE,))

    assert statuses(flat) == {ONE: "sending"}
    assert reasons(flat) == ["undocumented_status"]


def test_a_row_that_is_odd_twice_is_rejected_once_with_both_reasons() -> None:
    """A reject is found again by call and item, so there is one of each."""
    flat = flattened(row_of(status="7", receiveTime="noon"), asked=(ONE,))

    assert len(flat.rejects) == 1
    assert "undocumented_status" in flat.rejects["reason"][0]
    assert "bad_receive_time" in flat.rejects["reason"][0]


def test_a_reject_keeps_the_fields_as_they_came() -> None:
    flat = flattened({"msgId": 1.5, "number": 4471, "receiveTime": [1, "a"], "status": True, "text": "hello"})

    (reject,) = flat.rejects.to_dict("records")
    assert (reject["msg_id"], reject["number"], reject["receive_time"], reject["status"]) == (
        "1.5",
        "4471",
        '[1,"a"]',
        "true",
    )
    assert "hello" not in str(reject)


@pytest.mark.parametrize("name", ["success", "fail", "sending", "nofound"])
def test_a_count_that_does_not_agree_with_the_rows_is_a_mismatch(name: str) -> None:
    right: dict[str, Any] = {"success": "1", "fail": "0", "sending": "0", "nofound": "1"}

    assert not flattened(row_of(ONE), **right).mismatches
    assert name in flattened(row_of(ONE), **(right | {name: "5"})).mismatches["call"]


@pytest.mark.parametrize("count", [{}, {"success": None}, {"success": ""}, {"success": "many"}])
def test_a_count_that_is_missing_is_not_compared(count: dict[str, Any]) -> None:
    assert not flattened(row_of(ONE), fail="0", sending="0", nofound="1", **count).mismatches


def test_a_mismatch_names_its_own_call_alone() -> None:
    good, bad = {"status": "0", "array": [row_of(ONE)]}, {"status": "0", "array": [], "success": "2"}
    flat = flatten_reports([answer_of(good, ONE, call_id="good"), answer_of(bad, ONE, call_id="bad")])

    assert list(flat.mismatches) == ["bad"]


@given(st.dictionaries(texts.filter(bool), any_json, min_size=1, max_size=3))
def test_fields_that_the_protocol_does_not_name_are_kept_as_json(more: dict[str, Any]) -> None:
    known = row_of(ONE)
    flat = flattened(more | known, asked=(ONE,))
    unnamed = {name: value for name, value in more.items() if name not in known}

    if unnamed:
        assert json.loads(flat.reports["extra"][0]) == unnamed
    else:
        assert flat.reports["extra"].isna().all()


def test_rows_nested_deeper_than_anyone_nests_do_no_harm() -> None:
    for depth in (100, 400, 900, 980):
        nest = b"[" * depth + b"]" * depth
        body = b'{"status":"0","array":[{"msgId":"%s","status":"0","x":%s}]}' % (ONE.encode(), nest)
        try:
            answer = answer_of(body, ONE)
        except NotTheProtocolError:
            continue
        assert statuses(flatten_reports([answer])) == {ONE: "delivered"}
