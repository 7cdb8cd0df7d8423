"""Faults by name, and which of them strikes a call.

What belongs here: names and meanings, the reading of `NAME=RATE`, the choice for the n-th call.
What does not: doing it; that is `tampering` (wrong rows) and `transport` (wrong HTTP).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from pipeline.api.simulator.calls import Call

FaultScript = Callable[[int, Call], str | None]
"""Names the fault for the call with this number, None for none (the rates decide then)."""

CODE_FAULT = re.compile(r"-[1-9]\d?")
HTTP_FAULT = re.compile(r"http-[45]\d\d")

ROW_FAULTS = {
    "null-array": "`array` is null though status is 0; all ids count as not found",
    "no-array": "the same with no `array` at all",
    "numbers": "every text that is a number comes as a JSON number, msgId too",
    "extra-fields": "fields that the vendor's page does not name, in envelope and rows",
    "stranger": "a row for an id that was not asked",
    "twice": "the first row comes twice",
    "contradiction": "the first row comes again with another status",
    "bad-counts": "`success` is three too many",
    "bad-time": "receiveTime of the first row can't be read",
    "no-offset": "receiveTime of the first row has no offset",
    "odd-status": "the first row has status 7",
    "gap": "the first row is missing, though the counts count it",
}
"""Answers with status 0 that say something odd: name -> meaning."""

TRANSPORT_FAULTS = {
    "timeout": "the answer is held for 60 seconds; timeout=RATE:SECONDS for another time",
    "reset": "the connection is cut in mid-body",
    "truncated": "half of the JSON, with status 200 and the Content-Length of that half",
    "html": "an HTML page with status 200",
    "redirect": "302 to another host",
    "gzip": "the right answer, gzip-encoded",
    "huge": "the right answer followed by 50 MB of blanks",
}
"""Odd HTTP: name -> meaning."""

_PATTERNS = {
    "-18": "error envelope with that status; so are -12, -15 and every other code",
    "http-500": "that HTTP status; any from 400 to 599 (429 comes with Retry-After: 1)",
}
_WINDOWS = {
    "skew": "skew=SECONDS: the server's clock, its Date and its Timestamp window, is off by that much",
    "down": "down=START:LENGTH: from call START on, LENGTH calls get HTTP 503 or a cut connection",
}


def describe_faults() -> list[tuple[str, str]]:
    """Return (name, meaning) of every fault, as help text."""
    return list((_PATTERNS | TRANSPORT_FAULTS | ROW_FAULTS | _WINDOWS).items())


@dataclass(frozen=True)
class Faults:
    """What goes wrong, and how often.

    Attributes:
        rates: pairs of name and share of the calls (0 to 1), at most 1 in sum; one fault a call.
        seed: another seed strikes other calls.
        skew_seconds: what the server's clock shows beyond the true one.
        down: first call (from 1) and number of calls of an outage, None for none.
        hold_seconds: how long `timeout` holds an answer.
        script: asked first, for tests.
    """

    rates: tuple[tuple[str, float], ...] = ()
    seed: int = 0
    skew_seconds: float = 0.0
    down: tuple[int, int] | None = None
    hold_seconds: float = 60.0
    script: FaultScript | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse names and rates that mean nothing."""
        for name, rate in self.rates:
            known_fault(name)
            if not 0 <= rate <= 1:
                raise ValueError(f"{name}={rate}: a rate is a number from 0 to 1")
        if sum(rate for _, rate in self.rates) > 1 + 1e-9:
            raise ValueError("the rates of the faults sum to more than 1")
        if self.hold_seconds < 0 or min(self.down or (0,)) < 0:
            raise ValueError("an outage and the time that an answer is held can't be negative")

    @classmethod
    def from_specs(cls, specs: Iterable[str], *, seed: int = 0) -> Faults:
        """Read texts like `-18=0.1`, `timeout=0.05:30`, `skew=-600` and `down=20:10`.

        Raises: ValueError, naming the text that can't be read.
        """
        rates: dict[str, float] = {}
        skew_seconds, hold_seconds, down = 0.0, 60.0, None
        for spec in specs:
            name, first, second = _split(spec)
            match name:
                case "skew":
                    skew_seconds = first
                case "down":
                    down = (_whole(spec, first), _whole(spec, second or 0.0))
                case _:
                    rates[name] = first
                    hold_seconds = hold_seconds if second is None else second
        return cls(tuple(rates.items()), seed, skew_seconds, down, hold_seconds)

    def strike(self, call: Call) -> str | None:
        """Return the name of the fault that strikes this call, None for none."""
        scripted = self.script(call.number, call) if self.script else None
        if scripted is not None:
            return known_fault(scripted)
        if self._is_down(call.number):
            return "http-503" if call.number % 2 else "reset"
        left = _draw(self.seed, call.number)
        for name, rate in self.rates:
            left -= rate
            if left < 0:
                return name
        return None

    def _is_down(self, number: int) -> bool:
        return self.down is not None and self.down[0] <= number < sum(self.down)


def known_fault(name: str) -> str:
    """Return the name. Raises: ValueError where it names no fault that can strike a call."""
    if name in ROW_FAULTS or name in TRANSPORT_FAULTS or CODE_FAULT.fullmatch(name) or HTTP_FAULT.fullmatch(name):
        return name
    raise ValueError(f"there is no fault {name!r}")


def _split(spec: str) -> tuple[str, float, float | None]:
    """Return name, number and second number of `NAME=NUMBER` or, where it takes two, `NAME=NUMBER:NUMBER`."""
    name, equals, numbers = spec.partition("=")
    first, colon, second = numbers.partition(":")
    takes_two = name == "down" or (name == "timeout" and bool(colon))
    if not equals or bool(colon) != takes_two:
        raise ValueError(f"{spec!r}: a fault is NAME=RATE, timeout=RATE:SECONDS, skew=SECONDS or down=START:LENGTH")
    return name, _number(spec, first), _number(spec, second) if colon else None


def _number(spec: str, text: str) -> float:
    """Return the finite number that the text is. Raises: ValueError, naming the whole `spec`."""
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError(f"{spec!r}: {text!r} is not a number") from error
    if not math.isfinite(number):
        raise ValueError(f"{spec!r}: {text!r} is not a finite number")
    return number


def _whole(spec: str, number: float) -> int:
    """Return the number of calls. Raises: ValueError where it is a fraction, naming the whole `spec`."""
    if not number.is_integer():
        raise ValueError(f"{spec!r}: calls are counted in whole numbers")
    return int(number)


def _draw(seed: int, number: int) -> float:
    """Return a number from 0 to 1 (exclusive) that follows from seed and call alone."""
    digest = blake2b(f"{seed}:{number}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
