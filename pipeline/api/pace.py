"""How fast requests may start: one pace for a base URL, shared by every worker, app and partition of a run.

Why not a limiter from a library: aiolimiter keeps the bound, but can neither hold every worker until a
moment that the platform names nor come back gradually afterwards. The bound is the generic cell rate algorithm.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

SLOWEST: Final = 0.2
"""Requests a second below which throttling does not push the pace."""
RECOVERY: Final = 1.05
"""Factor by which each good answer raises a lowered pace: doubled after about 14 answers."""
_WINDOW: Final = 64


class Pace:
    """In any t seconds at most (t + 1) times `rate` requests start; less after the platform asked to slow down."""

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make a pace.

        Args:
            rate: requests a second, 0 for no limit.
            clock: seconds, monotonic.
            sleep: waits that many seconds.
        """
        self._limit = rate
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._next_start = clock()
        self._held_until = clock()
        self._lowered = False
        self._queue = asyncio.Lock()
        self._starts: deque[float] = deque(maxlen=_WINDOW)

    @property
    def rate(self) -> float:
        """Requests a second that may start now; 0 for no limit."""
        return self._rate

    async def turn(self) -> None:
        """Wait until one more request may start: first come, first served.

        Only the first of the queue looks at the clock, and takes its slot when it starts: slots given out
        beforehand would all be taken at once by workers that wake late.
        """
        async with self._queue:
            while (wait := max(self._slot(), self._held_until) - self._clock()) > 0:
                await self._sleep(wait)
            if self._rate:
                self._next_start = self._slot() + 1 / self._rate
            self._starts.append(self._clock())

    def _slot(self) -> float:
        """Return from when the next request may start."""
        now = self._clock()
        if not self._rate:
            return now
        burst = 0.0 if self._lowered else max(0.0, 1 - 1 / self._rate)
        return max(self._next_start, now - burst)

    def slow_down(self, wait_seconds: float) -> None:
        """Hold everybody for `wait_seconds`, then start again at half the pace."""
        now = self._clock()
        already_held = self._held_until > now
        self._held_until = max(self._held_until, now + wait_seconds)
        self._next_start = max(self._next_start, self._held_until)
        if not already_held:
            self._rate = max(self._observed() / 2, min(SLOWEST, self._limit or SLOWEST))
            self._lowered = True
            self._starts.clear()  # the next pace is measured from here

    def _observed(self) -> float:
        since = self._clock() - self._starts[0] if self._starts else 0.0
        seen = len(self._starts) / since if since > 0 else float(len(self._starts) or 1)
        return min(seen, self._rate) if self._rate else seen

    def good_answer(self) -> None:
        """Come back a little towards the limit."""
        if not self._lowered:
            return
        self._rate *= RECOVERY
        goal = self._limit or _FAST_ENOUGH
        if self._rate >= goal:
            self._rate = self._limit
            self._lowered = False


_FAST_ENOUGH: Final = 1000.0
"""Requests a second at which a pace without a limit counts as recovered."""
