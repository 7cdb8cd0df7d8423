"""Columns of texts come to the same whether one look at all of them tells what they are, or one at each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.collect.columns import clean_messages
from pipeline.collect.records import limits_of
from pipeline.model.iso_times import instants_of
from tests.support.sent_logs import DAY, rules

CHARACTERS = "0123456789 !~+A\x7f\x1f\u00e9/:"
TEXTS = st.text(st.sampled_from(CHARACTERS), max_size=4) | st.sampled_from(
    ["7" * 20, "7" * 21, "7" * 32, "7" * 33, "x" * 200, "x" * 201]
)
COLUMNS = st.lists(st.text(st.sampled_from("0123456789"), min_size=1, max_size=33), min_size=1, max_size=4) | st.lists(
    TEXTS, min_size=1, max_size=4
)


def cleaned(columns: dict[str, list[str | None]]) -> list[dict[str, object] | None]:
    """Return the message of each row, None for a row that is not clean."""
    rows = {name: pa.array(texts, pa.string()) for name, texts in columns.items()}
    is_clean, table = clean_messages(rows, limits_of(rules(), DAY))
    found = iter(table.to_pylist())
    return [next(found) if clean else None for clean in is_clean.to_pylist()]


@pytest.mark.parametrize("field", ["msg_id", "number", "app_id", "sender_id", "order_id"])
@given(texts=COLUMNS)
def test_texts_are_clean_or_not_whatever_stands_beside_them(field: str, texts: list[str]) -> None:
    written = f"{datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"
    plain: dict[str, list[str | None]] = {"msg_id": ["1"], "app_id": ["app"], "sent_at": [written]}
    columns = {name: values * len(texts) for name, values in plain.items()} | {field: list(texts)}
    odd = {name: [*values, None] for name, values in columns.items()}
    assert cleaned(columns) == cleaned(odd)[:-1]


DIGIT = st.sampled_from("0123456789/:")
FORMS = st.sampled_from(
    ["2026-10-27T12:30:45Z", "2026-10-27T12:30:45.123456Z", "2026-10-27 12:30:45.1+08:00", "1999-12-31T23:59:59-14:00"]
)


@given(st.data(), FORMS, st.integers(1, 4))
def test_times_are_read_or_not_whatever_stands_beside_them(data: st.DataObject, form: str, count: int) -> None:
    texts = [form, *(_changed(data.draw(st.just(form) | FORMS), data) for _ in range(count))]
    beside_none = instants_of(pa.array([*texts, None]), local_is_utc=False).to_pylist()
    assert [*instants_of(pa.array(texts), local_is_utc=False).to_pylist(), None] == beside_none


def _changed(form: str, data: st.DataObject) -> str:
    text = form
    for place in data.draw(st.lists(st.integers(0, len(form) - 1), max_size=3)):
        text = (
            text[:place]
            + data.draw(DIGIT if form[place].isdigit() else st.sampled_from("-:T Zz+.0"))
            + text[place + 1 :]
        )
    return text


@pytest.mark.parametrize("end", ["Z", "+08:00"])
def test_times_that_differ_in_digits_are_those_of_python(end: str) -> None:
    first = datetime(2026, 2, 27, 23, 59, tzinfo=UTC)
    moments = [first + timedelta(seconds=7919 * number) for number in range(200)]
    ahead = timedelta(hours=8 if end != "Z" else 0)
    texts = pa.array([f"{moment + ahead:%Y-%m-%dT%H:%M:%S}{end}" for moment in moments])
    assert instants_of(texts, local_is_utc=False).to_pylist() == moments
