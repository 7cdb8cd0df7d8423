"""Use case: ask for every message of some days that is due, and record what the API says.

What belongs here: the queue, what each outcome of a call stops, the tally. What does not: who is due (`due.py`),
splitting refused batches (`apps.py`), one call (`api/client.py`), storing (`recorder.py`).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, partial
from itertools import chain
from typing import Final

import httpx

from pipeline.api.batches import Batch
from pipeline.api.client import Clock, Gateway, Ledger
from pipeline.follow.apps import App, Refusal, apps_answered
from pipeline.follow.due import due_batches
from pipeline.follow.recorder import Recorder, RecordTally
from pipeline.follow.signals import run_until, signals_caught
from pipeline.follow.slices import finish_slices
from pipeline.lake.lake import IN_FLIGHT, Lake
from pipeline.model.accounts import Accounts
from pipeline.model.errors import ApiRefused, AppRefused, BatchFailed, BatchRefused, CallError, CapReached, Interrupted
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import API_MEMORY, Settings, number_policy

logger = logging.getLogger(__name__)

MISMATCH_SHARE: Final = 0.05
"""Share of a run's answered calls that may disagree with what was asked."""
MISMATCHES_FEWEST: Final = 2
"""One call alone is no share: a platform's tally may be a moment behind its rows."""


@dataclass
class FollowTally:
    """What following did.

    Attributes:
        requests: HTTP requests made.
        batches: rows of `api_calls`.
        retries: requests beyond the first of their batch.
        record: what was recorded.
        failures: what the run did not get, one line each, for a person.
        clock_offsets: seconds by which the platform's clock is ahead, by base URL, where it was learnt.
        left: messages due that were left to the next run, since this one had made all the calls that it may.
        not_asked: days of which the platform remembers no message.
        requests_by_day: requests by partition: the share of a request's ids that are of it; they sum to `requests`.
        retries_by_day: retries by partition, likewise.
    """

    requests: int = 0
    batches: int = 0
    retries: int = 0
    record: RecordTally = field(default_factory=RecordTally)
    failures: list[str] = field(default_factory=list)
    clock_offsets: dict[str, float] = field(default_factory=dict)
    left: int = 0
    not_asked: tuple[date, ...] = ()
    requests_by_day: defaultdict[date, float] = field(default_factory=lambda: defaultdict(float))
    retries_by_day: defaultdict[date, float] = field(default_factory=lambda: defaultdict(float))


def follow(
    days: Collection[date],
    *,
    lake: Lake,
    accounts: Accounts,
    settings: Settings,
    now: datetime,
    force: bool = False,
    max_requests: int | None = None,
    apps: Collection[str] = (),
    on_progress: Progress = untold,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FollowTally:
    """Ask for every message of some partitions that is due.

    What the platform refuses or does not answer is in `failures`; all that arrived is committed.

    Args:
        days: partitions asked for.
        lake: where sent messages are and answers go.
        accounts: credentials by app.
        settings: bounds of asking, treatment of numbers, memory.
        now: the instant at which ids are due: the run's start.
        force: ask for messages that are not final and not due yet, too.
        max_requests: most requests, repeated ones included; what is left then is asked for by the next run.
        apps: apps to ask for; none means all.
        on_progress: told after each commit: messages answered, of those asked for.
        clock: time, for tests.
        transport: what carries requests instead of a socket, for tests.

    Raises:
        Interrupted: a signal asked for the end; what had arrived is committed.
        LakeError: the lake can't be read or written.
    """
    lake.look_again()  # so that nobody asks for what another machine was just answered
    clock = clock or Clock()
    finish_slices(lake, settings, before=now - IN_FLIGHT)
    recorder = Recorder(
        lake,
        number_policy(settings),
        lambda tally: on_progress(answers := sum(tally.answers.values()), max(answers, due.total)),
        tick=clock.tick,
    )
    forgotten = tuple(day for day in sorted(days) if is_beyond_memory(day, settings=settings, now=now))
    days = set(days) - set(forgotten)
    with due_batches(days, lake=lake, settings=settings, now=now, force=force, apps=apps) as due:
        answered = cache(partial(apps_answered, lake=lake, settings=settings, now=now))
        follower = _Follower(
            recorder, accounts, settings, clock, transport, apps_answered=answered, max_requests=max_requests
        )
        first = next((some for some in due.batches if some), None)
        if first is not None:  # else not even a connection is made ready
            _ = recorder.rows  # read before the first answer is waited for
            try:
                asyncio.run(follower.run(chain([first], due.batches)))
            finally:
                recorder.close()
    follower.tally.record, follower.tally.not_asked = recorder.tally, forgotten
    return follower.tally


def is_beyond_memory(day: date, *, settings: Settings, now: datetime) -> bool:
    """Say whether the platform remembers no message of a day any more."""
    end = datetime.combine(day + timedelta(days=1), time.min, settings.timezone)
    return end.astimezone(UTC) <= now - API_MEMORY


class _Follower:
    """Workers that settle batches: each ends answered, split, given up or refused, with a row in `api_calls`."""

    def __init__(
        self,
        recorder: Recorder,
        accounts: Accounts,
        settings: Settings,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None,
        *,
        apps_answered: Callable[[], Collection[str]],
        max_requests: int | None,
    ) -> None:
        self._apps_answered = apps_answered
        self._max_requests = max_requests
        self.tally = FollowTally()
        self._recorder = recorder
        self._accounts = accounts
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._apps: dict[str, App] = {}
        self._stopped_bases: dict[str, str] = {}
        self._gave_up: list[str] = []

    async def run(self, batches: Iterator[list[Batch]]) -> None:
        """Settle all batches; end early, but in order, at a signal."""
        with signals_caught() as interrupted:
            try:
                async with self._gateway() as gateway:
                    await run_until(interrupted, self._settle_all(gateway, batches))
                    self.tally.clock_offsets = gateway.clock_offsets()
            finally:  # a signal that comes while the last slice is written must not undo it
                await asyncio.to_thread(self._recorder.close)
            if interrupted.is_set():
                raise Interrupted("stopped by a signal; what had arrived is committed, run again for the rest")
        self._close()

    def _gateway(self) -> Gateway:
        return Gateway(
            timeout_seconds=self._settings.timeout_seconds,
            max_attempts=self._settings.max_attempts,
            requests_per_second=self._settings.max_requests_per_second,
            max_requests=self._max_requests,
            clock=self._clock,
            transport=self._transport,
        )

    async def _settle_all(self, gateway: Gateway, batches: Iterator[list[Batch]]) -> None:
        queue: asyncio.Queue[Batch | None] = asyncio.Queue(maxsize=self._settings.max_concurrency)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.max_concurrency):
                group.create_task(self._work(gateway, queue))
            async for batch in _in_thread(batches):
                await queue.put(batch)
            for _ in range(self._settings.max_concurrency):
                await queue.put(None)
        for app in self._apps.values():
            await app.settle_rest()

    async def _work(self, gateway: Gateway, queue: asyncio.Queue[Batch | None]) -> None:
        while (batch := await queue.get()) is not None:
            await self._app(gateway, batch.app_id).settle(batch)
            await self._recorder.commit_if_full()

    def _app(self, gateway: Gateway, app_id: str) -> App:
        if app_id not in self._apps:
            account = self._accounts.of(app_id)
            app = self._apps[app_id] = App(
                account, partial(self._ask, gateway), partial(self._was_answered, app_id), self._recorder.invalid_id
            )
            if account is None:
                app.stop("no credentials: set SMS_API_KEY and SMS_API_SECRET, or name it in SMS_ACCOUNTS")
        return self._apps[app_id]

    async def _was_answered(self, app_id: str) -> bool:
        return app_id in await asyncio.to_thread(self._apps_answered)

    async def _ask(self, gateway: Gateway, batch: Batch) -> Refusal | None:
        """Ask for a batch as it is, and record what came of it; return the refusal of its ids."""
        app = self._apps[batch.app_id]
        account = app.account
        if account is None or app.stopped or account.base_url in self._stopped_bases:
            return None
        call_id, ledger = uuid.uuid4().hex, Ledger()
        try:
            response = await gateway.ask(batch, account, ledger)
        except BatchRefused as error:
            self._note(batch, call_id, ledger, "split" if len(batch.ids) > 1 else "refused", error)
            return Refusal(batch, call_id, ledger.observed_at or self._clock.now())
        except CapReached as error:
            self.tally.left += len(batch.ids)
            if ledger.requests:
                self._note(batch, call_id, ledger, "gave_up", error)
        except BatchFailed as error:
            self._note(batch, call_id, ledger, "gave_up", error)
            self._gave_up.append(str(error))
        except AppRefused as error:
            self._note(batch, call_id, ledger, "refused", error)
            app.stop(str(error))
        except ApiRefused as error:
            self._note(batch, call_id, ledger, "refused", error)
            self._stopped_bases.setdefault(account.base_url, str(error))
        else:
            self._count(batch, ledger)
            self._recorder.answer(batch, call_id, ledger, response)
            app.prove()
        return None

    def _note(self, batch: Batch, call_id: str, ledger: Ledger, outcome: str, error: CallError) -> None:
        logger.warning("call %s of app %s, %s ids: %s: %s", call_id, batch.app_id, len(batch.ids), outcome, error)
        self._count(batch, ledger)
        self._recorder.failure(batch, call_id, ledger, outcome, error)

    def _count(self, batch: Batch, ledger: Ledger) -> None:
        tally, retries = self.tally, max(0, ledger.requests - 1)
        tally.requests += ledger.requests
        tally.batches += 1
        tally.retries += retries
        for day, ids in batch.days.items():
            share = ids / len(batch.ids)
            tally.requests_by_day[day] += ledger.requests * share
            tally.retries_by_day[day] += retries * share

    def _close(self) -> None:
        """Say what was not got, once every batch is settled."""
        for app_id, app in self._apps.items():
            if self.tally.left:  # the requests that would have shown what is wrong were not made
                self.tally.left += app.unresolved
            elif app.unresolved:
                app.stop_unproven()
            if app.stopped:
                self.tally.failures.append(f"app {app_id} was stopped: {app.stopped}")
        self.tally.failures += [f"{url}: asking was stopped: {why}" for url, why in self._stopped_bases.items()]
        record = self._recorder.tally
        if disagree_too_often(record.mismatches, record.calls_answered):
            self.tally.failures.append(
                f"{record.mismatches:,} of {record.calls_answered:,} batches got an answer that disagrees with what "
                f"was asked (outcome mismatch in api_calls), the first: {record.first_mismatch}; tell the platform"
            )
        if self._gave_up:
            self.tally.failures.append(f"{len(self._gave_up)} batches were given up, the last: {self._gave_up[-1]}")


def disagree_too_often(mismatches: int, calls: int) -> bool:
    """Say whether so many calls disagree with what was asked that their answers can't be relied on."""
    return mismatches >= MISMATCHES_FEWEST and mismatches > MISMATCH_SHARE * calls


async def _in_thread(chunks: Iterator[list[Batch]]) -> AsyncIterator[Batch]:
    """Read the next batches outside the event loop, which goes on meanwhile."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        for batch in chunk:
            yield batch
