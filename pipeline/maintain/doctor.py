"""Use case: check everything that a run needs: settings, logs, lake, credentials, clock; say what to fix.

One call is made for each account. A finding holds no phone number and no secret.
To add a check: a function that gives findings, an entry in `CHECKS`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pipeline.api.batches import Batch
from pipeline.api.client import Clock, Gateway, Ledger
from pipeline.collect.files import LogFile, LogFileGone, LogFileUnreadable, find_log_files
from pipeline.collect.reading import read_sent_log
from pipeline.collect.sent_messages import log_rules
from pipeline.lake.lake import Lake
from pipeline.model.accounts import Account, Accounts, check_inputs, load_accounts
from pipeline.model.errors import BatchRefused, CallError, LakeError, SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import SENT_MESSAGES

CLOCK_SECONDS: Final = 30.0
"""Difference of clocks that is reported; the platform refuses signatures that are some minutes off."""
RECENT_DAYS: Final = 3
_SAMPLE_ROWS: Final = 1000
_ANY_ID: Final = "1"
"""Asked for where no log has an id: whether unknown or refused, the answer shows that the credentials are good."""


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was found, and what to fix; `is_setting` if a setting is missing or wrong."""

    subject: str
    ok: bool
    text: str
    is_setting: bool = False


@dataclass(frozen=True)
class _Examination:
    settings: Settings
    now: datetime
    clock: Clock


def examine(settings: Settings, *, now: datetime, clock: Clock | None = None) -> list[Finding]:
    """Run all checks; a problem is a finding, not an error."""
    examination = _Examination(settings, now, clock or Clock())
    return [finding for check in CHECKS for finding in check(examination)]


def check_settings(examination: _Examination) -> Iterator[Finding]:
    """Check that logs and credentials are set."""
    try:
        check_inputs(examination.settings)
    except SettingsError as error:
        yield Finding("settings", ok=False, text=str(error), is_setting=True)
    else:
        zone = examination.settings.timezone.key
        yield Finding("settings", ok=True, text=f"logs and credentials are set; days are those of {zone}")


def check_logs(examination: _Examination) -> Iterator[Finding]:
    """Check that the pattern matches files, that some are recent, and that these can be read."""
    settings = examination.settings
    if not settings.sent_logs:
        yield Finding("sent logs", ok=False, text="SMS_SENT_LOGS: is not set", is_setting=True)
        return
    today = settings.today(examination.now)
    recent = find_log_files(settings.sent_logs, [today - timedelta(days=step) for step in range(RECENT_DAYS + 1)])
    everything = find_log_files(settings.sent_logs, None)
    unreadable = [file.label for file in recent if not os.access(file.path, os.R_OK)]
    if not everything:
        text = f"no file matches; fix SMS_SENT_LOGS: {', '.join(settings.sent_logs)}"
    elif unreadable:
        text = f"{unreadable[0]} can't be read; fix its mode"
    elif not recent:
        text = f"no file of the last {RECENT_DAYS} days, the newest is {everything[-1].label}; is {{date}} right?"
    else:
        text = f"{len(everything):,} files match, {len(recent):,} of the last days"
    yield Finding("sent logs", ok=bool(recent) and not unreadable, text=text)


def check_lake(examination: _Examination) -> Iterator[Finding]:
    """Check that the lake opens with these settings, or can be made."""
    settings = examination.settings
    if not Lake.exists(settings.lake):
        yield _new_lake(settings)
        return
    try:
        lake = Lake.open(settings.lake, mode=settings.file_mode, recorded=settings.recorded)
        sent = lake.snapshot(SENT_MESSAGES)
    except (SettingsError, LakeError) as error:
        yield Finding("lake", ok=False, text=str(error), is_setting=isinstance(error, SettingsError))
    else:
        text = f"{sent.rows:,} sent messages of {len(sent.days()):,} days: {settings.lake}"
        yield Finding("lake", ok=True, text=text)


def _new_lake(settings: Settings) -> Finding:
    parent = next(folder for folder in settings.lake.parents if folder.is_dir())
    if os.access(parent, os.W_OK | os.X_OK):
        return Finding("lake", ok=True, text=f"does not exist yet; the first run makes it: {settings.lake}")
    return Finding("lake", ok=False, text=f"SMS_LAKE: can't be made, {parent} is not writable", is_setting=True)


def check_api(examination: _Examination) -> Iterable[Finding]:
    """Make one call for each account: are its credentials good, do the clocks agree?"""
    try:
        accounts = load_accounts(examination.settings)
    except SettingsError as error:
        return [Finding("credentials", ok=False, text=str(error), is_setting=True)]
    samples = list(_ids_to_ask(examination, accounts))
    if not samples:
        text = "SMS_APP_ID: is not set and no sent log names an app, so no account can be checked"
        return [Finding("credentials", ok=False, text=text, is_setting=True)]
    return asyncio.run(_ask_all(examination, accounts, samples))


CHECKS: Final[Sequence[Callable[[_Examination], Iterable[Finding]]]] = (
    check_settings,
    check_logs,
    check_lake,
    check_api,
)


def _ids_to_ask(examination: _Examination, accounts: Accounts) -> Iterator[tuple[str, str]]:
    """Yield app_id and msg_id for each account: the newest log record for its own app, an unknown id for the others."""
    newest = _newest_record(examination)
    if newest is not None:
        yield newest
    elif accounts.default is not None and examination.settings.app_id:
        yield examination.settings.app_id, _ANY_ID
    for app_id in accounts.named:
        if newest is None or app_id != newest[0]:
            yield app_id, _ANY_ID


def _newest_record(examination: _Examination) -> tuple[str, str] | None:
    """Return app_id and msg_id from the newest log that has a record, None where there is none."""
    files = find_log_files(examination.settings.sent_logs, None)
    today = examination.now.date()
    newest_first = sorted(files, key=lambda file: (file.file_date or today, file.mtime_ns), reverse=True)
    records = (_latest_message(file, examination) for file in newest_first[: RECENT_DAYS + 1])
    return next((record for record in records if record), None)


def _latest_message(file: LogFile, examination: _Examination) -> tuple[str, str] | None:
    """Return app_id and msg_id of the latest message among a log's first records; the rest is not read."""
    rules = log_rules(examination.settings, examination.now)
    try:
        for chunk in read_sent_log(file, rules, chunk_rows=_SAMPLE_ROWS):
            if chunk.messages.num_rows:
                row = max(chunk.messages.to_pylist(), key=lambda message: message["sent_at"])
                return row["app_id"], row["msg_id"]
    except (LogFileGone, LogFileUnreadable):
        return None
    return None


async def _ask_all(examination: _Examination, accounts: Accounts, samples: Iterable[tuple[str, str]]) -> list[Finding]:
    settings = examination.settings
    async with Gateway(
        timeout_seconds=settings.timeout_seconds,
        max_attempts=1,
        requests_per_second=settings.max_requests_per_second,
        clock=examination.clock,
    ) as gateway:
        today = examination.clock.now().date()
        findings = [
            await _ask(gateway, Batch(app_id, today, (msg_id,)), accounts.of(app_id)) for app_id, msg_id in samples
        ]
        offsets = gateway.seen_offsets()
    return [*findings, *(_clock_finding(url, offset) for url, offset in offsets.items())]


async def _ask(gateway: Gateway, batch: Batch, account: Account | None) -> Finding:
    if account is None:
        text = f"app {batch.app_id} has none: set SMS_API_KEY and SMS_API_SECRET, or name it in SMS_ACCOUNTS"
        return Finding("credentials", ok=False, text=text, is_setting=True)
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
    return f"{'ok' if finding.ok else 'fix':<6}{finding.subject:<13}{finding.text}"
