"""Reports that the simulator pushes: one per message once it is final, lost, doubled, late, false or forged on purpose.

What belongs here: what is pushed and when, and the thread that posts it. What does not: what becomes of a message
(`rules`), taking pushes (`api/push_server.py`). As the platform does, it tries once.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import httpx

from pipeline.api.simulator.calls import Call
from pipeline.api.simulator.incidents import Incident
from pipeline.api.simulator.rules import FAILED, Fate, fate_of, sent_at_of

PUSH_FAULTS: Final = {
    "lost": "the report is not pushed",
    "doubled": "it is pushed twice",
    "late": "it is pushed an hour late",
    "false": "it says failed for delivered, and the other way",
    "forged": "a report of a message that nobody sent is pushed beside it",
}
_LATE: Final = timedelta(hours=1)
_STEP_SECONDS: Final = 0.1
_TIMEOUT_SECONDS: Final = 5.0
_NETWORKS: Final = {
    "IN": ("404", "45"), "BR": ("724", "05"), "ID": ("510", "10"), "NG": ("621", "30"), "US": ("310", "260"),
    "MX": ("334", "020"), "GB": ("234", "15"), "DE": ("262", "01"), "PH": ("515", "02"), "VN": ("452", "04"),
}  # fmt: skip
_REASONS: Final = ("absent subscriber", "unknown subscriber", "spam filter", "handset busy")


@dataclass(frozen=True)
class PushOptions:
    """Where reports are pushed, and what goes wrong with them: a rate, 0 to 1, by name of `PUSH_FAULTS`."""

    url: str = field(repr=False)
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def push_faults(specs: Sequence[str]) -> dict[str, float]:
    """Read faults written as `NAME=RATE`.

    Raises:
        ValueError: a name is unknown, or a rate is none.
    """
    found: dict[str, float] = {}
    for spec in specs:
        name, _, rate = spec.partition("=")
        if name not in PUSH_FAULTS:
            raise ValueError(f"{name} is none of {', '.join(PUSH_FAULTS)}")
        found[name] = float(rate)
        if not 0 <= found[name] <= 1:
            raise ValueError(f"{name}: a rate is from 0 to 1")
    return found


def pushes_for(
    app_id: str, msg_id: str, options: PushOptions, incidents: Sequence[Incident] = ()
) -> list[tuple[datetime, bytes]]:
    """Return what is pushed for a message, and when; nothing for one that never becomes final. Always the same."""
    if sent_at_of(msg_id) is None:
        return []
    fate = fate_of(msg_id, incidents)
    if fate.final_at is None:
        return []
    chance = random.Random(f"{options.seed}/{msg_id}")  # noqa: S311 - a push that can be had again
    strikes = {name for name in PUSH_FAULTS if chance.random() < options.faults.get(name, 0)}
    at = fate.final_at + (_LATE if "late" in strikes else timedelta())
    status = int(fate.status) ^ ("false" in strikes)
    body = _body(app_id, msg_id, status=status, fate=fate, final_at=fate.final_at, chance=chance)
    forged = _body(
        app_id, f"9{chance.randrange(10**18):018d}", status=0, fate=fate, final_at=fate.final_at, chance=chance
    )
    times = 0 if "lost" in strikes else 2 if "doubled" in strikes else 1
    return [(at, body)] * times + ([(at, forged)] if "forged" in strikes else [])


def _body(app_id: str, msg_id: str, *, status: int, fate: Fate, final_at: datetime, chance: random.Random) -> bytes:
    mcc, mnc = _NETWORKS[fate.country]
    report = {
        "appId": app_id, "msgid": msg_id, "mobile": fate.number, "status": status,
        "reason": chance.choice(_REASONS) if status == int(FAILED) else "",
        "timestamp": int(final_at.timestamp() * 1000),
        "mcc": mcc, "mnc": mnc,
        "pricedetail": {"pay": fate.price, "price": fate.price, "currency": "USD", "chargeCnt": 1},
    }  # fmt: skip
    return json.dumps(report).encode()


class Pusher:
    """Posts reports when they are due; a thread of its own."""

    def __init__(self, options: PushOptions, incidents: Sequence[Incident], clock: Callable[[], datetime]) -> None:
        """Know of no message yet."""
        self._options, self._incidents, self._clock = options, incidents, clock
        self._known: set[tuple[str, str]] = set()
        self._waiting: list[tuple[datetime, int, bytes]] = []
        self._lock, self._stop = threading.Lock(), threading.Event()

    def note(self, call: Call) -> None:
        """Learn of the messages that are asked for."""
        for msg_id in call.msg_ids:
            self.add(call.app_id, msg_id)

    def add(self, app_id: str, msg_id: str) -> None:
        """Learn of a message; its report is pushed once."""
        with self._lock:
            if (app_id, msg_id) not in self._known:
                self._known.add((app_id, msg_id))
                for at, body in pushes_for(app_id, msg_id, self._options, self._incidents):
                    heapq.heappush(self._waiting, (at, len(self._known), body))

    def run(self) -> None:
        """Post what is due until `stop`."""
        with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            while not self._stop.wait(_STEP_SECONDS):
                while not self._stop.is_set() and (body := self._next()) is not None:
                    with contextlib.suppress(httpx.HTTPError):  # what is missed is lost, as the platform has it
                        client.post(self._options.url, content=body, headers={"User-Agent": "Java/1.8.0_392"})

    def stop(self) -> None:
        """Let the thread end."""
        self._stop.set()

    def _next(self) -> bytes | None:
        with self._lock:
            return heapq.heappop(self._waiting)[2] if self._waiting and self._waiting[0][0] <= self._clock() else None


@contextmanager
def pushing(
    options: PushOptions | None,
    sent: Mapping[str, Sequence[str]],
    incidents: Sequence[Incident],
    clock: Callable[[], datetime],
) -> Iterator[Callable[[Call], None]]:
    """Push reports of the messages in `sent` (by app) and of those asked for; gives what learns of calls."""
    if options is None:
        yield lambda _: None
        return
    pusher = Pusher(options, incidents, clock)
    for app_id, ids in sent.items():
        for msg_id in ids:
            pusher.add(app_id, msg_id)
    thread = threading.Thread(target=pusher.run, name="pusher", daemon=True)
    thread.start()
    try:
        yield pusher.note
    finally:
        pusher.stop()
        thread.join()
