"""What a run knows of an app: refused batches are split until their bad ids stand alone, or the app is stopped.

What belongs here: whether a refusal is about ids or about the app. What does not: requests and the rows made of them
(`workers.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pipeline.api.batches import Batch
from pipeline.api.codes import EnvelopeCode
from pipeline.model.accounts import Account

REFUSED_BATCHES: Final = 4
"""Batches refused whole, beside the one that was split to its single ids, after which an app is stopped."""


@dataclass(frozen=True)
class Refusal:
    """A batch that the platform refused with -14, by which call, and when the response arrived."""

    batch: Batch
    call_id: str
    observed_at: datetime


@dataclass
class App:
    """An app, asked for as long as that is of use.

    Attributes:
        account: its credentials, None where there are none.
        ask: asks for a batch and records what came of it; returns the refusal of its ids, else None.
        on_bad_id: called with each id that is refused alone, once the app is proven.
        proven: the API has given a status-0 answer for it.
        stopped: why it is asked for no more.
    """

    account: Account | None
    ask: Callable[[Batch], Awaitable[Refusal | None]]
    on_bad_id: Callable[[Refusal], None]
    proven: bool = False
    stopped: str | None = None
    _probed: bool = False
    _probing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _single_ids: list[Refusal] = field(default_factory=list)
    _deferred: list[Refusal] = field(default_factory=list)

    async def settle(self, batch: Batch) -> None:
        """See a batch to its end: answered, given up, refused, or split until its bad ids stand alone."""
        if refusal := await self.ask(batch):
            await self._settle_refused(refusal)
        while self.proven and self._deferred:
            await self._bisect(self._deferred.pop())

    def prove(self) -> None:
        """Note that the API answers for the app: an id that it refuses alone is a bad id."""
        self.proven = True
        while self._single_ids:
            self.on_bad_id(self._single_ids.pop())

    def stop(self, why: str) -> None:
        """Ask for it no more; the first reason stays."""
        self.stopped = self.stopped or why

    def stop_unproven(self) -> None:
        """Ask no more for an app whose ids were all refused."""
        code = EnvelopeCode.ABNORMAL_ID
        self.stop(
            f"the platform refuses every id of it ({code.code}, {code.meaning}): it is not the ids; "
            f"correct {code.setting} or the app_id in the sent logs"
        )

    @property
    def unresolved(self) -> int:
        """Number of ids refused before the API had answered for the app: bad ids, or a wrong app."""
        refusals = [] if self.proven else [*self._single_ids, *self._deferred]
        return sum(len(refusal.batch.ids) for refusal in refusals)

    async def _settle_refused(self, refusal: Refusal) -> None:
        """Split a refused batch; before the API has answered for the app, only one, to learn whether it ever does."""
        if self.proven:
            await self._bisect(refusal)
            return
        async with self._probing:
            if self._probed and not self.proven:
                self._deferred.append(refusal)
                if len(self._deferred) >= REFUSED_BATCHES:
                    self.stop_unproven()
                return
            self._probed = True
            await self._bisect(refusal)

    async def _bisect(self, refusal: Refusal) -> None:
        if len(refusal.batch.ids) == 1:
            self._single_ids.append(refusal)
            if self.proven:
                self.prove()
            return
        for half in refusal.batch.halves():
            if refused := await self.ask(half):
                await self._bisect(refused)
