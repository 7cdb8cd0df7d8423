"""The rules that one record must keep."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.collect.fields import SPELLINGS
from pipeline.collect.frames import RawFrame
from pipeline.collect.records import LogRules, Reject, apply_rules, stored_texts
from pipeline.collect.rejects import REASONS
from pipeline.collect.values import EMPTY_TEXTS, TEXT_FIELDS
from pipeline.model.phone_numbers import NumberPolicy

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
DAY = date(2025, 6, 1)
SENT = {"msg_id": "2108021054011000095", "sent_at": "2025-06-01T08:00:00Z", "app_id": "app"}
ANSWER = {
    "status": "0",
    "reason": "success",
    "array": [
        {"msgId": "2108021054011000095", "number": "91856321412", "orderId": "21412"},
        {"msgId": 2108021054011000096, "number": 91856321413},
    ],
}
CALL = {"sent_at": 1748764800, "app_id": "app", "from": "ACME", "response": ANSWER}


def rules(**changes: Any) -> LogRules:
    chosen: dict[str, Any] = {
        "log_zone": ZoneInfo("UTC"),
        "partition_zone": ZoneInfo("UTC"),
        "default_app_id": None,
        "start_date": date(2024, 1, 1),
        "now": NOW,
        "numbers": NumberPolicy(),
    }
    return LogRules(**chosen | changes)


Message = dict[str, Any]


def outcomes_of(
    *records: object, chosen: LogRules | None = None, file_date: date | None = DAY
) -> list[Message | Reject]:
    """Apply the rules to records, one per line; return messages and rejects in order."""
    frame = RawFrame()
    for line, record in enumerate(records, 1):
        frame.add_record(line, record)
    table, rejects, _ = apply_rules(frame, chosen or rules(), file_date)
    placed: list[tuple[tuple[int, int], Message | Reject]] = [
        ((row["line"], row["item"]), row) for row in table.to_pylist()
    ]
    placed += [((reject.line, reject.item or 0), reject) for reject in rejects]
    return [outcome for _, outcome in sorted(placed, key=lambda each: each[0])]


def message_of(record: object, **changes: Any) -> Message:
    (outcome,) = outcomes_of(record, chosen=rules(**changes))
    assert isinstance(outcome, dict), outcome
    return outcome


def message(item: int, **fields: Any) -> Message:
    sent_at = datetime(2025, 6, 1, 8, tzinfo=UTC)
    return {"app_id": "app", "sent_at": sent_at, "sent_date": DAY, "line": 1, "item": item} | fields


def reject_of(record: object, **changes: Any) -> Reject:
    (outcome,) = outcomes_of(record, chosen=rules(**changes))
    assert isinstance(outcome, Reject), outcome
    return outcome


def items_of(record: object) -> list[int | None]:
    outcomes = outcomes_of(record)
    return [outcome.item if isinstance(outcome, Reject) else outcome["item"] for outcome in outcomes]


def without_line(outcome: Message | Reject) -> object:
    return outcome[1:] if isinstance(outcome, Reject) else {k: v for k, v in outcome.items() if k != "line"}


def code_of(record: object, **changes: Any) -> str:
    return reject_of(record, **changes).reason.partition(":")[0]


def test_a_plain_record_is_one_message() -> None:
    record = SENT | {"number": "+91 856321412", "sender_id": " ACME ", "order_id": 21412, "content": "secret"}
    assert message_of(record) == message(
        0, msg_id="2108021054011000095", number="91856321412", sender_id="ACME", order_id="21412"
    )


@pytest.mark.parametrize(("field", "name"), [(field, name) for field, names in SPELLINGS.items() for name in names])
@pytest.mark.parametrize("style", ["as published", "camel", "upper", "dashes", "joined", "words", "dots"])
def test_every_spelling_is_understood_in_any_style(field: str, name: str, style: str) -> None:
    words = name.split("_")
    spelled = {
        "as published": name,
        "camel": words[0] + "".join(word.title() for word in words[1:]),
        "upper": name.upper(),
        "dashes": name.replace("_", "-"),
        "joined": name.replace("_", ""),
        "words": f" {name.replace('_', ' ').title()} ",
        "dots": name.replace("_", "."),
    }[style]
    value = ANSWER if field == "response" else SENT.get(field, "4915112345678")
    record = {key: kept for key, kept in SENT.items() if key != field} | {spelled: value}
    if field == "response":
        assert len(outcomes_of(record)) == 2
    else:
        assert message_of(record)[field] not in {None, ""}


@pytest.mark.parametrize(
    "name", ["id", "message", "content", "file_date", "sent_date", "date", "status", "app", "user"]
)
def test_other_names_are_not_guessed(name: str) -> None:
    assert code_of({name: "2108021054011000095", "app_id": "a"}) == "no_id"


def test_the_exact_name_wins_over_others() -> None:
    assert message_of({"msgId": "1", **SENT, "message_id": "2"})["msg_id"] == SENT["msg_id"]


def test_of_other_names_the_first_with_a_value_wins() -> None:
    record = SENT | {"to": "111", "mobile": "  ", "phone": None, "msisdn": "222", "number": ""}
    assert message_of(record)["number"] == "222"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1", "1"),
        (" 2108021054011000095\n", "2108021054011000095"),
        ("0007", "0007"),
        ("9" * 32, "9" * 32),
        (2108021054011000095, "2108021054011000095"),
        (10**32 - 1, "9" * 32),
        (0, "0"),
        (Decimal(2108021054011000095), "2108021054011000095"),
    ],
)
def test_ids_are_taken_exactly(written: object, read: str) -> None:
    assert message_of(SENT | {"msg_id": written})["msg_id"] == read


@pytest.mark.parametrize(
    "written",
    [
        "9" * 33, 10**32, -1, "2.108e18", "123.0", 2.108021054011e18, 123.0, True, [], {"a": 1}, "12 3",
        "٤٩", "1²", "12\0", "abc", Decimal("1.50"), Decimal("1E+3"), b"12", 10**4000,
    ],
)  # fmt: skip
def test_what_is_not_digits_or_was_a_float_is_no_id(written: object) -> None:
    assert code_of(SENT | {"msg_id": written}) == "bad_id"


@pytest.mark.parametrize("written", [None, "", "  ", "NULL", "null", "\\N", "None", "nan", '=""', float("nan")])
def test_an_empty_id_or_time_is_a_missing_one(written: object) -> None:
    assert code_of(SENT | {"msg_id": written}) == "no_id"
    assert code_of(SENT | {"sent_at": written}) == "no_time"
    assert code_of({}) == "no_id"
    assert code_of({"msg_id": "1"}) == "no_time"


@pytest.mark.parametrize("written", ["2025-06-01", "infinity", True, "yesterday", []])
def test_a_time_that_cannot_be_read_is_bad(written: object) -> None:
    assert code_of(SENT | {"sent_at": written}) == "bad_time"


def test_a_message_belongs_to_the_day_of_the_partition_zone() -> None:
    record = SENT | {"sent_at": "2025-05-31T23:30:00Z"}
    assert message_of(record, partition_zone=ZoneInfo("Europe/Berlin"))["sent_date"] == DAY
    assert message_of(record)["sent_date"] == date(2025, 5, 31)


def test_a_day_before_the_start_is_rejected() -> None:
    assert code_of(SENT, start_date=date(2025, 6, 2)) == "before_start"
    assert message_of(SENT, start_date=DAY)


def test_more_than_a_day_in_the_future_is_rejected() -> None:
    assert message_of(SENT | {"sent_at": "2025-06-02T12:00:00Z"})
    assert code_of(SENT | {"sent_at": "2025-06-02T12:00:00.000001Z"}) == "in_future"


@pytest.mark.parametrize(
    ("sent_at", "is_near"), [("2025-05-30", 0), ("2025-05-31", 1), ("2025-06-02", 1), ("2025-06-03", 0)]
)
def test_more_than_a_day_from_the_date_of_the_file_is_rejected(sent_at: str, is_near: int) -> None:
    record = SENT | {"sent_at": f"{sent_at}T00:00:00Z"}
    now = datetime(2025, 7, 1, tzinfo=UTC)
    if is_near:
        assert message_of(record, now=now)
    else:
        assert code_of(record, now=now) == "far_from_file_date"
    assert isinstance(outcomes_of(record, chosen=rules(now=now), file_date=None)[0], dict)


def test_the_default_app_stands_in_for_a_missing_one() -> None:
    record = {key: value for key, value in SENT.items() if key != "app_id"}
    assert message_of(record, default_app_id="mine")["app_id"] == "mine"
    assert message_of(SENT, default_app_id="mine")["app_id"] == "app"
    assert message_of(record | {"app_id": 0})["app_id"] == "0"
    assert code_of(record) == code_of(record | {"app_id": " "}) == "no_app"


@pytest.mark.parametrize("app_id", [None, "", " ", "NULL", "\\N", float("nan")])
@pytest.mark.parametrize("name", ["app_id", "App ID", "App.Id"])
def test_the_default_app_never_stands_in_for_an_app_that_the_log_has_and_leaves_empty(
    name: str, app_id: object
) -> None:
    record = {key: value for key, value in SENT.items() if key != "app_id"} | {name: app_id}
    assert code_of(record, default_app_id="mine") == "no_app"


@pytest.mark.parametrize("app_id", [True, ["a"], {"a": 1}, 1.5])
def test_an_app_of_no_use_is_not_replaced_by_the_default(app_id: object) -> None:
    assert code_of(SENT | {"app_id": app_id}, default_app_id="mine") == "bad_app"


@pytest.mark.parametrize(
    ("written", "stored"),
    [(" ACME ", "ACME"), ("", None), (" ", None), (7, "7"), (7.0, "7"), (7.5, None), (True, None), ([], None),
     ("a\0b", "ab"), ("NULL", None), ("None", None), ("nan", None), ("\\N", None), ("Nan Bread", "Nan Bread"),
     ('="007"', "007"), ("'007", "007"), ("O'Neil", "O'Neil"),
     ("\0", None), ("\ud83dx", "x"), ("é" * 300, "é" * 200), (10**400, None), (float("inf"), None)],
)  # fmt: skip
def test_senders_and_orders_are_trimmed_text(written: object, stored: str | None) -> None:
    found = message_of(SENT | {"sender_id": written, "order_id": written})
    assert (found["sender_id"], found["order_id"]) == (stored, stored)


@pytest.mark.parametrize(
    ("written", "stored"),
    [("+49 (151) 123", "49151123"), (49151123, "49151123"), (49151123.0, "49151123"), ("49151123.0", "49151123"),
     ("4.9151e+11", None), ("4915112345678,4915112345679", None), ("none", None), (True, None), (["4915"], None),
     ("0" * 20, "0" * 20), ("0" * 21, None), ("0091 98563 21412", "919856321412"),
     ("+91 (98563) 21412", "919856321412"),
     ("00919856321412", "919856321412"), ("+49 (0) 151-1234567", "491511234567"), ("'+4915112345678", "4915112345678"),
     ('="4915112345678"', "4915112345678"), ("0151 1234567", "01511234567"), ("007", "007"), ("NULL", None)],
)  # fmt: skip
def test_numbers_are_digits_or_nothing(written: object, stored: str | None) -> None:
    assert message_of(SENT | {"number": written})["number"] == stored


@pytest.mark.parametrize("response", [ANSWER, json.dumps(ANSWER), ANSWER | {"status": 0}])
def test_a_call_is_one_message_for_each_row_of_its_answer(response: object) -> None:
    assert outcomes_of(CALL | {"response": response}) == [
        message(0, msg_id="2108021054011000095", number="91856321412", sender_id="ACME", order_id="21412"),
        message(1, msg_id="2108021054011000096", number="91856321413", sender_id="ACME", order_id=None),
    ]


def test_a_long_answer_as_text_is_read_whole() -> None:
    rows = [{"msgId": str(10**18 + index), "number": str(491510000000 + index)} for index in range(3000)]
    record = CALL | {"response": json.dumps({"status": "0", "array": rows})}
    assert items_of(record) == list(range(3000))


@pytest.mark.parametrize(
    "response", [ANSWER | {"status": "-14"}, ANSWER | {"array": []}, ANSWER | {"array": None}, {"status": "0"},
                 ANSWER | {"status": False}, ANSWER | {"status": None}],
)  # fmt: skip
def test_a_call_that_was_refused_or_has_no_rows_was_not_sent(response: object) -> None:
    reject = reject_of(CALL | {"response": response})
    assert reject.reason.startswith("not_sent: ")
    assert reject.item is None


def test_a_refusal_shows_its_status_and_words_without_numbers() -> None:
    answer = {"status": "-14", "reason": "bad number 4915112345678"}
    raw = json.loads(reject_of(CALL | {"response": answer}, numbers=NumberPolicy("mask")).raw or "")
    assert raw == {"sent_at": "1748764800", "app_id": "app", "sender_id": "ACME", "status": "-14",
                   "reason": "bad number *************"}  # fmt: skip


@pytest.mark.parametrize("response", ["OK", "{", 200, [], {"array": []}, ANSWER | {"array": {}}, "\ud800", "[" * 9000])
def test_a_response_that_is_no_answer_is_bad_unless_the_record_has_an_id(response: object) -> None:
    assert code_of(CALL | {"response": response}) == "bad_response"
    assert message_of(SENT | {"response": response})["item"] == 0


def test_each_row_of_an_answer_is_judged_for_itself() -> None:
    answer = ANSWER | {"array": [{"number": "1"}, "row", {"msgId": 1.5}, {"msgId": "7"}]}
    outcomes = outcomes_of(CALL | {"response": answer})
    codes = [outcome.reason.partition(":")[0] for outcome in outcomes if isinstance(outcome, Reject)]
    assert codes == ["no_id", "bad_response", "bad_id"]
    assert items_of(CALL | {"response": answer}) == [0, 1, 2, 3]


def test_a_call_without_time_is_one_reject_for_each_row() -> None:
    outcomes = outcomes_of(CALL | {"sent_at": None})
    assert items_of(CALL | {"sent_at": None}) == [0, 1]
    assert all(isinstance(outcome, Reject) for outcome in outcomes)


@pytest.mark.parametrize("record", [None, 1, "text", [SENT], True])
def test_json_that_is_not_an_object_is_not_a_record(record: object) -> None:
    assert reject_of(record) == Reject(1, None, f"not_a_record: {REASONS['not_a_record']}", None)


def test_raw_holds_recognised_fields_only_and_treats_the_number() -> None:
    record = {"msg_id": "7", "number": "+4915112345678", "content": "your code", "from": "ACME", "time": ""}
    assert json.loads(reject_of(record, numbers=NumberPolicy("mask")).raw or "") == {
        "msg_id": "7",
        "number": "*********5678",
        "sender_id": "ACME",
    }
    assert "number" not in (reject_of(record, numbers=NumberPolicy("drop")).raw or "")


def test_a_number_in_the_place_of_an_id_or_a_time_is_masked() -> None:
    record = {"msg_id": "+4915112345678", "sent_at": "to 4915112345678"}
    assert "4915112345678" not in (reject_of(record, numbers=NumberPolicy("hash", b"k")).raw or "")
    assert "4915112345678" in (reject_of(record).raw or "")


def test_raw_is_short_whatever_the_values_are() -> None:
    record = dict.fromkeys(["msg_id", "sent_at", "app_id", "number", "sender_id", "order_id"], "x1" * 100_000)
    assert len(reject_of(record).raw or "") < 2000


def test_every_reason_begins_with_its_code_and_says_what_it_means() -> None:
    assert reject_of({}).reason == f"no_id: {REASONS['no_id']}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([name for names in SPELLINGS.values() for name in names]) | st.text(max_size=6)


@given(st.dictionaries(NAMES, JSON | st.sampled_from(["1", "2025-06-01T00:00:00Z", 1748764800]), max_size=9) | JSON)
def test_every_record_has_an_outcome_and_none_is_an_error(record: object) -> None:
    outcomes = outcomes_of(record, chosen=rules(numbers=NumberPolicy("mask")))
    assert outcomes
    for outcome in outcomes:
        if isinstance(outcome, Reject):
            assert outcome.reason.partition(":")[0] in REASONS
            assert outcome.raw is None or isinstance(json.loads(outcome.raw), dict)
            (outcome.raw or "").encode()


@given(st.lists(st.sampled_from([*ANSWER["array"], "row", {}, {"msgId": 1.0}]), min_size=1, max_size=8))
def test_every_row_of_an_answer_ends_in_exactly_one_place(rows: list[object]) -> None:
    assert items_of(CALL | {"response": ANSWER | {"array": rows}}) == list(range(len(rows)))


@given(st.lists(st.dictionaries(NAMES, JSON | st.sampled_from(["1", "2025-06-01T00:00:00Z"]), max_size=9), max_size=6))
def test_a_record_comes_to_the_same_alone_and_among_others(records: list[object]) -> None:
    alone = [outcome for record in records for outcome in outcomes_of(record)]
    assert [without_line(outcome) for outcome in outcomes_of(*records)] == [without_line(each) for each in alone]


WRITTEN = [
    *EMPTY_TEXTS,
    None,
    True,
    1.5,
    10**31,
    10**32,
    2**256,
    "9" * 32,
    "9" * 33,
    "a" * 200,
    "a" * 201,
    "+" + "9" * 20,
]


@pytest.mark.parametrize("field", TEXT_FIELDS)
@given(st.lists(st.sampled_from(WRITTEN) | st.text("0+.e'=\" aé\0\ud83d", max_size=6) | st.integers(), max_size=5))
def test_a_column_of_values_is_stored_like_each_of_them(field: str, values: list[object]) -> None:
    exact = [None if value is None else TEXT_FIELDS[field].exact(value) for value in values]
    assert stored_texts(values, TEXT_FIELDS[field]).to_pylist() == exact
