"""The simulated world: ids, fates and what getReport shows of them over time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from math import log
from statistics import median

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.simulator.countries import COUNTRIES, ENDLESS_SHARE, SLOW_SHARE
from pipeline.api.simulator.rules import REPORTS_KEPT, Fate, fate_of, make_msg_id, report_at, sent_at_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
IDS = [make_msg_id(NOON + timedelta(seconds=n % 3600), n) for n in range(20_000)]
FATES = {msg_id: fate_of(msg_id) for msg_id in IDS}
ENDED = {msg_id: fate for msg_id, fate in FATES.items() if fate.final_at is not None}

seconds = st.integers(946_684_800, 4_102_444_799).map(lambda moment: datetime.fromtimestamp(moment, UTC))
"""Whole seconds of the years 2000 to 2099."""
msg_ids = st.sampled_from(IDS)


@given(sent_at=seconds, sequence=st.integers(0, 9_999_999))
def test_an_id_has_19_digits_and_tells_its_second(sent_at: datetime, sequence: int) -> None:
    msg_id = make_msg_id(sent_at, sequence)

    assert len(msg_id) == 19
    assert msg_id.isdigit()
    assert sent_at_of(msg_id) == sent_at


def test_an_id_looks_like_the_vendors() -> None:
    at_eight = timezone(timedelta(hours=8))

    assert make_msg_id(datetime(2021, 8, 2, 10, 54, 1, tzinfo=UTC), 1000095) == "2108021054011000095"
    assert make_msg_id(datetime(2021, 8, 2, 18, 54, 1, tzinfo=at_eight), 1000095) == "2108021054011000095"


@pytest.mark.parametrize("sequence", [-1, 10_000_000])
def test_a_sequence_that_does_not_fit_is_refused(sequence: int) -> None:
    with pytest.raises(ValueError, match="seven digits"):
        make_msg_id(NOON, sequence)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "123",
        "21080210540110000951",
        "2113021054011000095",
        "2108022454011000095",
        "2108022400001000095",
        "210802105401100009x",
        "٢108021054011000095",
        "2108021054011000 95",
    ],
)
def test_what_is_not_an_id_of_ours_has_no_time_and_is_never_found(text: str) -> None:
    assert sent_at_of(text) is None
    assert report_at(text, NOON) is None
    with pytest.raises(ValueError, match="not an id"):
        fate_of(text)


def test_the_fate_of_an_id_never_changes() -> None:
    assert fate_of("2108021054011000095") == Fate(
        number="6285255034094",
        country="ID",
        listed_at=datetime(2021, 8, 2, 10, 54, 3, 58627, tzinfo=UTC),
        final_at=datetime(2021, 8, 2, 10, 54, 20, tzinfo=UTC),
        status="0",
        price="0.0190",
    )


def test_every_number_is_valid_for_its_country() -> None:
    for fate in list(FATES.values())[:5000]:
        number = phonenumbers.parse(f"+{fate.number}")
        assert phonenumbers.is_valid_number(number), fate
        assert phonenumbers.region_code_for_number(number) == fate.country


def test_countries_have_their_weights() -> None:
    seen = Counter(fate.country for fate in FATES.values())

    assert sum(country.weight for country in COUNTRIES) == 1000
    for country in COUNTRIES:
        assert seen[country.iso] / len(FATES) == pytest.approx(country.weight / 1000, abs=0.01)


def test_failed_shares_differ_by_country() -> None:
    for country in COUNTRIES:
        statuses = [fate.status for fate in ENDED.values() if fate.country == country.iso]
        assert statuses.count("1") / len(statuses) == pytest.approx(country.failed_share, abs=0.025)


def test_latencies_differ_by_country() -> None:
    for country in COUNTRIES:
        takes = [
            (fate.final_at - fate.listed_at).total_seconds()
            for fate in ENDED.values()
            if fate.country == country.iso and fate.final_at is not None and fate.listed_at is not None
        ]
        assert abs(log(median(takes) / (country.median_seconds + 0.5))) < 0.25


def test_most_end_within_minutes_and_a_tail_takes_hours() -> None:
    takes = [
        fate.final_at - (sent_at_of(msg_id) or NOON) for msg_id, fate in ENDED.items() if fate.final_at is not None
    ]
    within_5_minutes = sum(each < timedelta(minutes=5) for each in takes) / len(takes)
    over_an_hour = sum(each > timedelta(hours=1) for each in takes) / len(takes)

    assert within_5_minutes > 0.94
    assert SLOW_SHARE / 3 < over_an_hour < SLOW_SHARE
    assert max(takes) < timedelta(hours=48)


def test_a_few_never_end_and_some_of_those_are_never_listed() -> None:
    endless = [fate for fate in FATES.values() if fate.final_at is None]
    never_listed = [fate for fate in endless if fate.listed_at is None]

    assert len(endless) / len(FATES) == pytest.approx(ENDLESS_SHARE, abs=0.002)
    assert 0 < len(never_listed) < len(endless)
    assert {fate.status for fate in endless} == {"-1"}


@given(msg_id=msg_ids, ages=st.lists(st.floats(0, 90 * 86_400 - 1), max_size=8))
def test_a_message_goes_from_queued_to_sending_to_final_and_never_back(msg_id: str, ages: list[float]) -> None:
    sent_at = sent_at_of(msg_id) or NOON
    reports = [report_at(msg_id, sent_at + timedelta(seconds=age)) for age in sorted(ages)]
    stages = [0 if report is None else 1 if report.status == "-1" else 2 for report in reports]

    assert stages == sorted(stages)
    assert len({report for report in reports if report and report.status != "-1"}) <= 1


@given(msg_id=msg_ids)
def test_the_row_changes_at_the_very_moments_of_the_fate(msg_id: str) -> None:
    fate, sent_at, tick = FATES[msg_id], sent_at_of(msg_id), timedelta(microseconds=1)
    if fate.listed_at is None or fate.final_at is None or sent_at is None:
        return
    at_listing, at_end = report_at(msg_id, fate.listed_at), report_at(msg_id, fate.final_at)

    assert report_at(msg_id, sent_at - tick) is None
    assert report_at(msg_id, fate.listed_at - tick) is None
    assert at_listing is not None
    assert (at_listing.status, at_listing.receive_time) == ("-1", "")
    assert at_end is not None
    assert at_end.status == fate.status
    assert at_end.receive_time.endswith("+08:00")
    assert datetime.fromisoformat(at_end.receive_time) == fate.final_at
    assert sent_at < fate.listed_at < fate.final_at


def test_a_message_older_than_90_days_is_not_found_any_more() -> None:
    msg_id = next(iter(ENDED))
    sent_at = sent_at_of(msg_id) or NOON

    assert report_at(msg_id, sent_at + REPORTS_KEPT) is not None
    assert report_at(msg_id, sent_at + REPORTS_KEPT + timedelta(seconds=1)) is None
