"""Rows are named, told apart and summed without losing a message."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.publish.page.content import distinct, with_others

COUNTS = ("sent", "delivered", "failed", "outstanding", "unknown", "invalid_id")


def place(
    label: str | None, delivered: int, failed: int, unknown: int = 1, *, is_mature: bool = True
) -> dict[str, Any]:
    counts = dict.fromkeys(COUNTS, 0) | {"delivered": delivered, "failed": failed, "unknown": unknown}
    sent = delivered + failed + unknown
    return {"label": label} | counts | {"sent": sent, "delivery_rate": delivered / sent, "is_mature": is_mature}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30), st.integers(1, 12))
def test_the_others_together_with_those_kept_are_all(pairs: list[tuple[int, int]], at_most: int) -> None:
    rows = [place(str(number), *pair) for number, pair in enumerate(pairs)]
    shown = with_others(rows, at_most)
    assert len(shown) == min(len(rows), at_most)
    for name in COUNTS:
        assert sum(row[name] for row in shown) == sum(row[name] for row in rows)


def test_the_rates_of_the_others_are_of_their_summed_counts() -> None:
    rows = [place("IN", 50, 0), place("BR", 9, 0), place("NG", 0, 9, is_mature=False)]
    others = with_others(rows, 2)[-1]
    assert others["label"] == "2 others"
    assert (others["delivery_rate"], others["delivery_rate_final"]) == (9 / 20, 9 / 18)
    assert not others["is_mature"]


def test_others_without_a_final_answer_have_no_rate_of_final() -> None:
    assert with_others([place("IN", 5, 0), place("BR", 0, 0), place("NG", 0, 0)], 2)[-1]["delivery_rate_final"] is None


@given(st.lists(st.sampled_from(["IN", "IN (2)", "not known", "2 others"])))
def test_no_two_rows_share_a_label(names: list[str]) -> None:
    labels = [row["label"] for row in distinct({"label": name} for name in names)]
    assert len(set(labels)) == len(names)


def test_labels_that_are_there_once_stay_as_they_are() -> None:
    assert [row["label"] for row in distinct([{"label": "a"}, {"label": "b"}])] == ["a", "b"]
