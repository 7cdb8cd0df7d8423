"""Use case: check everything that a run needs: settings, logs, lake, credentials, clock; say what to fix.

One call is made for each account. A finding holds no phone number and no secret.
To add a check: a function that returns what it found and raises for what to fix, a line in `examine`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pipeline.api.batches import Batch
from pipeline.api.client import Gateway, Ledger
from pipeline.api.endpoints import BalanceQuestion
from pipeline.collect.files import LogFileGone, LogFileUnreadable, find_log_files
from pipeline.collect.reading import read_sent_log
from pipeline.collect.sent_messages import log_rules
from pipeline.lake.damage import REMEDY
from pipeline.lake.lake import Lake, check_store
from pipeline.lake.opening import recorded_settings
from pipeline.maintain.audits.context import WORDS, opened_context
from pipeline.maintain.audits.delivery_rates import latency_plausible
from pipeline.maintain.balance import ABSENT_DAYS, accounts_without_balance
from pipeline.maintain.log_sample import (
    fields_text,
    is_ahead,
    is_rejected_too_often,
    newest_samples,
    records_text,
    times_text,
)
from pipeline.maintain.pushes import push_remarks
from pipeline.maintain.status import answers_ahead
from pipeline.maintain.surroundings import Remark, remarks
from pipeline.model.accounts import Account, Accounts, check_inputs, load_accounts
from pipeline.model.errors import BatchRefused, CallError, LakeError, SettingsError, SmsDeliveryError
from pipeline.model.phone_numbers import key_fault
from pipeline.model.printable import printable
from pipeline.model.settings import NUMBERS_KEY, Settings, revealed
from pipeline.model.tables import DELIVERY_ROLLUPS_DAILY, LAKE_TABLES, SENT_MESSAGES
from pipeline.publish.bucket import published_bucket

CLOCK_SECONDS: Final = 30.0
"""Difference of clocks that is reported; the platform refuses signatures that are some minutes off."""
RECENT_DAYS: Final = 3
LATENCY_DAYS: Final = 28
"""Latest days in the lake whose latency is looked at."""
_SAMPLE_ROWS: Final = 1000
_ANY_ID: Final = "1"
"""Asked for where no log has an id and the platform tells no balance: unknown or refused, the answer shows that the
credentials are good."""


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was found, and what to fix.

    Attributes:
        is_setting: a setting is missing or wrong.
        is_advice: all works, but something should be done.
    """

    subject: str
    ok: bool
    text: str
    is_setting: bool = False
    is_advice: bool = False


class _ToFixError(SmsDeliveryError):
    """Something other than a setting is wrong."""


def examine(settings: Settings, *, now: datetime) -> list[Finding]:
    """Run all checks; a problem is a finding, not an error."""
    lake = _finding("lake", lambda: _check_lake(settings))
    findings = [
        _finding("settings", lambda: _check_settings(settings)),
        *map(_of_remark, remarks(settings)),
        _finding("numbers", lambda: _check_numbers(settings)),
        _finding("sent logs", lambda: _check_logs(settings, now)),
        *records_of_logs(settings, now),
        lake,
        *([_finding("published", lambda: _check_bucket(settings))] if settings.duckdb_url else []),
        *(_times_in_lake(settings, now) if lake.ok else ()),
        *_pushes(settings, now, lake_is_sound=lake.ok),
    ]
    try:
        accounts = load_accounts(settings)
        samples = _ids_to_ask(settings, accounts, now)
    except SettingsError as error:
        return [*findings, _to_fix("credentials", error)]
    absent = _without_balance(settings, accounts, now) if lake.ok else ()
    return [*findings, *absent, *asyncio.run(_ask_all(settings, accounts, samples, now))]


def _of_remark(found: Remark) -> Finding:
    return Finding(found.subject, not found.is_wrong, found.text, is_setting=found.is_wrong, is_advice=found.is_advice)


def _finding(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, ok=True, text=check())
    except SmsDeliveryError as error:
        return _to_fix(subject, error)


def _to_fix(subject: str, error: SmsDeliveryError) -> Finding:
    return Finding(subject, ok=False, text=str(error), is_setting=isinstance(error, SettingsError))


def _check_settings(settings: Settings) -> str:
    check_inputs(settings)
    return f"logs and credentials are set; days are those of {settings.timezone.key}"


def _check_numbers(settings: Settings) -> str:
    if settings.numbers != "hash":
        return f"SMS_NUMBERS={settings.numbers}"
    if fault := key_fault(revealed(settings.numbers_key)):
        raise SettingsError(f"{NUMBERS_KEY}: {fault}")
    length = len(revealed(settings.numbers_key))
    return (
        f"SMS_NUMBERS=hash; {NUMBERS_KEY} has {length} characters{_is_that_of(settings)}; keep a copy of it away from "
        "the lake and its backups: whoever has both can read each number"
    )


def _is_that_of(settings: Settings) -> str:
    """Say that the key is the lake's.

    Raises:
        SettingsError: it is another one.
    """
    known = recorded_settings(settings.lake).get(NUMBERS_KEY) if Lake.is_made(settings) else None
    if known not in {None, settings.recorded[NUMBERS_KEY]}:
        raise SettingsError(
            f"{NUMBERS_KEY}: its fingerprint is not the one in the lake {settings.lake_place}; set it back"
        )
    return " and the lake's fingerprint" if known else ""


def _check_logs(settings: Settings, now: datetime) -> str:
    if not settings.sent_logs:
        raise SettingsError("SMS_SENT_LOGS: is not set")
    today = settings.today(now)
    recent = find_log_files(settings.sent_logs, [today - timedelta(days=step) for step in range(RECENT_DAYS + 1)])
    everything = find_log_files(settings.sent_logs, None)
    if not everything:
        raise _ToFixError(f"no file matches; fix SMS_SENT_LOGS: {', '.join(settings.sent_logs)}")
    if unreadable := [file.label for file in recent if not file.is_readable()]:
        raise _ToFixError(f"{unreadable[0]} can't be read; fix its mode")
    if not recent:
        newest = everything[-1].label
        raise _ToFixError(f"no file of the last {RECENT_DAYS} days, the newest is {newest}; is {{date}} right?")
    return f"{len(everything):,} files match, {len(recent):,} of the last days"


def records_of_logs(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Read the first records of the newest log of each pattern: what do the names mean, what would be rejected?"""
    for sample in newest_samples(settings, log_rules(settings, now)):
        yield Finding("fields", ok=True, text=fields_text(sample))
        yield Finding("records", ok=not is_rejected_too_often(sample), text=records_text(sample))
        if text := times_text(sample, now):
            yield Finding("times", ok=not is_ahead(sample, now), text=text)


def _times_in_lake(settings: Settings, now: datetime) -> list[Finding]:
    """Say which of the last days have a median latency that can't be right, and that answers are ahead of now."""
    try:
        if not Lake.is_made(settings):
            return []
        lake = Lake.of(settings)
        days = lake.snapshot(DELIVERY_ROLLUPS_DAILY).days()[-LATENCY_DAYS:]
        with opened_context(days, lake=lake, settings=settings, now=now) as context:
            found = latency_plausible(context)
        ahead = answers_ahead(lake, now)
    except SmsDeliveryError as error:  # pages inside a data file, of which `_check_lake` reads the footer
        return [_to_fix("lake", error)]
    return [
        *(Finding("latency", ok=False, text=str(row[WORDS])) for row in found.examples),
        *(Finding("clock", ok=False, text=text) for text in ahead),
    ]


def _pushes(settings: Settings, now: datetime, *, lake_is_sound: bool) -> list[Finding]:
    """Say how pushed reports are doing, where they are set up."""
    try:
        lake = Lake.of(settings) if lake_is_sound and Lake.is_made(settings) else None
        return [_of_remark(remark) for remark in push_remarks(settings, lake=lake, now=now)]
    except SmsDeliveryError as error:
        return [_to_fix("pushes", error)]


def _without_balance(settings: Settings, accounts: Accounts, now: datetime) -> Iterator[Finding]:
    """Say which platforms are not asked for balances, since they have none to tell."""
    if not Lake.is_made(settings):
        return
    for url, learnt in sorted(set(accounts_without_balance(Lake.of(settings), accounts, now).values())):
        again = learnt + timedelta(days=ABSENT_DAYS)
        text = f"{url} has no getBalance, as it said on {learnt:%Y-%m-%d}; it is asked again after {again:%Y-%m-%d}"
        yield Finding("balance", ok=True, text=text)


def _check_lake(settings: Settings) -> str:
    check_store(settings)
    if Lake.is_made(settings):
        lake = Lake.of(settings)
        _check_tables(lake)
        sent = lake.snapshot(SENT_MESSAGES)
        return f"{sent.rows:,} sent messages of {len(sent.days()):,} days: {lake.place}"
    if settings.lake_url:
        return f"does not exist yet; the first run makes it: {settings.lake_url}"
    parent = next(folder for folder in settings.lake.parents if folder.is_dir())
    if not os.access(parent, os.W_OK | os.X_OK):
        raise SettingsError(f"SMS_LAKE: can't be made, {parent} is not writable")
    return f"does not exist yet; the first run makes it: {settings.lake}"


def _check_bucket(settings: Settings) -> str:
    """Look at the bucket of the published file, which must take conditional puts."""
    settings.check_places()
    bucket = published_bucket(settings)
    if bucket is None:
        return settings.duckdb_place
    bucket.store.check_conditions()
    newest = bucket.newest()
    return f"the newest is {bucket.url_of(newest)}" if newest else f"nothing yet: {settings.duckdb_url}"


def _check_tables(lake: Lake) -> None:
    """Open what the newest version of each table names: all damage in one text."""
    wrong: list[str] = []
    for table in LAKE_TABLES:
        try:
            found = list(lake.damaged_files(lake.snapshot(table)))
        except LakeError as error:
            wrong.append(str(error).removesuffix(f"; {REMEDY}"))
            continue
        if found:
            more = f" and {len(found) - 1:,} more files" if len(found) > 1 else ""
            wrong.append(f"the lake's table {table.name} is damaged: {found[0]}{more}")
    if wrong:
        raise _ToFixError(f"{'; '.join(wrong)}; {REMEDY}")


def _ids_to_ask(settings: Settings, accounts: Accounts, now: datetime) -> dict[str | None, str | None]:
    """Return the newest msg_id of the logs by app_id, None for accounts not in them; app None where none is known."""
    samples: dict[str | None, str | None] = {}
    samples.update(_newest_ids(settings, now))
    if not samples and accounts.default:
        samples = {settings.app_id: None}
    return samples | {app_id: None for app_id in accounts.named if app_id not in samples}


def _newest_ids(settings: Settings, now: datetime) -> dict[str, str]:
    """Return the latest msg_id of each app among the first records of the newest logs."""
    files, rules = find_log_files(settings.sent_logs, None), log_rules(settings, now)
    newest_first = sorted(files, key=lambda file: (file.file_date or now.date(), file.mtime_ns), reverse=True)
    ids: dict[str, str] = {}
    for file in newest_first[: RECENT_DAYS + 1]:
        with contextlib.suppress(LogFileGone, LogFileUnreadable):
            chunks = read_sent_log(file, rules, chunk_rows=_SAMPLE_ROWS)
            found = next((chunk.messages.to_pylist() for chunk in chunks if chunk.messages.num_rows), [])
            by_time = sorted(found, key=lambda message: message["sent_at"])
            ids = {message["app_id"]: message["msg_id"] for message in by_time} | ids
    return ids


async def _ask_all(
    settings: Settings, accounts: Accounts, samples: Mapping[str | None, str | None], now: datetime
) -> list[Finding]:
    async with Gateway(
        timeout_seconds=settings.timeout_seconds,
        max_attempts=1,
        requests_per_second=settings.max_requests_per_second,
    ) as gateway:
        findings = [
            await _check_account(gateway, app_id, msg_id, accounts.of(app_id or ""), now)
            for app_id, msg_id in samples.items()
        ]
        offsets = gateway.seen_offsets()
    return [*findings, *(_clock_finding(url, offset) for url, offset in offsets.items())]


async def _check_account(
    gateway: Gateway, app_id: str | None, msg_id: str | None, account: Account | None, now: datetime
) -> Finding:
    """Ask for a message, or where none is known for the balance; a platform without it is asked for any id."""
    if account is None:
        text = f"app {app_id} has none: set SMS_API_KEY and SMS_API_SECRET, or name it in SMS_ACCOUNTS"
        return Finding("credentials", ok=False, text=text, is_setting=True)
    if msg_id is None:
        try:
            return await _ask_balance(gateway, app_id, account)
        except CallError as error:
            if app_id is None:
                return Finding("credentials", ok=False, text=f"{account.base_url}: {error}")
    return await _ask(gateway, Batch(app_id or "", [(msg_id or _ANY_ID, now.date())]), account)


async def _ask_balance(gateway: Gateway, app_id: str | None, account: Account) -> Finding:
    answer = await gateway.ask(BalanceQuestion(), account, Ledger())
    whose = f" of app {app_id}" if app_id else ", but no app is known: set SMS_APP_ID or log one"
    balance = f"; balance {answer.envelope.balance:f}" if answer.envelope.balance is not None else ""
    return Finding("credentials", ok=True, text=f"{account.base_url} accepts the credentials{whose}{balance}")


async def _ask(gateway: Gateway, batch: Batch, account: Account) -> Finding:
    good = f"{account.base_url} accepts app {batch.app_id} and its credentials"
    try:
        await gateway.ask(batch, account, Ledger())
    except BatchRefused:  # -14 refuses the id; bad credentials are refused before it
        return Finding("credentials", ok=True, text=f"{good} (-14)")
    except CallError as error:
        return Finding("credentials", ok=False, text=f"app {batch.app_id} at {account.base_url}: {error}")
    return Finding("credentials", ok=True, text=good)


def _clock_finding(url: str, offset: float | None) -> Finding:
    if offset is None:
        return Finding("clock", ok=False, text=f"no response of {url} has the time, so the clocks can't be compared")
    if abs(offset) > CLOCK_SECONDS:
        text = f"the clock at {url} is {offset:+,.0f} s from this machine's; fix this machine's (NTP)"
        return Finding("clock", ok=False, text=text)
    return Finding("clock", ok=True, text=f"within {max(1, round(abs(offset)))} s of the one at {url}")


def exit_status(findings: Iterable[Finding]) -> int:
    """Return the exit status: 0 all is well, 1 something needs to be fixed, 2 it is a setting."""
    wrong = [finding for finding in findings if not finding.ok]
    return 2 if any(finding.is_setting for finding in wrong) else min(1, len(wrong))


def finding_line(finding: Finding) -> str:
    """Return a finding as a line of text."""
    return printable(
        f"{'note' if finding.is_advice else 'ok' if finding.ok else 'fix':<6}{finding.subject:<13}{finding.text}"
    )
