"""What a run knows of an app: refused batches are split until their bad ids stand alone, or the app is stopped.

What belongs here: whether a refusal is about ids or about the app, by this run and by the calls in the lake. What does
not: requests and the rows made of them (`workers.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pipeline.api.batches import Batch
from pipeline.api.codes import EnvelopeCode
from pipeline.lake.lake import Lake
from pipeline.lake.queries import database, query, rows_of, show_files
from pipeline.model.accounts import Account
from pipeline.model.settings import API_MEMORY, Settings
from pipeline.model.tables import API_CALLS

REFUSED_IDS: Final = 5
"""Single ids refused, each of another part of what is due, after which an app without any answer is stopped: with 8
workers and full batches that takes 8 requests for these and 5 * 8 to get down to single ids."""


ANSWER_COUNTS: Final = timedelta(days=30)
"""How long a status-0 answer shows that an app is known to the platform."""


def apps_answered(*, lake: Lake, settings: Settings, now: datetime) -> set[str]:
    """Return the apps that had a status-0 answer lately; one read of `api_calls`, made only where ids are refused.

    Raises:
        LakeError: the lake can't be read.
    """
    since = now - ANSWER_COUNTS
    oldest = (since - API_MEMORY).date() - timedelta(days=1)  # a message asked for then was at most that old
    files = [file for file in lake.snapshot(API_CALLS).files if file.sent_date and file.sent_date >= oldest]
    with database(lake, settings) as connection:
        show_files(connection, API_CALLS, files)
        return {app_id for (app_id,) in rows_of(connection, query("follow/sql/apps_answered"), {"since": since})}


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
        was_answered: says whether the API gave a status-0 answer for it in earlier runs; called at most once.
        on_bad_id: called with each id that is refused alone, once the app is proven.
        proven: the API has given a status-0 answer for it.
        stopped: why it is asked for no more.
    """

    account: Account | None
    ask: Callable[[Batch], Awaitable[Refusal | None]]
    was_answered: Callable[[], Awaitable[bool]]
    on_bad_id: Callable[[Refusal], None]
    proven: bool = False
    stopped: str | None = None
    _is_looked_up: bool = False
    _probing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _single_ids: list[Refusal] = field(default_factory=list)
    _parts: list[Batch] = field(default_factory=list)
    """Parts of refused batches that are still to be asked for."""

    async def settle(self, batch: Batch) -> None:
        """See a batch to its end: answered, given up, refused, or split until its bad ids stand alone."""
        if await self._is_refused(batch) and not self.proven:
            async with self._probing:
                await self._probe()
        await self._settle_parts()

    async def settle_rest(self) -> None:
        """Once every batch was asked for: find out whether any id of an app without an answer is good."""
        while self._parts and not self.stopped and not self.proven:
            await self._probe()
        await self._settle_parts()

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
        return 0 if self.proven else len(self._single_ids) + sum(len(part.ids) for part in self._parts)

    async def _settle_parts(self) -> None:
        while self.proven and self._parts:
            await self._is_refused(self._parts.pop())

    async def _is_refused(self, batch: Batch) -> bool:
        """Ask for a batch and say whether it was refused; its halves are asked for later, unless it is a single id."""
        refusal = await self.ask(batch)
        if refusal is None:
            return False
        if len(batch.ids) > 1:
            self._parts += reversed(batch.halves())
            return True
        self._single_ids.append(refusal)
        if self.proven:
            self.prove()
        return True

    async def _probe(self) -> None:
        """Learn whether the API answers for the app: follow the first half of the largest part down to one id."""
        if not self.proven and not self._is_looked_up:
            self._is_looked_up = True
            if await self.was_answered():
                self.prove()
        part = max(self._parts, key=lambda part: len(part.ids), default=None)
        while part and not self.proven and not self.stopped:
            self._parts.remove(part)
            part = self._parts[-1] if await self._is_refused(part) and len(part.ids) > 1 else None
        if len(self._single_ids) >= REFUSED_IDS and not self.proven:
            self.stop_unproven()
