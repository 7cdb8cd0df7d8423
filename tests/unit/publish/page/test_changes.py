"""What is called a change: incidents are found where and when they were, and chance is not."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.publish.page.changes import Counts, find_changes


def world(seed: int, rows: int, days: int, *, share: float = 0.93, sent: int = 100) -> tuple[Counts, Counts]:
    """Return (delivered, sent) of rows with steady shares."""
    dice = np.random.default_rng(seed)
    totals = dice.poisson(sent, (rows, days))
    return dice.binomial(totals, share), totals


def test_a_run_of_days_is_found_where_it_was_and_no_other() -> None:
    hits, totals = world(1, 20, 60)
    totals[3, 5:8] = 100
    hits[3, 5:8] = 55
    ((change,),) = find_changes(hits, totals, withins=[28])
    assert (change.row, change.newest, change.end, change.total) == (3, 5, 8, 300)
    assert change.share == pytest.approx(0.55)
    assert change.usual == pytest.approx(0.93, abs=0.02)
    assert change.excess == pytest.approx(300 * (0.55 - change.usual))


def test_a_span_tells_only_what_lies_in_it() -> None:
    hits, totals = world(2, 5, 60)
    hits[1, 10:12] = 20
    found = find_changes(hits, totals, withins=[7, 28])
    assert [len(changes) for changes in found] == [0, 1]


def test_a_change_that_lasts_begins_on_its_first_day() -> None:
    hits, totals = world(3, 5, 60, sent=400)
    dice = np.random.default_rng(4)
    hits[2, :6] = dice.binomial(totals[2, :6], 0.87)
    ((change,),) = find_changes(hits, totals, withins=[28])
    assert (change.row, change.newest) == (2, 0)
    assert change.end == pytest.approx(6, abs=1)


def test_an_earlier_incident_does_not_count_as_usual() -> None:
    hits, totals = world(5, 1, 60)
    hits[0, 12:15] = 5
    hits[0, 2:4] = 30
    ((change,),) = find_changes(hits, totals, withins=[7])
    assert change.usual == pytest.approx(0.93, abs=0.02)


@pytest.mark.parametrize("sent", [3, 30, 3000])
def test_two_hundred_rows_of_chance_do_not_cry_wolf(sent: int) -> None:
    """Rows of very different shares and sizes, which scatter by themselves a little more than dice."""
    wolves = 0
    for seed in range(12):
        dice = np.random.default_rng(seed)
        totals = dice.poisson(sent * dice.gamma(1, 1, (200, 1)), (200, 118))
        shares = dice.beta(30, 3, (200, 1)) * dice.normal(1, 0.005, (200, 118))
        hits = dice.binomial(totals, np.clip(shares, 0, 1))
        wolves += any(find_changes(hits, totals, withins=[7, 28, 90]))
    assert wolves <= 1


def test_what_is_beyond_chance_but_not_worth_a_sentence_is_not_told() -> None:
    hits, totals = world(6, 1, 60, sent=10)
    totals[:], hits[:] = 1_000_000, 930_000
    hits[0, :5] = 926_000  # 0.4 points, certain
    assert find_changes(hits, totals, withins=[7]) == [[]]


def test_little_or_nothing_before_is_no_usual() -> None:
    for days in (0, 1, 3):
        hits, totals = world(7, 4, days)
        assert find_changes(hits * 0, totals, withins=[7]) == [[]]
    assert find_changes(np.zeros((0, 40), np.int64), np.zeros((0, 40), np.int64), withins=[7]) == [[]]
