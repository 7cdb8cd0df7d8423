"""The API of a made-up world: a timeline for each message, a fault for some calls, and a ledger of what it said.

What belongs here: virtual time, the fake, what goes over the wire. What does not: what follows from it
(`chronicle.py`), which worlds there are (`story.py`).
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, Final, Literal
from urllib.parse import parse_qs

import httpx

from pipeline.api.client import Clock
from tests.support.lakes import Said

KEY, SECRET = "key-of-worlds", "secret-of-worlds"
HOSTS: Final = {"app": "one.invalid", "other": "one.invalid", "third": "two.invalid"}
"""App to the host that it is asked for at; two share one, and its pace."""
TIMESTAMP_WINDOW: Final = timedelta(minutes=5)
NUMBER: Final = "14155550100"
VENDOR_ZONE: Final = timezone(timedelta(hours=8))

Kind = Literal["absent", "sending", "delivered", "failed"]
STATUS_OF: Final = {"delivered": "0", "failed": "1", "sending": "-1"}
RECORD_STATUS_OF: Final = {"delivered": "0", "failed": "2"}
PAGE_ROWS: Final = 3
"""Rows of a page of the record, and of a window that may not be all."""
BALANCE: Final = "12.5"

SLOW_FAULTS: Final = ("429", "429-long", "-15", "503-wait")
LOST_FAULTS: Final = ("503", "500", "-18", "-12", "html", "cut", "timeout", "reset")
GIVE_UP_FAULTS: Final = ("-99",)
STOP_APP_FAULTS: Final = ("-1", "-13", "-19")
STOP_BASE_FAULTS: Final = ("-22", "-11", "404", "302")
CLOCK_FAULT: Final = "-16"
ERROR_FAULTS: Final = (*SLOW_FAULTS, *LOST_FAULTS, *GIVE_UP_FAULTS, *STOP_APP_FAULTS, *STOP_BASE_FAULTS, CLOCK_FAULT)
ODD_FAULTS: Final = (
    "null-array", "no-array", "numbers", "extra", "stranger", "twice", "contradiction", "bad-counts",
    "bad-time", "no-offset", "odd-status", "not-a-row", "gzip",
)  # fmt: skip
"""Answers with status 0 that say something odd."""


class VirtualTime:
    """True time of a world, in microseconds, and the clock of the machine that asks, which may be wrong."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._us = 0
        self.error = timedelta()

    @property
    def true(self) -> datetime:
        """What the platform's clock shows."""
        return self._start + timedelta(microseconds=self._us)

    def wall(self) -> datetime:
        """Return what this machine's clock shows."""
        return self.true + self.error

    def advance(self, by: timedelta) -> None:
        """Let time pass: never none, for a wait must end."""
        self._us += max(1, by // timedelta(microseconds=1))

    def clock(self) -> Clock:
        """Return a clock for the client: waiting takes no time."""
        return Clock(now=self.wall, tick=lambda: self._us / 1e6, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Step:
    """From `at` on the platform shows a message so."""

    at: datetime
    kind: Kind
    received: datetime | None = None


@dataclass(frozen=True)
class Fate:
    """What the platform knows of a message: steps in order of time, or that it refuses the id."""

    steps: tuple[Step, ...]
    is_bad_id: bool = False

    def at(self, moment: datetime) -> Step | None:
        """Return what is shown at a moment, None for nothing."""
        shown = [step for step in self.steps if step.at <= moment]
        return shown[-1] if shown and shown[-1].kind != "absent" else None


@dataclass(frozen=True)
class Weather:
    """What goes wrong in one run.

    Attributes:
        faults: errors; which one follows from the ids of a call and how often they were asked, not from the order.
        oddities: the same for answers with status 0.
        outage: first call, from 0, and number of calls that get no answer.
        latency: time that a call takes.
        jump: after which call the machine's clock jumps, and by how much.
    """

    faults: tuple[str | None, ...] = (None,)
    oddities: tuple[str | None, ...] = (None,)
    outage: tuple[int, int] = (0, 0)
    latency: timedelta = timedelta(milliseconds=50)
    jump: tuple[int, timedelta] | None = None

    def fault(self, number: int, first_id: str, asked_before: int) -> str | None:
        """Return the fault of a call, None for none."""
        start, length = self.outage
        if start <= number < start + length:
            return "503"
        place = zlib.crc32(first_id.encode()) + asked_before
        return self.faults[place % len(self.faults)] or self.oddities[place % len(self.oddities)]


@dataclass(frozen=True)
class Call:
    """One request, and in a word what it got: `answer`, `-14`, or the fault."""

    app_id: str
    asked: tuple[str, ...]
    got: str


@dataclass(frozen=True)
class Told:
    """A status-0 answer that was sent whole: what it means for each id, in the order asked.

    Attributes:
        said: one for each id asked.
        is_consistent: its rows and counts agree with each other and with the question.
        odd_rows: rows that must be rejected.
    """

    app_id: str
    said: tuple[Said, ...]
    is_consistent: bool
    odd_rows: int


@dataclass
class Ledger:
    """What the API saw and said in one run, in order."""

    calls: list[Call] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    balances: list[str] = field(default_factory=list)
    """Hosts that were asked for a balance."""
    wrong: list[str] = field(default_factory=list)
    """Requests that no client may make."""


@dataclass(frozen=True)
class Recorded:
    """A message as the platform knows it, logged or not."""

    app_id: str
    msg_id: str
    sent_at: datetime
    fate: Fate


class FakeApi(httpx.AsyncBaseTransport):
    """Answers in the place of a socket.

    Args:
        fates: by msg_id.
        recorded: the messages of the platform's own record.
        weather: what goes wrong.
        time: true time and the machine's.
        on_step: called before a request is seen and before its answer is sent; what it raises ends the run.
    """

    def __init__(
        self,
        fates: Mapping[str, Fate],
        weather: Weather,
        time: VirtualTime,
        on_step: Callable[[str], None],
        *,
        recorded: Sequence[Recorded] = (),
    ) -> None:
        self.ledger = Ledger()
        self._recorded = recorded
        self._fates = fates
        self._weather = weather
        self._time = time
        self._on_step = on_step
        self._asked: Counter[tuple[str, ...]] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, in time of its own."""
        self._on_step("request")
        await asyncio.sleep(0)
        self._time.advance(self._weather.latency)
        if b"/getReport?" not in request.extensions["target"]:
            return self._answer_beside(request)
        app_id, asked = self._read(request)
        fault = self._weather.fault(len(self.ledger.calls), asked[0], self._asked[asked])
        self._asked[asked] += 1
        if self._weather.jump and self._weather.jump[0] == len(self.ledger.calls):
            self._time.error += self._weather.jump[1]
        self._on_step("answer")
        if not self._is_signed(request):
            fault = CLOCK_FAULT
        return self._answer(app_id, asked, fault)

    def _answer_beside(self, request: httpx.Request) -> httpx.Response:
        """Answer a call for the record or a balance; odd rows are none of theirs."""
        path, _, query = request.extensions["target"].decode("ascii").partition("?")
        fault = self._weather.fault(-1, path + query, self._asked[path, query])
        self._asked[path, query] += 1
        if not self._is_signed(request):
            fault = CLOCK_FAULT
        if path == "/sms/getBalance":
            self.ledger.balances.append(request.url.host)
            body: dict[str, Any] = {"balance": BALANCE, "gift": "0", "credit": "0"}
        elif path == "/sms/getSentRcd":
            body = self._page({name: values[0] for name, values in parse_qs(query, strict_parsing=True).items()})
        else:
            raise AssertionError(path)
        if fault in ERROR_FAULTS:
            return _error(fault, self._time.true)
        return _response(200, json.dumps({"status": "0", "reason": "success"} | body).encode())

    def _page(self, asked: dict[str, str]) -> dict[str, Any]:
        start, end = datetime.fromisoformat(asked["startTime"]), datetime.fromisoformat(asked["endTime"])
        shown = [
            (each.msg_id, each.fate.at(self._time.true))
            for each in self._recorded
            if each.app_id == asked["appId"] and start <= each.sent_at <= end and not each.fate.is_bad_id
        ]
        final = [(msg_id, step) for msg_id, step in shown if step and step.kind in RECORD_STATUS_OF]
        rows = [_row(msg_id, step) | {"status": RECORD_STATUS_OF[step.kind]} for msg_id, step in final]
        failed = sum(row["status"] == "2" for row in rows)
        index = int(asked["startIndex"])
        counts = {"success": str(len(rows) - failed), "fail": str(failed)}
        return counts | {"array": rows[index : index + PAGE_ROWS]}

    def _read(self, request: httpx.Request) -> tuple[str, tuple[str, ...]]:
        path, _, query = request.extensions["target"].decode("ascii").partition("?")
        fields = parse_qs(query, strict_parsing=True)
        app_id, asked = fields["appId"][0], tuple(fields["msgIds"][0].split(","))
        if path != "/sms/getReport" or request.url.host != HOSTS[app_id] or request.method != "GET":
            self.ledger.wrong.append(f"{request.method} {path} at {request.url.host} for {app_id}")
        if unknown := [msg_id for msg_id in asked if msg_id not in self._fates]:
            self.ledger.wrong.append(f"ids never sent: {unknown}")
        return app_id, asked

    def _is_signed(self, request: httpx.Request) -> bool:
        """Check the signature; say whether its time is near enough to ours."""
        stamp = request.headers["Timestamp"]
        if request.headers["Sign"] != hashlib.md5((KEY + SECRET + stamp).encode()).hexdigest():  # noqa: S324 - theirs
            self.ledger.wrong.append("a wrong signature")
        return abs(datetime.fromtimestamp(int(stamp), UTC) - self._time.true) <= TIMESTAMP_WINDOW

    def _answer(self, app_id: str, asked: tuple[str, ...], fault: str | None) -> httpx.Response:
        if fault in ERROR_FAULTS:
            self.ledger.calls.append(Call(app_id, asked, fault))
            return _error(fault, self._time.true)
        if any(self._fates[msg_id].is_bad_id for msg_id in asked if msg_id in self._fates):
            self.ledger.calls.append(Call(app_id, asked, "-14"))
            return _error("-14", self._time.true)
        sheet = _Sheet(app_id, asked, self._fates, self._time)
        body = sheet.written(fault)
        self.ledger.calls.append(Call(app_id, asked, "answer"))
        self.ledger.told.append(sheet.told())
        if fault == "gzip":
            return _response(200, gzip.compress(body), {"Content-Encoding": "gzip"})
        return _response(200, body)


class _Sheet:
    """One answer while it is written: rows for the wire beside what they mean."""

    def __init__(self, app_id: str, asked: tuple[str, ...], fates: Mapping[str, Fate], time: VirtualTime) -> None:
        shown = {msg_id: fates[msg_id].at(time.true) for msg_id in asked if msg_id in fates}
        self.rows: list[Any] = [_row(msg_id, step) for msg_id, step in shown.items() if step]
        self.consistent = True
        self.odd_rows = 0
        self._app_id = app_id
        self._meaning = {
            msg_id: Said(
                msg_id,
                status=step.kind if step else "not_found",
                observed_at=time.true,
                receive_time=step.received if step else None,
                app_id=app_id,
                number=NUMBER if step else None,
            )
            for msg_id, step in shown.items()
        }

    def told(self) -> Told:
        return Told(self._app_id, tuple(self._meaning.values()), self.consistent, self.odd_rows)

    def written(self, fault: str | None) -> bytes:
        """Return the body, and change what it means, as the fault has it."""
        envelope: dict[str, Any] = {"status": "0", "reason": "success"}
        kinds = Counter(row["status"] for row in self.rows)
        envelope |= {"success": str(kinds["0"]), "fail": str(kinds["1"]), "sending": str(kinds["-1"])}
        envelope |= {"nofound": str(len(self._meaning) - len(self.rows)), "array": self.rows}
        if fault in {"null-array", "no-array", "bad-counts", "numbers", "extra"}:
            self._spoil_envelope(fault, envelope)
        elif self.rows and fault is not None:
            self._spoil_rows(fault, envelope)
        return json.dumps(envelope).encode()

    def _spoil_envelope(self, fault: str, envelope: dict[str, Any]) -> None:
        if fault == "null-array":
            envelope["array"] = None
        elif fault == "no-array":
            del envelope["array"]
        elif fault == "bad-counts":
            envelope["success"] = str(int(envelope["success"]) + 3)
            self.consistent = False
        elif fault == "numbers":
            envelope |= {n: int(text) for n, text in envelope.items() if isinstance(text, str) and n != "reason"}
            for row in self.rows:
                row |= {"msgId": int(row["msgId"]), "status": int(row["status"]), "number": int(row["number"])}
        else:
            envelope["pricedetail"] = {"pay": "0.01"}
            for row in self.rows:
                row["chargeCnt"] = 1
        if fault in {"null-array", "no-array"}:
            self.consistent = not self.rows
            self._meaning = {msg_id: _silence(said) for msg_id, said in self._meaning.items()}

    def _spoil_rows(self, fault: str, envelope: dict[str, Any]) -> None:
        first = self.rows[0]
        msg_id = first["msgId"]
        if fault == "stranger":
            self.rows.insert(0, first | {"msgId": "999"})
            self.consistent = False
        elif fault == "twice":
            self.rows.append(dict(first))
        elif fault == "contradiction":
            self.rows.append(first | {"status": "1" if first["status"] == "0" else "0"})
            self.consistent = False
        elif fault == "not-a-row":
            self.rows.append("row")
            self.odd_rows += 1
        elif fault == "odd-status":
            self._spoil_status(msg_id, first, envelope)
        elif fault in {"bad-time", "no-offset"}:
            first["receiveTime"] = "soon" if fault == "bad-time" else "2026-03-02T12:00:00"
            self.odd_rows += 1
            self._mean(msg_id, receive_time=None)

    def _spoil_status(self, msg_id: str, first: dict[str, Any], envelope: dict[str, Any]) -> None:
        """Show a status that nobody documented; the platform's own tally has it as sending."""
        names = {"0": "success", "1": "fail", "-1": "sending"}
        envelope[names[first["status"]]] = str(int(envelope[names[first["status"]]]) - 1)
        envelope["sending"] = str(int(envelope["sending"]) + 1)
        first["status"] = "7"
        self.odd_rows += 1
        self._mean(msg_id, status="sending")

    def _mean(self, msg_id: str, **changes: Any) -> None:
        self._meaning[msg_id] = replace(self._meaning[msg_id], **changes)


def _silence(said: Said) -> Said:
    return Said(said.msg_id, "not_found", said.observed_at, app_id=said.app_id)


def _row(msg_id: str, step: Step) -> dict[str, Any]:
    written = step.received.astimezone(VENDOR_ZONE).isoformat() if step.received else ""
    return {"msgId": msg_id, "number": NUMBER, "receiveTime": written, "status": STATUS_OF[step.kind]}


def _error(fault: str, true: datetime) -> httpx.Response:
    """Return, or raise, what a fault does in the place of an answer."""
    if fault == "timeout":
        raise httpx.ReadTimeout("no answer")
    if fault == "reset":
        raise httpx.RemoteProtocolError("connection was cut")
    if fault.startswith("-"):
        date = {"Date": format_datetime(true, usegmt=True)}
        return _response(200, json.dumps({"status": fault, "reason": f"that is {fault}"}).encode(), date)
    if fault in {"html", "cut"}:
        return _response(200, b"<html>Hello</html>" if fault == "html" else b'{"status": "0", "arr')
    code, _, wait = fault.partition("-")
    seconds = {"": "3" if code == "429" else "", "wait": "7", "long": "700"}[wait]
    return _response(int(code), b"Not now.", {"Retry-After": seconds} if seconds else {})


def _response(code: int, body: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Return a response that is not read yet, as a socket gives it."""
    return httpx.Response(code, headers=headers, stream=httpx.ByteStream(body))
