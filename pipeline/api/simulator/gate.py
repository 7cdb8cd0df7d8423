"""Which calls are turned away, with which code, and in which order. No HTTP here.

Order: address, signature, form of the time, its window, frequency, app, price, ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING

from pipeline.api.signing import sign

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pipeline.api.simulator.options import SimulatorOptions

MAX_IDS = 200
"""Ids that one call may ask for."""

_MAX_ID_DIGITS = 32
_MAX_TIMESTAMP_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that decide whether it is let in; missing ones are empty."""

    peer: str
    app_id: str
    joined_ids: str
    timestamp: str
    api_key: str = field(repr=False)
    sign: str = field(repr=False)


@dataclass
class RateLimit:
    """A bucket that holds one second's worth of calls; `per_second` of 0 lets everything through."""

    per_second: float
    _left: float = field(init=False)
    _filled_at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Start full."""
        self._left = max(self.per_second, 1.0)

    def admits(self, moment: float) -> bool:
        """Take one call out of the bucket, if there is one; `moment` in seconds, never less than before."""
        if self.per_second <= 0:
            return True
        elapsed = moment - (moment if self._filled_at is None else self._filled_at)
        self._left = min(max(self.per_second, 1.0), self._left + elapsed * self.per_second)
        self._filled_at = moment
        if self._left < 1:
            return False
        self._left -= 1
        return True


def refused_status(
    request: Request, options: SimulatorOptions, *, now: datetime, admits: Callable[[], bool]
) -> str | None:
    """Return the status that the call is refused with, None where it is let in.

    Args:
        request: what came.
        options: what the simulator was told.
        now: the server's clock (aware).
        admits: takes a call out of the rate limit; asked only for calls that are signed well.
    """
    return refused_app(request, options, now=now, admits=admits) or _refused_for_its_ids(request)


def refused_app(
    request: Request, options: SimulatorOptions, *, now: datetime, admits: Callable[[], bool]
) -> str | None:
    """Return the status that a call of an app is refused with, whatever else it asks."""
    return refused_account(request, options, now=now, admits=admits) or _refused_for_its_app(request, options)


def refused_account(
    request: Request, options: SimulatorOptions, *, now: datetime, admits: Callable[[], bool]
) -> str | None:
    """Return the status that a call is refused with, whatever it asks."""
    refused = _refused_at_the_door(request, options, now=now)
    if refused is not None:
        return refused
    return None if admits() else "-15"


def _refused_at_the_door(request: Request, options: SimulatorOptions, *, now: datetime) -> str | None:
    if options.allowed_ips and request.peer not in options.allowed_ips:
        return "-2"
    if not _is_authentic(request, options):
        return "-1"
    if not _is_digits(request.timestamp, _MAX_TIMESTAMP_DIGITS):
        return "-11"
    if abs(now.timestamp() - int(request.timestamp)) > options.window_seconds:
        return "-16"
    return None


def _refused_for_its_app(request: Request, options: SimulatorOptions) -> str | None:
    if not request.app_id or (options.apps and request.app_id not in options.apps | options.unpriced_apps):
        return "-14"
    return "-19" if request.app_id in options.unpriced_apps else None


def _refused_for_its_ids(request: Request) -> str | None:
    msg_ids = request.joined_ids.split(",")
    if len(msg_ids) > MAX_IDS or not all(_is_digits(msg_id, _MAX_ID_DIGITS) for msg_id in msg_ids):
        return "-14"
    return None


def _is_authentic(request: Request, options: SimulatorOptions) -> bool:
    """Tell whether all three headers are there and fit together, in constant time."""
    right = sign(options.api_key, options.api_secret, request.timestamp)
    is_key = compare_digest(request.api_key.encode(), options.api_key.encode())
    is_sign = compare_digest(request.sign.encode(), right.encode())
    return bool(request.timestamp) and is_key and is_sign


def _is_digits(text: str, most: int) -> bool:
    """Tell whether the text is 1 to `most` ASCII digits."""
    return 0 < len(text) <= most and text.isascii() and text.isdigit()
