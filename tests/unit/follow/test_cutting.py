"""Batches come in the order of their most urgent id, and are full but for the last of each app."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import partial
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.batches import Batch, batches_of
from pipeline.follow.cutting import NEVER_ASKED, NOT_DUE, Cutter

DAY = date(2026, 11, 27)
AGAIN = 1
Row = tuple[str, str, date, int]


def cut(rows: Sequence[Row], size: int) -> list[Batch]:
    cutter = Cutter(partial(batches_of, batch_size=size), size)
    return [*(batch for row in rows for batch in cutter.add(*row)), *cutter.rest()]


@st.composite
def due_rows(draw: st.DrawFn) -> list[Row]:
    """Draw ids of some apps, the most urgent first."""
    apps = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(NEVER_ASKED, NOT_DUE)), max_size=60))
    ordered = sorted(apps, key=lambda row: row[1])
    return [(app, str(number), DAY, urgency) for number, (app, urgency) in enumerate(ordered)]


@given(rows=due_rows(), size=st.integers(1, 7))
def test_each_due_id_is_in_one_batch_and_batches_come_by_their_most_urgent_id(rows: list[Row], size: int) -> None:
    batches = cut(rows, size)
    place = {msg_id: number for number, (_, msg_id, _, _) in enumerate(rows)}
    urgency = {msg_id: each for _, msg_id, _, each in rows}
    asked = Counter(msg_id for batch in batches for msg_id in batch.msg_ids)
    assert {msg_id for msg_id, each in urgency.items() if each != NOT_DUE} <= set(asked)
    assert set(asked.values()) <= {1}
    of_app = Counter(app for app, _, _, each in rows if each != NOT_DUE)
    assert Counter(batch.app_id for batch in batches) == {app: math.ceil(ids / size) for app, ids in of_app.items()}
    first = [batch.msg_ids[0] for batch in batches]
    is_new = [urgency[msg_id] == NEVER_ASKED for msg_id in first]
    assert is_new == sorted(is_new, reverse=True)
    again = [place[msg_id] for msg_id in first if urgency[msg_id] != NEVER_ASKED]
    assert all(earlier < later for earlier, later in pairwise(again))


def test_a_few_new_ids_of_an_app_come_before_many_of_another_that_are_due_again() -> None:
    rows = [("small", "1", DAY, NEVER_ASKED), *(("large", str(9 + place), DAY, AGAIN) for place in range(2000))]
    first, *others = cut(rows, 3)
    assert (first.app_id, first.msg_ids) == ("small", ("1",))
    assert sum(len(batch.ids) for batch in others) == 2000


def test_room_goes_to_ids_that_are_not_due_and_no_batch_is_made_for_those_alone() -> None:
    rows = [("a", "1", DAY, NEVER_ASKED), *((app, f"{place}", DAY, NOT_DUE) for app in "ab" for place in range(7, 12))]
    (batch,) = cut(rows, 4)
    assert batch.msg_ids == ("1", "7", "8", "9")
