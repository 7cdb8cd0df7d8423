"""Reads one window of the platform's record to its end: pages, and windows that are cut where they are full.

What belongs here: which question comes next. What does not: storing pages (`record_store.py`), which days are read
(`reconcile.py`), one request (`api/client.py`).

Whether the platform gives at most 50,000 rows a call and no more, or pages of fewer rows, is not certain. So after each
page the rows behind it are asked for until none is new; a window whose rows may not all fit is cut in two instead.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.api.client import Gateway, Ledger
from pipeline.api.envelope import AnsweredCall
from pipeline.api.windows import Window, counted_rows
from pipeline.model.accounts import Account


@dataclass
class WindowReader:
    """Asks for the pages of windows of one account.

    Attributes:
        on_page: takes a page, and returns the ids of its messages.
        most_rows: rows of a window that may not be all.
        missing: messages that the platform counted and gave no usable row of; None where it did not count.
        requests: requests made, repeated ones included.
    """

    gateway: Gateway
    account: Account
    on_page: Callable[[AnsweredCall], list[str]]
    most_rows: int
    missing: int | None = None
    requests: int = 0
    _waiting: list[Window] = field(default_factory=list)

    async def read(self, window: Window) -> None:
        """Read a window and all that it is cut into, in the order of time.

        Raises:
            CallError: a request got no usable response.
        """
        self._waiting = [window]
        while self._waiting:
            part = self._waiting.pop()
            if not await self._read_pages(part):
                self._waiting += reversed(part.halves())

    async def _read_pages(self, window: Window) -> bool:
        """Read the pages of a window; False if it has to be cut."""
        known: set[str] = set()
        rows, counted = 0, None
        while True:
            page = await self._ask(window.after(rows))
            elements = len(page.envelope.rows)
            if rows + elements >= self.most_rows and window.can_be_cut:
                return False
            counted = counted_rows(page.envelope) if counted is None else counted
            new = set(self.on_page(page)) - known if elements else set()
            if not new:  # also where the platform gives the same rows whatever the index
                break
            known |= new
            rows += elements
        if counted is not None:
            self.missing = (self.missing or 0) + max(0, counted - len(known))
        return True

    async def _ask(self, window: Window) -> AnsweredCall:
        ledger = Ledger()
        try:
            response = await self.gateway.ask(window, self.account, ledger)
        finally:
            self.requests += ledger.requests
        return AnsweredCall(uuid.uuid4().hex, window.app_id, response.observed_at, (), response.envelope)
