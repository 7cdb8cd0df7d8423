"""Batching: ids are cut into calls, none is lost, none repeated, none encoded twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import chain, pairwise
from urllib.parse import parse_qs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.api.batches import (
    MAX_IDS,
    MAX_TARGET_BYTES,
    Batch,
    batches_of,
    query_of,
)

DAY = date(2026, 3, 2)
LINE_BYTES = 8_192
PATH = "/sms/getReport"

ids = st.text("0123456789", min_size=1, max_size=32)
days = st.dates(date(2026, 3, 1), date(2026, 3, 9))
app_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def of_one_day(msg_ids: Iterable[str]) -> list[tuple[str, date]]:
    return [(msg_id, DAY) for msg_id in msg_ids]


@given(st.lists(st.tuples(ids, days), max_size=900), app_ids, st.integers(1, MAX_IDS))
def test_batches_joined_again_are_the_input(asked: list[tuple[str, date]], app_id: str, size: int) -> None:
    batches = list(batches_of(app_id, asked, batch_size=size))

    assert list(chain.from_iterable(batch.ids for batch in batches)) == asked
    assert {batch.app_id for batch in batches} <= {app_id}
    assert sum((batch.days for batch in batches), Counter()) == Counter(day for _, day in asked)


@given(
    st.lists(st.text("0123456789", min_size=1, max_size=60), max_size=900),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300),
    st.integers(1, MAX_IDS),
    st.integers(0, 500),
)
@example(["9" * 60] * 400, "ü" * 100, MAX_IDS, 500)
def test_a_batch_is_never_over_its_size_nor_its_target_over_8_kb(
    msg_ids: list[str], app_id: str, size: int, path_bytes: int
) -> None:
    for batch in batches_of(app_id, of_one_day(msg_ids), batch_size=size, path_bytes=path_bytes):
        target = "/" * path_bytes + query_of(batch.app_id, batch.msg_ids)

        assert 1 <= len(batch.msg_ids) <= size
        assert len(f"GET {target} HTTP/1.1\r\n".encode()) <= LINE_BYTES


@given(st.lists(st.text("0123456789", min_size=20, max_size=90), max_size=600), st.integers(0, 500))
@example(["9" * 36] * 400, 85)  # 200 of them fill the target to its last byte,
@example(["9" * 36] * 400, 86)  # and would be one byte too many
@example(["9" * 9_000, "1", "9" * 9_000], 60)
def test_a_batch_takes_all_that_fits(msg_ids: list[str], path_bytes: int) -> None:
    def fits(asked: Sequence[str]) -> bool:
        return path_bytes + len(query_of("a", (*asked, ""))) <= MAX_TARGET_BYTES

    batches = list(batches_of("a", of_one_day(msg_ids), path_bytes=path_bytes))
    assert all(fits(batch.msg_ids) or len(batch.msg_ids) == 1 for batch in batches)
    for batch, after in pairwise(batches):
        assert len(batch.msg_ids) == MAX_IDS or not fits((*batch.msg_ids, after.msg_ids[0]))


@given(st.integers(0, 1_000))
def test_ids_of_the_usual_length_fill_every_batch_but_the_last(count: int) -> None:
    msg_ids = [f"{n:019d}" for n in range(count)]
    sizes = [len(batch.ids) for batch in batches_of("4luaKsL2", of_one_day(msg_ids))]

    assert len(sizes) == -(-count // MAX_IDS)
    assert set(sizes[:-1]) <= {MAX_IDS}


def test_ids_of_the_greatest_length_still_fill_a_batch() -> None:
    batches = list(batches_of("4luaKsL2", of_one_day(["9" * 32] * 400)))

    assert [len(batch.msg_ids) for batch in batches] == [200, 200]


@pytest.mark.parametrize("size", [-1, 0, 201])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 200"):
        list(batches_of("a", of_one_day("1"), batch_size=size))


@given(st.lists(ids, min_size=2, max_size=MAX_IDS))
def test_halves_joined_are_the_batch_and_neither_is_empty(msg_ids: list[str]) -> None:
    batch = Batch("a", of_one_day(msg_ids))
    first, second = batch.halves()

    assert (*first.msg_ids, *second.msg_ids) == batch.msg_ids
    assert 0 <= len(second.msg_ids) - len(first.msg_ids) <= 1
    assert first.msg_ids


@given(app_ids, st.lists(ids, min_size=1, max_size=5))
def test_mistake_4_whatever_the_app_is_called_it_is_encoded_once(app_id: str, msg_ids: list[str]) -> None:
    """Read as a server reads it, the query gives back what was asked, percent signs in the app_id included."""
    query = query_of(app_id, msg_ids)

    assert parse_qs(query, strict_parsing=True) == {"appId": [app_id], "msgIds": [",".join(msg_ids)]}
    assert query.isascii()


def test_mistake_4_ids_and_their_commas_go_on_the_wire_as_they_are() -> None:
    assert query_of("4luaKsL2", ["2108021054011000095", "2108021059531000096"]) == (
        "appId=4luaKsL2&msgIds=2108021054011000095,2108021059531000096"
    )
    assert query_of("a%2Cb", ["1"]) == "appId=a%252Cb&msgIds=1"
