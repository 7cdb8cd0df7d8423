"""Use case: is everything there that a run needs? Settings, logs, lake, clock, credentials, each with what to mend.

One real call is made for each account. A finding names no phone number and no secret.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pipeline.api.batches import Batch
from pipeline.api.client import Clock, Gateway, Ledger
from pipeline.collect.files import LogFile, find_log_files
from pipeline.collect.reading import LogFileGone, LogFileUnreadable, read_sent_log
from pipeline.collect.sent_messages import log_rules
from pipeline.lake.lake import Lake
from pipeline.model.accounts import Account, Accounts, check_inputs, load_accounts
from pipeline.model.errors import BatchRefused, CallError, LakeError, SettingsError
from pipeline.model.settings import Settings
from pipeline.model.tables import SENT_MESSAGES

CLOCK_SECONDS: Final = 30.0
"""Difference of clocks that is worth mending; the platform refuses signatures from some minutes on."""
RECENT_DAYS: Final = 3
_SAMPLE_ROWS: Final = 1000
_ANY_ID: Final = "1"
"""Asked for where no log names an id: the platform does not know it, or refuses it, and both show good credentials."""


@dataclass(frozen=True)
class Finding:
    """What was found of one subject.

    Attributes:
        subject: what was looked at.
        ok: nothing is to be mended.
        text: what was found, and what to mend.
        is_setting: it is a setting that is missing or wrong.
    """

    subject: str
    ok: bool
    text: str
    is_setting: bool = False


def examine(settings: Settings, *, now: datetime, clock: Clock | None = None) -> list[Finding]:
    """Look at everything that a run needs; whatever is wrong is a finding, not an error."""
    findings = [examine_settings(settings), examine_logs(settings, now=now), examine_lake(settings)]
    return [*findings, *examine_api(settings, now=now, clock=clock)]


def examine_settings(settings: Settings) -> Finding:
    """Say whether logs and credentials are set."""
    try:
        check_inputs(settings)
    except SettingsError as error:
        return Finding("settings", ok=False, text=str(error), is_setting=True)
    return Finding("settings", ok=True, text=f"logs and credentials are set; days are those of {settings.timezone.key}")


def examine_logs(settings: Settings, *, now: datetime) -> Finding:
    """Say whether the pattern names files, and whether some are recent."""
    if not settings.sent_logs:
        return Finding("sent logs", ok=False, text="SMS_SENT_LOGS: is not set", is_setting=True)
    patterns = ", ".join(settings.sent_logs)
    today = settings.today(now)
    recent = find_log_files(settings.sent_logs, [today - timedelta(days=step) for step in range(RECENT_DAYS + 1)])
    everything = find_log_files(settings.sent_logs, None)
    if not everything:
        return Finding("sent logs", ok=False, text=f"no file matches; mend SMS_SENT_LOGS: {patterns}")
    unreadable = [file for file in recent if not os.access(file.path, os.R_OK)]
    if unreadable:
        return Finding("sent logs", ok=False, text=f"can't be read, mend its mode: {unreadable[0].label}")
    if not recent:
        newest = everything[-1].label
        return Finding(
            "sent logs",
            ok=False,
            text=f"none of the last {RECENT_DAYS} days, the newest is {newest}; is {{date}} right?",
        )
    return Finding("sent logs", ok=True, text=f"{len(everything):,} files match, {len(recent):,} of the last days")


def examine_lake(settings: Settings) -> Finding:
    """Say whether the lake opens with these settings, or can be made."""
    if not Lake.exists(settings.lake):
        parent = next(folder for folder in settings.lake.parents if folder.is_dir())
        if not os.access(parent, os.W_OK | os.X_OK):
            return Finding(
                "lake", ok=False, text=f"SMS_LAKE: can't be made, {parent} can't be written", is_setting=True
            )
        return Finding("lake", ok=True, text=f"is not there yet, the first run makes it: {settings.lake}")
    try:
        lake = Lake.open(settings.lake, mode=settings.file_mode, recorded=settings.recorded)
        sent = lake.snapshot(SENT_MESSAGES)
    except SettingsError as error:
        return Finding("lake", ok=False, text=str(error), is_setting=True)
    except LakeError as error:
        return Finding("lake", ok=False, text=str(error))
    return Finding("lake", ok=True, text=f"{sent.rows:,} sent messages of {len(sent.days()):,} days: {settings.lake}")


def examine_api(settings: Settings, *, now: datetime, clock: Clock | None = None) -> list[Finding]:
    """Make one call for each account; say whether its credentials are good, and whether the clocks agree."""
    try:
        accounts = load_accounts(settings)
    except SettingsError as error:
        return [Finding("credentials", ok=False, text=str(error), is_setting=True)]
    questions = list(_questions(settings, accounts, now))
    if not questions:
        text = "SMS_APP_ID: is not set and no sent log names an app, so that there is nothing to ask for"
        return [Finding("credentials", ok=False, text=text, is_setting=True)]
    return asyncio.run(_ask_all(settings, accounts, questions, clock or Clock()))


def _questions(settings: Settings, accounts: Accounts, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield app and id for each account: of the newest log record if it is its own, else an id that nobody has."""
    sample = newest_record(settings, now=now)
    if sample is not None:
        yield sample
    elif accounts.default is not None and settings.app_id:
        yield settings.app_id, _ANY_ID
    for app_id in accounts.named:
        if sample is None or app_id != sample[0]:
            yield app_id, _ANY_ID


def newest_record(settings: Settings, *, now: datetime) -> tuple[str, str] | None:
    """Return app_id and msg_id of a record of the newest log that has any, None where there is none."""
    files = find_log_files(settings.sent_logs, None)
    for file in sorted(files, key=lambda f: (f.file_date or now.date(), f.mtime_ns), reverse=True)[: RECENT_DAYS + 1]:
        if record := _newest_of(file, settings, now):
            return record
    return None


def _newest_of(file: LogFile, settings: Settings, now: datetime) -> tuple[str, str] | None:
    """Return app_id and msg_id of the latest message of a log's first records; logs may be large."""
    try:
        for chunk in read_sent_log(file, log_rules(settings, now), chunk_rows=_SAMPLE_ROWS):
            if chunk.messages.num_rows:
                row = max(chunk.messages.to_pylist(), key=lambda message: message["sent_at"])
                return row["app_id"], row["msg_id"]
    except (LogFileGone, LogFileUnreadable):
        return None
    return None


async def _ask_all(
    settings: Settings, accounts: Accounts, questions: list[tuple[str, str]], clock: Clock
) -> list[Finding]:
    findings = []
    async with Gateway(
        timeout_seconds=settings.timeout_seconds,
        max_attempts=1,
        max_concurrency=1,
        requests_per_second=settings.max_requests_per_second,
        clock=clock,
    ) as gateway:
        for app_id, msg_id in questions:
            account = accounts.of(app_id)
            findings.append(await _ask(gateway, app_id, msg_id, account, clock.now()))
        offsets = gateway.seen_offsets()
    return [*findings, *(_clock_finding(url, offset) for url, offset in offsets.items())]


async def _ask(gateway: Gateway, app_id: str, msg_id: str, account: Account | None, now: datetime) -> Finding:
    if account is None:
        text = f"app {app_id} has none: set SMS_API_KEY and SMS_API_SECRET, or name it in SMS_ACCOUNTS"
        return Finding("credentials", ok=False, text=text, is_setting=True)
    batch = Batch(app_id, now.astimezone(UTC).date(), (msg_id,))
    try:
        await gateway.ask(batch, account, Ledger())
    except BatchRefused:  # only who is known is told that an id is abnormal
        return Finding("credentials", ok=True, text=f"{account.base_url} knows app {app_id} and its credentials (-14)")
    except CallError as error:
        return Finding("credentials", ok=False, text=f"app {app_id} at {account.base_url}: {error}")
    return Finding("credentials", ok=True, text=f"{account.base_url} knows app {app_id} and its credentials")


def _clock_finding(url: str, offset: float | None) -> Finding:
    if offset is None:
        return Finding("clock", ok=False, text=f"not known: no answer of {url} says what time it is there")
    if abs(offset) > CLOCK_SECONDS:
        words = f"the clock at {url} is {offset:+,.0f} s from this machine's: mend this machine's (NTP)"
        return Finding("clock", ok=False, text=words)
    return Finding("clock", ok=True, text=f"within {max(1, round(abs(offset)))} s of the one at {url}")


def worst_status(findings: list[Finding]) -> int:
    """Return the exit status: 0 all is well, 1 something is to be mended, 2 it is a setting."""
    wrong = [finding for finding in findings if not finding.ok]
    return 2 if any(finding.is_setting for finding in wrong) else min(1, len(wrong))


def shown(finding: Finding) -> str:
    """Return a line for a person."""
    return f"{'ok' if finding.ok else 'mend':<6}{finding.subject:<13}{finding.text}"
