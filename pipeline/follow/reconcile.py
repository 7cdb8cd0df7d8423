"""Use case: read the platform's own record of what was sent, to compare it with the sent logs.

What belongs here: what a refusal stops, where a reading goes on, the tally. What does not: which days there are
(`record_days.py`), one window (`record_reader.py`), storing (`record_store.py`), the comparison (views of
`publish/sql/views`).

The record decides no state: that is getReport's. A day is stored as soon as it was read, so that a run that dies is
gone on with by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final

import httpx

from pipeline.api.client import Clock, Gateway
from pipeline.api.windows import MOST_ROWS, Window
from pipeline.follow.record_days import AppDay, Read, apps_to_read, is_kept, midnight, reads, units_of
from pipeline.follow.record_reader import WindowReader
from pipeline.follow.record_store import DayOfRecord
from pipeline.follow.rows import StoredRows
from pipeline.follow.signals import run_until, signals_caught
from pipeline.lake.kept_days import kept_days
from pipeline.lake.lake import Lake
from pipeline.lake.notes import forgotten_messages, forgotten_numbers, note_record_reading, record_reading_since
from pipeline.model.accounts import Account, Accounts
from pipeline.model.errors import ApiRefused, AppRefused, CallError, Interrupted
from pipeline.model.progress import Progress, untold
from pipeline.model.settings import Settings, number_policy

logger = logging.getLogger(__name__)

GOES_ON: Final = timedelta(hours=24)
"""Age up to which a reading that did not come to its end is gone on with."""


@dataclass
class ReconcileTally:
    """What reading the record did.

    Attributes:
        read: days of apps that were read to their end.
        left: those that were read before and left out.
        rows_by_day: messages in the record of the days that were read.
        rejected: rows that were rejected.
        forgotten: rows whose number was dropped, since it was erased before (`forget`).
        requests: HTTP requests made.
        failures: what was not got, one line each, for a person.
    """

    read: int = 0
    left: int = 0
    rows_by_day: Counter[date] = field(default_factory=Counter)
    rejected: int = 0
    forgotten: int = 0
    requests: int = 0
    failures: list[str] = field(default_factory=list)


def reconcile(
    days: Collection[date],
    *,
    lake: Lake,
    accounts: Accounts,
    settings: Settings,
    now: datetime,
    only_unread: bool = False,
    on_progress: Progress = untold,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    most_rows: int = MOST_ROWS,
) -> ReconcileTally:
    """Read the platform's record of some days, for each app that the logs or the accounts name.

    Args:
        days: days in SMS_TIMEZONE; those that the platform or `SMS_KEEP_DAYS` does not keep any more are left out.
        lake: where rows go.
        accounts: credentials by app.
        settings: time zone, numbers, limits of requests.
        now: when the run began.
        only_unread: leave out the days that were read since their messages were settled.
        on_progress: told after each day of an app: how many were read, of how many.
        clock: time, for tests.
        transport: what carries requests instead of a socket, for tests.
        most_rows: rows of a window that may not be all, for tests.

    Raises:
        Interrupted: a signal asked for the end; the days that had been read are stored.
        LakeError: the lake can't be read or written.
    """
    first = kept_days(lake).messages
    kept = [day for day in days if day >= first and is_kept(day, settings=settings, now=now)]
    wanted = units_of(kept, apps_to_read(lake, accounts, settings, now))
    since, known = _began_at(lake, now), reads(lake, settings)
    todo = [unit for unit in wanted if not _is_done(known.get(unit), since, only_unread=only_unread)]
    reading = _Reading(lake, accounts, settings, clock=clock or Clock(), transport=transport, most_rows=most_rows)
    reading.tally.left = len(wanted) - len(todo)
    if todo:
        note_record_reading(lake, since=since)
        asyncio.run(reading.run(todo, on_progress))
    if not reading.tally.failures:
        note_record_reading(lake, since=None)
    return reading.tally


def _began_at(lake: Lake, now: datetime) -> datetime:
    """Return when the reading began that goes on now: a former one that did not come to its end, else this one."""
    former = record_reading_since(lake)
    return former if former and now - GOES_ON <= former <= now else now


def _is_done(read: Read | None, since: datetime, *, only_unread: bool) -> bool:
    return read is not None and ((read.read_at >= since and read.is_whole) or (only_unread and read.is_settled))


class _Reading:
    """Reads days of apps, one after the other; an app or a base URL that is refused is left alone."""

    def __init__(
        self,
        lake: Lake,
        accounts: Accounts,
        settings: Settings,
        *,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None,
        most_rows: int,
    ) -> None:
        self.tally = ReconcileTally()
        self._lake = lake
        self._accounts = accounts
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._most_rows = most_rows
        self._stopped_apps: dict[str, str] = {}
        self._stopped_bases: dict[str, str] = {}
        self._missed: dict[str, list[tuple[date, str]]] = {}

    async def run(self, units: Sequence[AppDay], on_progress: Progress) -> None:
        """Read all units; end early, but in order, at a signal."""
        with signals_caught() as interrupted:
            async with self._gateway() as gateway:
                await run_until(interrupted, self._read_all(gateway, units, on_progress))
            if interrupted.is_set():
                raise Interrupted("stopped by a signal; the days that were read are stored, run again for the rest")
        self._tell_failures()

    def _gateway(self) -> Gateway:
        return Gateway(
            timeout_seconds=self._settings.timeout_seconds,
            max_attempts=self._settings.max_attempts,
            requests_per_second=self._settings.max_requests_per_second,
            clock=self._clock,
            transport=self._transport,
        )

    async def _read_all(self, gateway: Gateway, units: Sequence[AppDay], on_progress: Progress) -> None:
        for place, unit in enumerate(units, 1):
            account = self._accounts.of(unit.app_id)
            if account is None:
                self._stopped_apps[unit.app_id] = (
                    "no credentials: set SMS_API_KEY and SMS_API_SECRET, or name it in SMS_ACCOUNTS"
                )
            elif unit.app_id not in self._stopped_apps and account.base_url not in self._stopped_bases:
                await self._read(gateway, unit, account)
            on_progress(place, len(units))

    async def _read(self, gateway: Gateway, unit: AppDay, account: Account) -> None:
        """Read a day of an app, and store it; a refusal is noted."""
        try:
            await self._read_day(gateway, unit, account)
        except AppRefused as error:
            self._stopped_apps[unit.app_id] = str(error)
        except ApiRefused as error:
            self._stopped_bases[account.base_url] = str(error)
        except CallError as error:
            logger.warning("record of app %s, %s: %s", unit.app_id, unit.day, error)
            self._missed.setdefault(unit.app_id, []).append((unit.day, str(error)))

    async def _read_day(self, gateway: Gateway, unit: AppDay, account: Account) -> None:
        read_at = self._clock.now()
        with self._lake.scratch() as folder:
            day = DayOfRecord(self._window(unit, read_at), unit.day, read_at, self._stored_rows(), folder)
            reader = WindowReader(gateway, account, day.add, self._most_rows)
            try:
                await reader.read(day.window)
            finally:
                self.tally.requests += reader.requests
                day.close()
            rows = day.store(self._lake, self._settings, missing=reader.missing, requests=reader.requests)
        self._count(unit, day, rows)
        if reader.missing:
            text = f"the platform counts {reader.missing:,} messages more than it gives: its record has a gap"
            self._missed.setdefault(unit.app_id, []).append((unit.day, text))

    def _window(self, unit: AppDay, now: datetime) -> Window:
        end = midnight(unit.day + timedelta(days=1), self._settings)
        return Window(unit.app_id, midnight(unit.day, self._settings), min(end, now))

    def _stored_rows(self) -> StoredRows:
        """Return what makes rows; numbers may be erased while a long reading goes on."""
        numbers = replace(number_policy(self._settings), forgotten=forgotten_numbers(self._lake))
        return StoredRows(numbers, {msg_id for _, msg_id in forgotten_messages(self._lake)})

    def _count(self, unit: AppDay, day: DayOfRecord, rows: int) -> None:
        self.tally.read += 1
        self.tally.rows_by_day[unit.day] += rows
        self.tally.rejected += day.rejected
        self.tally.forgotten += day.forgotten

    def _tell_failures(self) -> None:
        failures = self.tally.failures
        failures += [f"app {app_id} was stopped: {why}" for app_id, why in self._stopped_apps.items()]
        failures += [f"{url}: asking was stopped: {why}" for url, why in self._stopped_bases.items()]
        for app_id, missed in self._missed.items():
            day, why = missed[-1]
            failures.append(f"app {app_id}: the record of {len(missed)} days was not got whole, the last {day}: {why}")
