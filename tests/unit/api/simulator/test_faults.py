"""Faults: how they are written, and which calls they strike."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.api.simulator.calls import Call
from pipeline.api.simulator.faults import ROW_FAULTS, TRANSPORT_FAULTS, Faults, describe_faults, known_fault
from pipeline.api.simulator.tampering import TAMPERINGS
from pipeline.api.simulator.transport import BROKEN


def call(number: int) -> Call:
    return Call(number, "app", "1", "0", 0.0)


def struck(faults: Faults, calls: int) -> list[str | None]:
    return [faults.strike(call(number)) for number in range(1, calls + 1)]


def test_without_faults_nothing_strikes() -> None:
    assert set(struck(Faults(), 100)) == {None}


def test_each_fault_strikes_as_often_as_its_rate_says() -> None:
    seen = Counter(struck(Faults.from_specs(["-18=0.1", "http-500=0.05", "gzip=0.2"]), 10_000))

    assert seen["-18"] / 10_000 == pytest.approx(0.1, abs=0.01)
    assert seen["http-500"] / 10_000 == pytest.approx(0.05, abs=0.01)
    assert seen["gzip"] / 10_000 == pytest.approx(0.2, abs=0.015)


def test_the_same_seed_strikes_the_same_calls_and_another_seed_others() -> None:
    first, again, other = (Faults.from_specs(["reset=0.5"], seed=seed) for seed in (1, 1, 2))

    assert struck(first, 200) == struck(again, 200)
    assert struck(first, 200) != struck(other, 200)


def test_rate_one_strikes_always_and_rate_zero_never() -> None:
    assert set(struck(Faults.from_specs(["html=1"]), 500)) == {"html"}
    assert set(struck(Faults.from_specs(["html=0"]), 500)) == {None}


def test_an_outage_strikes_every_call_of_its_window_and_no_other() -> None:
    seen = struck(Faults.from_specs(["down=3:4"]), 8)

    assert seen == [None, None, "http-503", "reset", "http-503", "reset", None, None]


def test_a_script_comes_first_and_leaves_the_rest_to_the_rates() -> None:
    faults = Faults((("-18", 1.0),), script=lambda number, asked: "gzip" if number == 2 == asked.number else None)

    assert struck(faults, 3) == ["-18", "gzip", "-18"]


def test_a_script_that_names_no_fault_of_ours_is_an_error() -> None:
    with pytest.raises(ValueError, match="no fault 'gremlins'"):
        Faults(script=lambda _, __: "gremlins").strike(call(1))


def test_skew_and_holding_time_are_read() -> None:
    faults = Faults.from_specs(["skew=-600", "timeout=0.5:3"])

    assert (faults.skew_seconds, faults.hold_seconds, faults.rates) == (-600, 3, (("timeout", 0.5),))
    assert Faults.from_specs(["timeout=0.5"]).hold_seconds == 60


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "gzip",
        "gzip=",
        "gzip=often",
        "gzip=1.1",
        "gzip=-0.1",
        "gzip=nan",
        "gzip=0.1:2",
        "gremlins=0.1",
        "http-200=0.1",
        "-0=1",
        "down=3",
        "down=3:x",
        "down=0.5:2",
        "down=3:-1",
        "skew=x",
        "skew=inf",
        "timeout=0.1:-3",
    ],
)
def test_a_text_that_is_no_fault_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=r"fault|number|rate|negative"):
        Faults.from_specs([spec])


def test_rates_that_sum_to_more_than_one_are_refused() -> None:
    with pytest.raises(ValueError, match="sum"):
        Faults.from_specs(["gzip=0.6", "reset=0.6"])


def test_every_fault_is_described_and_done_somewhere() -> None:
    described = dict(describe_faults())

    assert set(ROW_FAULTS) == {*TAMPERINGS, "stranger"}
    assert set(TRANSPORT_FAULTS) == {*BROKEN, "timeout"}
    assert {*ROW_FAULTS, *TRANSPORT_FAULTS, "skew", "down"} < set(described)
    assert all(described.values())


@pytest.mark.parametrize("name", ["-1", "-12", "-15", "-18", "-99", "http-404", "http-599", "null-array"])
def test_codes_and_http_statuses_are_faults_too(name: str) -> None:
    assert known_fault(name) == name
