"""The simulator over a real socket: what clients of the API would meet."""

from __future__ import annotations

import ast
import json
import signal
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pipeline.api.signing import sign
from pipeline.api.simulator.faults import ROW_FAULTS, Faults
from pipeline.api.simulator.rules import fate_of, make_msg_id, report_at
from pipeline.api.simulator.server import Running, SimulatorOptions, running
from pipeline.api.simulator.transport import HUGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.api.simulator.calls import Call

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
STAMP = int(NOW.timestamp())
KEY, SECRET = "bDqJFiq9", "s3cret"
OPTIONS = SimulatorOptions(KEY, SECRET)
TLS = ssl.create_default_context()  # made once: each takes 50 ms
IDS = [make_msg_id(NOW - timedelta(hours=3, seconds=n), n) for n in range(50)]

VENDOR_SAMPLE = """
import hashlib
import time
import requests
import json

base_url = "https://api.itniotech.com/sms/"
api_key = "your api key"
api_pwd = "your api secret"
appid = "{{appId}}"
msgIds = "{{msgIds}}"

def create_headers():
    timestamp = int(time.time())
    s = "%s%s%s" % (api_key, api_pwd, str(timestamp))
    sign = hashlib.md5(s.encode(encoding='UTF-8')).hexdigest()
    headers = {
        'Content-Type': 'application/json;charset=utf-8',
        'Sign': sign,
        'Timestamp': str(timestamp),
        'Api-Key': api_key
    }
    return headers

headers = create_headers()
url = "%s/getReport" % base_url
print(url)
params = {"appId": appid, "msgIds": "8613000000000,8613000000001"}
print(params)
rsp = requests.get(url, params, headers=headers)
if rsp.status_code == 200:
    res = json.loads(rsp.text)
    print(res)
"""
"""The sample of the vendor's page, its lost indentation put back."""


def frozen() -> datetime:
    return NOW


def fault_of_app(_number: int, call: Call) -> str | None:
    """Let the app's name be the fault."""
    return None if call.app_id == "app" else call.app_id


@pytest.fixture(scope="module")
def simulator() -> Iterator[Running]:
    options = replace(OPTIONS, apps=frozenset({"app"}), unpriced_apps=frozenset({"free"}))
    with running(options, clock=frozen) as handle:
        yield handle


@pytest.fixture(scope="module")
def faulty() -> Iterator[Running]:
    faults = Faults(script=fault_of_app, hold_seconds=0.4)
    with running(replace(OPTIONS, faults=faults), clock=frozen) as handle:
        yield handle


def signed(timestamp: str | None = None) -> dict[str, str]:
    timestamp = str(STAMP) if timestamp is None else timestamp
    return {"Api-Key": KEY, "Timestamp": timestamp, "Sign": sign(KEY, SECRET, timestamp)}


def get(
    handle: Running,
    ids: list[str] | str = IDS,
    *,
    app: str = "app",
    headers: dict[str, str] | None = None,
    timeout: float = 5.0,
) -> httpx.Response:
    params = {"appId": app, "msgIds": ids if isinstance(ids, str) else ",".join(ids)}
    headers = signed() if headers is None else headers
    url = f"{handle.base_url}/getReport"
    return httpx.get(url, params=params, headers=headers, timeout=timeout, verify=TLS)


def envelope_of(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200
    envelope: dict[str, Any] = response.json()
    return envelope


def test_the_vendors_own_python_sample_gets_the_right_answer() -> None:
    now = datetime.now(UTC)
    made = [make_msg_id(now - timedelta(hours=60), n) for n in range(100)]
    ids = [msg_id for msg_id in made if report_at(msg_id, now)][:2]  # a few are never found
    with running(OPTIONS) as handle:
        sample = (
            VENDOR_SAMPLE.replace("https://api.itniotech.com/sms/", f"{handle.base_url}/")
            .replace("your api key", KEY)
            .replace("your api secret", SECRET)
            .replace("{{appId}}", "4luaKsL2")
            .replace("8613000000000,8613000000001", ",".join(ids))
        )
        done = subprocess.run([sys.executable, "-c", sample], capture_output=True, text=True, check=True, timeout=30)
    url, params, printed = done.stdout.splitlines()
    answer = ast.literal_eval(printed)

    assert url.endswith("/sms//getReport")
    assert "4luaKsL2" in params
    assert (answer["status"], answer["reason"]) == ("0", "success")
    assert [row["msgId"] for row in answer["array"]] == ids
    assert [row["number"] for row in answer["array"]] == [fate_of(msg_id).number for msg_id in ids]


def test_rows_and_counts_are_texts_and_agree_with_the_rules(simulator: Running) -> None:
    response = get(simulator)
    envelope = envelope_of(response)
    reports = [report_at(msg_id, NOW) for msg_id in IDS]
    statuses = [report.status for report in reports if report]

    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert list(envelope) == ["status", "reason", "success", "fail", "sending", "nofound", "array"]
    assert [list(row.values()) for row in envelope["array"]] == [
        [report.msg_id, report.number, report.receive_time, report.status] for report in reports if report
    ]
    assert envelope["success"] == str(statuses.count("0"))
    assert envelope["fail"] == str(statuses.count("1"))
    assert envelope["sending"] == str(statuses.count("-1"))
    assert envelope["nofound"] == str(reports.count(None))


def test_queued_messages_are_absent_and_counted_as_not_found(simulator: Running) -> None:
    queued = [make_msg_id(NOW, n) for n in range(3)]
    unknown = ["1", "9" * 19]
    envelope = envelope_of(get(simulator, [*queued, *IDS[:2], *unknown]))

    assert envelope["nofound"] == "5"
    assert [row["msgId"] for row in envelope["array"]] == IDS[:2]
    assert envelope_of(get(simulator, queued))["array"] == []


def test_an_id_asked_twice_is_answered_once(simulator: Running) -> None:
    envelope = envelope_of(get(simulator, [IDS[0], IDS[0]]))

    assert len(envelope["array"]) == 1


def test_a_message_is_queued_then_sending_then_final() -> None:
    fate = fate_of(IDS[0])
    assert fate.listed_at is not None
    assert fate.final_at is not None
    tick = timedelta(milliseconds=1)
    clock = [fate.listed_at - tick]
    seen = []
    with running(OPTIONS, clock=lambda: clock[0]) as handle:
        for moment in (clock[0], fate.listed_at, fate.final_at - tick, fate.final_at, NOW):
            clock[0] = moment
            envelope = envelope_of(get(handle, IDS[0], headers=signed(str(int(moment.timestamp())))))
            seen.append([row["status"] for row in envelope["array"]])

    assert seen == [[], ["-1"], ["-1"], [fate.status], [fate.status]]


def without(name: str) -> dict[str, str]:
    return {header: value for header, value in signed().items() if header != name}


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        ("-1", {"headers": {}}),
        ("-1", {"headers": without("Sign")}),
        ("-1", {"headers": without("Api-Key")}),
        ("-1", {"headers": without("Timestamp")}),
        ("-1", {"headers": signed() | {"Sign": "0" * 32}}),
        ("-1", {"headers": signed() | {"Api-Key": "another"}}),
        ("-1", {"headers": signed() | {"Timestamp": str(STAMP + 1)}}),
        ("-11", {"headers": signed("2026-03-02T12:00:00Z")}),
        ("-16", {"headers": signed(str(STAMP - 301))}),
        ("-16", {"headers": signed(str(STAMP * 1000))}),
        ("-14", {"app": ""}),
        ("-14", {"app": "unheard-of"}),
        ("-14", {"ids": ""}),
        ("-14", {"ids": [*IDS, "x"]}),
        ("-14", {"ids": "%2C".join(IDS)}),
        ("-14", {"ids": [make_msg_id(NOW, n) for n in range(201)]}),
        ("-19", {"app": "free"}),
    ],
)
def test_each_cause_has_its_code(simulator: Running, status: str, asked: dict[str, Any]) -> None:
    envelope = envelope_of(get(simulator, **asked))

    assert envelope["status"] == status
    assert envelope["reason"]
    assert "array" not in envelope
    assert simulator.calls[-1].status == status


def test_a_call_without_any_parameter_is_minus_14(simulator: Running) -> None:
    response = httpx.get(f"{simulator.base_url}/getReport", headers=signed(), verify=TLS)

    assert envelope_of(response)["status"] == "-14"


def test_another_address_is_minus_2() -> None:
    with running(replace(OPTIONS, allowed_ips=frozenset({"192.0.2.1"})), clock=frozen) as handle:
        assert envelope_of(get(handle))["status"] == "-2"


def test_calls_too_frequent_are_minus_15() -> None:
    with running(replace(OPTIONS, max_requests_per_second=0.01), clock=frozen) as handle:
        assert [envelope_of(get(handle))["status"] for _ in range(3)] == ["0", "-15", "-15"]


def test_faults_strike_by_rate() -> None:
    options = replace(OPTIONS, faults=Faults.from_specs(["-18=1"]))
    with running(options, clock=frozen) as handle:
        assert envelope_of(get(handle))["status"] == "-18"


def test_price_details_are_added_on_request() -> None:
    with running(replace(OPTIONS, price_details=True), clock=frozen) as handle:
        row = envelope_of(get(handle))["array"][0]

    price = fate_of(row["msgId"]).price
    assert row["pricedetail"] == {"pay": price, "price": price, "currency": "USD", "chargeCnt": 1}


def test_the_latency_is_added_to_every_call() -> None:
    with running(replace(OPTIONS, latency_ms=150), clock=frozen) as handle:
        assert get(handle).elapsed >= timedelta(milliseconds=150)


@pytest.mark.parametrize("path", ["/sms//getReport", "/v3/getReport", "/getReport", "//getReport"])
def test_every_path_that_ends_in_get_report_answers(simulator: Running, path: str) -> None:
    base = simulator.base_url.removesuffix("/sms")
    url = f"{base}{path}?appId=app&msgIds={IDS[0]}"

    assert envelope_of(httpx.get(url, headers=signed(), verify=TLS))["status"] == "0"


@pytest.mark.parametrize("path", ["/", "/sms", "/sms/getReport/", "/sms/sendSms", "/sms/xgetReport"])
def test_other_paths_are_404(simulator: Running, path: str) -> None:
    response = httpx.get(f"{simulator.base_url.removesuffix('/sms')}{path}", headers=signed(), verify=TLS)

    assert response.status_code == 404
    assert response.headers["date"] == "Mon, 02 Mar 2026 12:00:00 GMT"


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "DELETE"])
def test_only_get_is_allowed(simulator: Running, method: str) -> None:
    assert httpx.request(method, f"{simulator.base_url}/getReport", headers=signed(), verify=TLS).status_code == 405


def test_date_shows_the_servers_clock(simulator: Running) -> None:
    assert get(simulator).headers.get_list("date") == ["Mon, 02 Mar 2026 12:00:00 GMT"]


def test_a_skewed_clock_shows_in_date_and_in_the_window_but_not_in_the_states() -> None:
    options = replace(OPTIONS, faults=Faults.from_specs(["skew=-7200"]))
    with running(options, clock=frozen) as handle:
        refused = get(handle)
        there = parsedate_to_datetime(refused.headers["date"])
        answered = get(handle, headers=signed(str(int(there.timestamp()))))

    assert there == NOW - timedelta(hours=2)
    assert envelope_of(refused)["status"] == "-16"
    assert len(envelope_of(answered)["array"]) == sum(report_at(msg_id, NOW) is not None for msg_id in IDS)


def test_calls_are_recorded_in_order_and_without_secrets(faulty: Running) -> None:
    before = len(faulty.calls)
    get(faulty, IDS[:3])
    get(faulty, app="http-503")
    get(faulty, app="-12")
    calls = faulty.calls[before:]

    assert [call.number for call in calls] == [before + 1, before + 2, before + 3]
    assert calls[0].msg_ids == tuple(IDS[:3])
    assert [(call.fault, call.http_status, call.status) for call in calls] == [
        (None, 200, "0"),
        ("http-503", 503, None),
        ("-12", 200, "-12"),
    ]
    assert calls[0].timestamp == str(STAMP)
    assert signed()["Sign"] not in repr(calls)


def test_without_recording_no_call_is_kept() -> None:
    with running(OPTIONS, clock=frozen, record=False) as handle:
        get(handle)
        assert handle.calls == []


@pytest.mark.parametrize("status", [400, 403, 429, 500, 502, 503])
def test_http_errors_strike(faulty: Running, status: int) -> None:
    response = get(faulty, app=f"http-{status}")

    assert response.status_code == status
    assert response.headers.get("retry-after") == ("1" if status == 429 else None)


@pytest.mark.parametrize("status", ["-1", "-12", "-15", "-18", "-29", "-99"])
def test_envelope_codes_strike(faulty: Running, status: str) -> None:
    envelope = envelope_of(get(faulty, app=status))

    assert envelope["status"] == status
    assert envelope["reason"]


def test_timeout_holds_the_answer(faulty: Running) -> None:
    with pytest.raises(httpx.ReadTimeout):
        get(faulty, app="timeout", timeout=0.1)

    patient = get(faulty, app="timeout")
    assert patient.elapsed >= timedelta(seconds=0.4)
    assert envelope_of(patient)["status"] == "0"


def test_reset_cuts_the_connection_in_mid_body(faulty: Running) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        get(faulty, app="reset")


def test_truncated_json_has_status_200_and_its_own_length(faulty: Running) -> None:
    response = get(faulty, app="truncated")

    assert response.status_code == 200
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.text.startswith('{"status":"0"')
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_html_comes_with_status_200(faulty: Running) -> None:
    response = get(faulty, app="html")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")


def test_redirect_leads_to_another_host(faulty: Running) -> None:
    response = get(faulty, app="redirect")

    assert response.status_code == 302
    assert httpx.URL(response.headers["location"]).host == "elsewhere.invalid"


def test_gzip_is_the_right_answer_in_fewer_bytes(faulty: Running) -> None:
    response = get(faulty, app="gzip")

    assert response.headers["content-encoding"] == "gzip"
    assert envelope_of(response) == envelope_of(get(faulty))


def test_huge_is_the_right_answer_and_50_megabytes(faulty: Running) -> None:
    response = get(faulty, app="huge")

    assert len(response.content) > HUGE_BYTES
    assert envelope_of(response) == envelope_of(get(faulty))


def test_a_client_may_hang_up_on_a_huge_answer(faulty: Running) -> None:
    params = {"appId": "huge", "msgIds": IDS[0]}
    url = f"{faulty.base_url}/getReport"
    with httpx.stream("GET", url, params=params, headers=signed(), verify=TLS) as response:
        assert next(response.iter_bytes(1000)).startswith(b"{")

    assert envelope_of(get(faulty))["status"] == "0"


def test_every_fault_of_the_rows_changes_an_answer_of_status_0(faulty: Running) -> None:
    right = envelope_of(get(faulty))
    wrong = {fault: envelope_of(get(faulty, app=fault)) for fault in ROW_FAULTS}

    assert all(str(envelope["status"]) == "0" for envelope in wrong.values())
    assert [fault for fault in ROW_FAULTS if wrong[fault] == right] == []


@pytest.mark.parametrize("fault", ROW_FAULTS)
def test_faults_of_the_rows_leave_refusals_and_empty_answers_alone(faulty: Running, fault: str) -> None:
    assert envelope_of(get(faulty, app=fault, headers={}))["status"] == "-1"
    assert str(envelope_of(get(faulty, make_msg_id(NOW, 1), app=fault))["nofound"]) == "1"


def test_null_array_counts_everything_as_not_found(faulty: Running) -> None:
    null, none = (envelope_of(get(faulty, app=fault)) for fault in ("null-array", "no-array"))
    counts = [null[name] for name in ("success", "fail", "sending", "nofound")]

    assert counts == ["0", "0", "0", "50"]
    assert null["array"] is None
    assert none == {name: value for name, value in null.items() if name != "array"}


def test_numbers_come_as_numbers(faulty: Running) -> None:
    envelope, right = envelope_of(get(faulty, app="numbers")), envelope_of(get(faulty))

    assert (envelope["status"], envelope["success"]) == (0, int(right["success"]))
    assert [row["msgId"] for row in envelope["array"]] == [int(row["msgId"]) for row in right["array"]]
    assert {type(row["status"]) for row in envelope["array"]} == {int}


def test_extra_fields_stand_beside_the_known_ones(faulty: Running) -> None:
    envelope, right = envelope_of(get(faulty, app="extra-fields")), envelope_of(get(faulty))

    assert set(right) < set(envelope)
    for row, right_row in zip(envelope["array"], right["array"], strict=True):
        assert set(right_row) < set(row)
        assert row | right_row == row


def test_a_stranger_was_not_asked(faulty: Running) -> None:
    rows = envelope_of(get(faulty, app="stranger"))["array"]

    assert len([row for row in rows if row["msgId"] not in IDS]) == 1


def test_twice_repeats_a_row_and_contradiction_denies_it(faulty: Running) -> None:
    right, twice, denied = (envelope_of(get(faulty, app=app))["array"] for app in ("app", "twice", "contradiction"))

    assert twice == [*right, right[0]]
    assert denied[:-1] == right
    assert denied[-1]["msgId"] == right[0]["msgId"]
    assert denied[-1]["status"] != right[0]["status"]


def test_bad_counts_do_not_sum_to_what_was_asked(faulty: Running) -> None:
    envelope = envelope_of(get(faulty, app="bad-counts"))

    assert sum(int(envelope[name]) for name in ("success", "fail", "sending", "nofound")) == len(IDS) + 3


def test_a_receive_time_may_be_garbage_or_lack_its_offset(faulty: Running) -> None:
    garbage, local = (envelope_of(get(faulty, app=app))["array"][0]["receiveTime"] for app in ("bad-time", "no-offset"))

    with pytest.raises(ValueError, match="isoformat"):
        datetime.fromisoformat(garbage)
    assert datetime.fromisoformat(local).tzinfo is None


def test_an_odd_status_is_7(faulty: Running) -> None:
    assert envelope_of(get(faulty, app="odd-status"))["array"][0]["status"] == "7"


def test_an_outage_is_over_when_its_calls_are() -> None:
    options = replace(OPTIONS, faults=Faults.from_specs(["down=2:2"]))
    seen: list[int | None] = []
    with running(options, clock=frozen) as handle:
        for _ in range(4):
            try:
                seen.append(get(handle).status_code)
            except httpx.RemoteProtocolError:
                seen.append(None)

    assert seen == [200, None, 503, 200]


def test_nothing_is_left_when_the_block_ends() -> None:
    before = threading.active_count()
    with httpx.Client(verify=TLS) as client:
        with running(OPTIONS, clock=frozen) as handle:
            client.get(f"{handle.base_url}/getReport")  # and stays connected
        assert threading.active_count() == before
        with pytest.raises(httpx.ConnectError):
            get(handle)


def test_the_block_ends_soon_though_an_answer_is_being_held() -> None:
    faults = Faults.from_specs(["timeout=1:60"])
    with running(replace(OPTIONS, faults=faults), clock=frozen) as handle:
        asking = threading.Thread(target=get, args=(handle,), kwargs={"timeout": 30})
        asking.start()
        while not handle.calls:
            time.sleep(0.01)
        began = time.monotonic()
    asking.join(timeout=5)

    assert not asking.is_alive()
    assert time.monotonic() - began < 4


SERVE = """
from pipeline.api.simulator.server import SimulatorOptions, serve
serve(SimulatorOptions("bDqJFiq9", "s3cret"), port=0, announce=lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_cleanly_on_a_signal_and_says_nothing(number: signal.Signals) -> None:
    command = [sys.executable, "-W", "error", "-c", SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answered = get(Running(url), headers=signed(str(int(time.time()))))
        process.send_signal(number)
        out, err = process.communicate(timeout=10)

    assert envelope_of(answered)["status"] == "0"
    assert (process.returncode, out, err) == (0, "", "")


def test_an_address_that_is_taken_is_an_error_at_once(simulator: Running) -> None:
    port = httpx.URL(simulator.base_url).port or 0
    with pytest.raises(OSError, match="use"), running(OPTIONS, port=port):
        pass
