"""The sentences at the head of the page: data in, sentences out."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from pipeline.publish.page.changes import Change, Counts
from pipeline.publish.page.events import ALL, Event, Figures, find_events
from pipeline.publish.page.names import Dimension
from pipeline.publish.page.sentences import SlowHours, busiest_hours, quiet, sentence, when

DAYS = [date(2026, 11, 25) - timedelta(days=number) for number in range(60)]  # the newest is a Wednesday
COUNTRIES = Dimension("country", ["IN", "NG", None], 0)
SENDERS = Dimension("sender_id", ["ACME", "Kiosk24"], 0)
CAMPAIGNS = Dimension("label:campaign", ["autumn sale", "order"], 0)
DIMENSIONS = {one.key: one for one in (COUNTRIES, SENDERS, CAMPAIGNS)}


def name_of(dimension: str, row: int) -> str:
    return DIMENSIONS[dimension].phrase(row)


def said(event: Event, hours: SlowHours | None = None) -> str:
    telling = sentence(event, DAYS, name_of, hours)
    return f"{telling.head}: {telling.detail}".replace("\u2068", "").replace("\u2069", "")


def change(newest: int, end: int, *, share: float, usual: float = 0.81, total: int = 20_000, row: int = 1) -> Change:
    return Change(row, newest, end, total, share, usual, 99.0)


def test_a_change_that_lasts_says_since_when_how_many_and_whose() -> None:
    event = Event("delivered", "country", change(0, 2, share=0.75), ("sender_id", 0, 0.93))
    assert said(event) == (
        "Nigeria is 6 points lower since Tuesday 24 November: 75% of 20,000 messages arrived, usually 81%; "
        "about 1,200 fewer than usual, nearly all of them of sender ACME."
    )


def test_a_change_that_ended_says_when_it_was_and_that_all_were_alike() -> None:
    event = Event("delivered", "country", change(3, 5, share=0.2, usual=0.9, total=50), None, "sender_id")
    assert said(event) == (
        "Nigeria was 70 points lower on Saturday 21 and Sunday 22 November: 20% of 50 messages arrived, usually 90%; "
        "about 35 fewer than usual, with all senders alike."
    )


def test_what_became_better_is_told_too() -> None:
    event = Event("delivered", "label:campaign", change(0, 1, share=0.82, total=1000), ("country", 0, 0.7))
    assert said(event) == (
        "Campaign order is 1 point higher on Wednesday 25 November: 82% of 1,000 messages arrived, usually 81%; "
        "about 10 more than usual, most of them to India."
    )


def test_a_slow_evening_says_its_hours() -> None:
    event = Event("slow", ALL, change(1, 2, share=0.2, usual=0.03, total=300, row=0), None, "country")
    assert said(event, SlowHours(18, 22, 80, 60)) == (
        "Messages were slow on the evening of Tuesday 24 November, 18:00 to 22:00: 75% of 80 took longer than 5 "
        "minutes, usually 3%, in all countries alike."
    )


def test_a_row_that_is_slow_says_its_days() -> None:
    event = Event("slow", "sender_id", change(0, 3, share=0.2, usual=0.03, total=300, row=0))
    assert said(event) == (
        "Messages of sender ACME are slow since Monday 23 November: 20% of 300 took longer than 5 minutes, usually 3%."
    )


@pytest.mark.parametrize(
    ("newest", "end", "words"),
    [
        (0, 1, "on Wednesday 25 November"),
        (0, 3, "since Monday 23 November"),
        (1, 2, "on Tuesday 24 November"),
        (1, 6, "from 20 to 24 November"),
        (20, 30, "from 27 October to 5 November"),
        (24, 26, "on Saturday 31 October and Sunday 1 November"),
    ],
)
def test_days_are_said_as_people_do(newest: int, end: int, words: str) -> None:
    assert when(DAYS, newest, end) == words


def test_nothing_is_said_as_such() -> None:
    assert quiet(7, what=["country", "sender", "app"]) == (
        "Nothing changed beyond chance in these 7 complete days", "no country, no sender and no app.", 0, 0,
    )  # fmt: skip
    assert quiet(400, what=[]).head == "Nothing changed beyond chance in the latest 90 of these 400 complete days"
    assert quiet(1, what=[]).head.endswith("on the one complete day")
    assert quiet(0, what=["country"]).head == "No day is complete yet"


def test_the_slow_hours_are_those_that_stand_out() -> None:
    counts = dict.fromkeys(range(24), (20, 1)) | dict.fromkeys(range(18, 22), (20, 19)) | {3: (2, 1)}
    assert busiest_hours(counts, 0.03) == SlowHours(18, 22, 80, 76)
    assert busiest_hours(dict.fromkeys(range(24), (20, 15)), 0.03) is None


def test_names_are_isolated_cut_and_never_markup_of_ours() -> None:
    hostile = Dimension("sender_id", ["\u202egnirts", "x" * 500, None], 12)
    assert hostile.phrase(0) == "sender \u2068\u202egnirts\u2069"
    assert len(hostile.phrase(1)) < 60
    assert (hostile.name(2), hostile.name(3)) == ("no sender", "12 others")


def test_a_country_is_named_in_words() -> None:
    assert [COUNTRIES.name(row) for row in range(3)] == ["India", "Nigeria", "not known"]
    assert Dimension("country", ["ZZ"], 0).name(0) == "ZZ"


def figures(*, fails: tuple[int, int] | None = None) -> dict[str, Counts]:
    """Return counts by country and sender, (2, countries, senders, days); a pair of them may fail on two days."""
    dice = np.random.default_rng(8)
    totals = dice.poisson(150, (4, 3, 60))
    hits = dice.binomial(totals, 0.9)
    if fails:
        hits[(*fails, slice(3, 5))] = 10
    return {"both": np.stack([hits, totals])}


def events_of(both: Counts) -> list[Event]:
    rows = {
        ALL: both.sum(axis=(1, 2))[:, None],
        "country": both.sum(axis=2)[:, :3],
        "sender_id": both.sum(axis=1)[:, :2],
    }
    known = Figures(rows, {("country", "sender_id"): both})
    (told,) = find_events({"delivered": known}, withins=[28])
    return list(told.whole)


def test_a_route_that_fails_is_told_once_with_its_sender() -> None:
    (event,) = events_of(figures(fails=(1, 0))["both"])
    assert event.dimension in {"country", "sender_id"}
    assert event.share_of is not None
    assert {event.dimension: event.change.row} | {event.share_of[0]: event.share_of[1]} == {
        "country": 1,
        "sender_id": 0,
    }
    assert event.share_of[2] > 0.9
    assert (event.change.newest, event.change.end) == (3, 5)


def test_a_country_that_fails_for_all_is_told_as_such() -> None:
    both = figures()["both"]
    both[0, 2, :, 3:5] = 20
    (event,) = events_of(both)
    assert (event.dimension, event.change.row, event.share_of, event.alike) == ("country", 2, None, "sender_id")


def test_two_routes_that_fail_are_two_sentences() -> None:
    both = figures(fails=(1, 0))["both"]
    both[0, 2, 1, 10:12] = 5
    assert len(events_of(both)) == 2


def test_what_happened_to_all_is_not_told_of_each_again() -> None:
    both = figures()["both"]
    both[0, :, :, 4] = both[1, :, :, 4] * 6 // 10
    (event,) = events_of(both)
    assert (event.dimension, event.share_of, event.alike) == (ALL, None, "country")


def test_without_an_incident_nothing_is_told() -> None:
    assert events_of(figures()["both"]) == []
