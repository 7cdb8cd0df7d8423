"""Codes: each one of the protocol's table has its remedy, and rows read as the vendor's page says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.codes import ROW_STATUSES, EnvelopeCode, Remedy, ReportStatus, envelope_code
from pipeline.model.tables import FINAL_STATUSES

REMEDIES = {
    "0": Remedy.NONE,
    **dict.fromkeys(["-1", "-13", "-29", "-30", "-31", "-32"], Remedy.STOP_APP),
    "-2": Remedy.STOP_APP,
    **dict.fromkeys(["-11", "-22", "-25"], Remedy.STOP_API),
    **dict.fromkeys(["-12", "-18"], Remedy.RETRY),
    "-14": Remedy.SPLIT,
    "-15": Remedy.SLOW_DOWN,
    "-16": Remedy.LEARN_CLOCK,
    "-19": Remedy.STOP_APP,
}
"""The table "Envelope status codes" of protocol.md."""


@pytest.mark.parametrize("code", REMEDIES)
def test_each_code_has_the_remedy_of_the_protocols_table(code: str) -> None:
    known = envelope_code(code)

    assert known is not None
    assert known.remedy is REMEDIES[code]


def test_there_is_no_code_beside_the_protocols_table() -> None:
    assert {code.code for code in EnvelopeCode} == REMEDIES.keys()
    assert len(EnvelopeCode) == len(REMEDIES)  # members of the same value would be aliases of each other


@given(st.text(max_size=6) | st.integers(-99, 99).map(str))
def test_a_code_that_nobody_documented_is_known_for_that(code: str) -> None:
    assert (envelope_code(code) is None) is (code not in REMEDIES)


@pytest.mark.parametrize("code", [code for code in EnvelopeCode if code.remedy in {Remedy.STOP_APP, Remedy.STOP_API}])
def test_a_code_that_stops_says_what_to_correct(code: EnvelopeCode) -> None:
    assert code.setting


def test_mistake_1_zero_is_delivered_one_is_failed_and_minus_one_is_sending() -> None:
    assert ROW_STATUSES == {
        "0": ReportStatus.DELIVERED,
        "1": ReportStatus.FAILED,
        "-1": ReportStatus.SENDING,
    }


def test_of_the_row_statuses_the_final_ones_are_delivered_and_failed() -> None:
    assert {status for status in ROW_STATUSES.values() if status.value in FINAL_STATUSES} == {
        ReportStatus.DELIVERED,
        ReportStatus.FAILED,
    }
