"""The order in which calls are turned away, and the rate limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pipeline.api.signing import sign
from pipeline.api.simulator.gate import RateLimit, Request, refused_status
from pipeline.api.simulator.options import SimulatorOptions

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
STAMP = str(int(NOW.timestamp()))
OPTIONS = SimulatorOptions("key", "s3cret", apps=frozenset({"app"}), unpriced_apps=frozenset({"free"}))
GOOD = Request("127.0.0.1", "app", "1,2", STAMP, "key", sign("key", "s3cret", STAMP))


def status_of(request: Request, *, is_admitted: bool = True, options: SimulatorOptions = OPTIONS) -> str | None:
    return refused_status(request, options, now=NOW, admits=lambda: is_admitted)


def stamped(timestamp: str) -> Request:
    return replace(GOOD, timestamp=timestamp, sign=sign("key", "s3cret", timestamp))


def test_a_good_call_is_let_in() -> None:
    assert status_of(GOOD) is None


def test_the_first_reason_in_order_is_the_one_given() -> None:
    bad = replace(GOOD, app_id="", sign="0", timestamp="x")
    elsewhere = replace(OPTIONS, allowed_ips=frozenset({"192.0.2.1"}))

    assert status_of(bad, options=elsewhere) == "-2"
    assert status_of(bad) == "-1"
    assert status_of(replace(stamped("x"), app_id=""), is_admitted=False) == "-11"
    assert status_of(replace(stamped("1"), app_id=""), is_admitted=False) == "-16"
    assert status_of(replace(GOOD, app_id=""), is_admitted=False) == "-15"
    assert status_of(replace(GOOD, app_id="free", joined_ids="x")) == "-19"
    assert status_of(replace(GOOD, joined_ids="x")) == "-14"


def test_a_call_that_is_not_signed_well_takes_nothing_out_of_the_rate_limit() -> None:
    def admits() -> bool:
        raise AssertionError

    assert refused_status(replace(GOOD, sign="0"), OPTIONS, now=NOW, admits=admits) == "-1"


@pytest.mark.parametrize("sign_sent", ["", GOOD.sign.upper(), "é" * 32])
def test_a_signature_is_exact(sign_sent: str) -> None:
    assert status_of(replace(GOOD, sign=sign_sent)) == "-1"


@pytest.mark.parametrize("timestamp", ["1.5", "+1", " 1", "٣", "1e9", "2026-03-02T12:00:00Z", "9" * 400])
def test_a_time_that_is_not_decimal_seconds_is_minus_11(timestamp: str) -> None:
    assert status_of(stamped(timestamp)) == "-11"


@pytest.mark.parametrize(("off", "status"), [(-301, "-16"), (-300, None), (300, None), (301, "-16")])
def test_the_window_of_the_time_is_inclusive(off: int, status: str | None) -> None:
    assert status_of(stamped(str(int(STAMP) + off))) == status


@pytest.mark.parametrize("ids", ["", ",", "1,", "1,,2", "1, 2", "1%2C2", "1.0", "-1", "٣", "x", "1" * 33])
def test_one_abnormal_id_refuses_the_whole_call(ids: str) -> None:
    assert status_of(replace(GOOD, joined_ids=ids)) == "-14"


def test_200_ids_are_let_in_and_201_are_not() -> None:
    assert status_of(replace(GOOD, joined_ids=",".join("1" * 200))) is None
    assert status_of(replace(GOOD, joined_ids=",".join("1" * 201))) == "-14"


def test_without_a_list_of_apps_every_app_is_let_in() -> None:
    assert status_of(replace(GOOD, app_id="other")) == "-14"
    assert status_of(replace(GOOD, app_id="other"), options=replace(OPTIONS, apps=frozenset())) is None


def test_neither_secret_nor_signature_is_in_a_repr() -> None:
    assert "s3cret" not in repr(OPTIONS)
    assert GOOD.sign not in repr(GOOD)


def test_the_rate_limit_admits_t_plus_1_seconds_worth_in_t_seconds() -> None:
    limit = RateLimit(10)
    admitted = [limit.admits(n / 100) for n in range(301)]

    assert sum(admitted) == pytest.approx(40, abs=1)
    assert all(admitted[:10])


def test_a_rate_limit_of_zero_admits_everything() -> None:
    limit = RateLimit(0)

    assert all(limit.admits(0) for _ in range(1000))
