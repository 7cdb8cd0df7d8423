"""Plays a world: its runs one after the other on a lake, each checked against the chronicle.

What does not belong here: which worlds there are (`story.py`), and the rules (`tests/oracle/chronicle.py`).
"""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from pipeline.collect.pushed_reports import take_pushed
from pipeline.collect.sent_messages import collect
from pipeline.derive.messages import derive_messages
from pipeline.follow.reconcile import reconcile
from pipeline.follow.workers import follow
from pipeline.lake.lake import Lake
from pipeline.maintain.balance import accounts_due, store_balances
from pipeline.model.accounts import Account, Accounts
from pipeline.model.errors import Interrupted
from pipeline.model.settings import Settings, given_settings
from tests.oracle.chronicle import FINAL, Chronicle, Key, Played, is_stopped
from tests.oracle.extras import Extras
from tests.scenarios.api import HOSTS, KEY, PAGE_ROWS, SECRET, FakeApi, Fate, Recorded, Step, VirtualTime
from tests.scenarios.pushes import Pushes, pushes_of
from tests.scenarios.stage import MEMORY_LIMIT, Killed, Life, Stage
from tests.scenarios.story import START, End, Message, Run, World
from tests.support.lakes import store_sent

ATTEMPTS = 3
RECORD_DAYS = 2
"""Days of the record that a run reads, the last ones."""


class Crash(Exception):  # noqa: N818 - an event of the world, not an error of the test
    """An unexpected error in the middle of a run."""


@dataclass
class Trigger:
    """Ends a run early; called at every step of the API."""

    end: End | None
    life: Life
    answers: int = 0

    def __call__(self, step: str) -> None:
        """Count a step, and end the run if it is the chosen one."""
        self.life.step()
        if step != "answer" or self.end is None:
            return
        if self.answers == self.end.at:
            _strike(self.end)
        self.answers += 1


def _strike(end: End) -> None:
    if end.kind == "crash":
        raise Crash
    if end.kind == "signal" and threading.current_thread() is threading.main_thread():
        signal.raise_signal(signal.SIGTERM)


class Player:
    """One world on one stage.

    Args:
        world: the world.
        stage: its lake.
        logs: folder of sent logs that `collect` reads; None stores messages by hand.
    """

    def __init__(self, world: World, stage: Stage, logs: Path | None) -> None:
        self.time = VirtualTime(START)
        self._world = world
        self._stage = stage
        self._logs = logs
        self.pushes = Pushes(stage.lake.folder / "pushed")
        self._settings = _settings(world, logs).model_copy(update={"pushed_reports": self.pushes.folder})
        self.chronicle = Chronicle(stage.lake, self._settings, world.messages, has_logs=logs is not None)
        self.extras = Extras(stage.lake, _recorded(world))
        self._reads_record = False

    def play(self) -> Ending:
        """Play and check all runs; return the checked result of the last one."""
        due_at = START
        since, played = START, None
        for number, run in enumerate((*self._world.runs, self._world.last)):
            due_at += run.gap
            self.time.advance(max(timedelta(), due_at - self.time.true))
            self.time.error = run.clock_error + timedelta(microseconds=number)
            self._log(number, run)
            self._push(number, run)
            self._reads_record = self._world.reads_record and (len(self._world.runs) - number) % 2 == 0
            since, played = self.time.true, self._run(run)
            self.chronicle.check(played)
            self.extras.check(played, self.chronicle, since=since, until=self.time.true)
        assert played is not None
        ending = Ending(self.chronicle, played, since, self.time.true)
        ending.check()
        return ending

    def _log(self, number: int, run: Run) -> None:
        """Write what the logs say before a run, or store the messages if there are no logs."""
        logged = [message for message in self._world.messages if message.logged_before <= number]
        self.chronicle.log((message, message.read_in(number, run)) for message in logged)
        if self._logs is None:
            store_sent(self._stage.lake, [message.sent for message in logged if message.logged_before == number])
            return
        lines: dict[str, list[str]] = defaultdict(list)
        for message in logged:
            lines[f"sent-{message.sent.sent_at.date()}.jsonl"].append(json.dumps(_record(message, number)) + "\n")
        for name, of_file in lines.items():
            path, text = self._logs / name, "".join(of_file)
            if not path.exists() or path.read_text() != text:
                path.write_text(text)

    def _push(self, number: int, run: Run) -> None:
        """Let the receiver take what is pushed before a run, by its own clock."""
        if not self._world.pushes:
            return
        now, sent = self.time.wall(), [message.read_in(number, run) for message in self._world.messages]
        pushed = pushes_of(self._world.pushes, number, sent)
        self.extras.broken_pushes += self.pushes.take(pushed, now)
        self.extras.pushes.update((*push.key, "failed" if push.status else "delivered") for push in pushed)
        self.chronicle.pushed += [(push.key, now + push.off) for push in pushed]

    def _run(self, run: Run) -> Played:
        days = self._days(run)
        life = Life(run.end.at if run.end and run.end.kind == "kill" else None)
        fates = {message.sent.msg_id: message.fate for message in self._world.messages}
        trigger = Trigger(run.end, life)
        api = FakeApi(fates, run.weather, self.time, trigger, recorded=self.extras.recorded)
        played = Played(run, days, self.time.wall(), api.ledger)
        self.extras.begin(ACCOUNTS, played.now)
        settings = self._settings.model_copy(
            update={
                "batch_size": run.batch_size,
                "max_concurrency": run.workers,
                "max_requests_per_second": run.rate,
                "sent_log_timezone": ZoneInfo(run.log_zone),
                "app_id": run.default_app,
            }
        )
        with self._watched(played, life):
            self._do(played, self._stage.as_seen_by(life), settings, api)
        self._stage.cut_power()
        return played

    def _do(self, played: Played, lake: Lake, settings: Settings, api: FakeApi) -> None:
        """Call the use cases in the order of the assets."""
        days, now = played.days, played.now
        if self._logs is not None:
            collect(days, lake=lake, settings=settings, now=now)
        take_pushed(lake=lake, settings=settings, now=now)
        tally = follow(
            days,
            lake=lake,
            accounts=ACCOUNTS,
            settings=settings,
            now=now,
            force=played.run.force,
            clock=self.time.clock(),
            transport=api,
        )
        played.failures, played.tally = tally.failures, tally
        played.latest = max(now, self.time.wall())
        derive_messages(days, lake=lake, settings=settings, now=now, latest=played.latest)
        if self._reads_record:
            self._read_record_and_balance(lake, settings, api, days[-RECORD_DAYS:], now)

    def _read_record_and_balance(
        self, lake: Lake, settings: Settings, api: FakeApi, days: list[date], now: datetime
    ) -> None:
        self.extras.tally = reconcile(
            days, lake=lake, accounts=ACCOUNTS, settings=settings, now=now, clock=self.time.clock(), transport=api,
            most_rows=PAGE_ROWS,
        )  # fmt: skip
        if due := accounts_due(lake, ACCOUNTS, now):
            store_balances(
                due, lake=lake, accounts=ACCOUNTS, settings=settings, now=now, clock=self.time.clock(), transport=api
            )
        self.extras.asked_for = days

    @contextlib.contextmanager
    def _watched(self, played: Played, life: Life) -> Iterator[None]:
        """Record how a run ends."""
        try:
            yield
        except Killed:
            played.end = "killed"
        except (Crash, Interrupted):
            played.end = "stopped"
        assert (played.end == "killed") == life.is_dead

    def _days(self, run: Run) -> list[date]:
        """Return all days of the world except the one that the run leaves out."""
        days = sorted({day for message in self._world.messages for day in self._days_of(message)})
        if run.leaves_out is not None and len(days) > 1:
            del days[run.leaves_out % len(days)]
        return days

    def _days_of(self, message: Message) -> set[date]:
        """Return the days that a message is on in any run."""
        runs = [*self._world.runs, self._world.last]
        if self._logs is None:
            return {message.sent.sent_at.date()}
        return {message.read_in(number, run).sent_at.date() for number, run in enumerate(runs)}


@dataclass(frozen=True)
class Ending:
    """The result of the last run, which has no faults and asks for everything.

    Attributes:
        chronicle: what is known of the world.
        last: the last run.
        since: true time when it began.
        until: true time when it ended.
    """

    chronicle: Chronicle
    last: Played
    since: datetime
    until: datetime

    def check(self) -> None:
        """Assert that each message whose answers never went back has the platform's present state."""
        assert self.last.end == "done"
        for key in self.steady():
            step = self.chronicle.messages[key].fate.at(self.until)
            truth: str = step.kind if step else "not_found"
            if truth not in FINAL and self.is_silent(key):
                truth = "unknown"
            assert self.chronicle.states[key]["delivery_status"] == truth, key

    def steady(self) -> set[Key]:
        """Return the messages whose state on the platform did not change during the last run."""
        return {key for key in self.chronicle.known if self._is_steady(key) and not self._is_out_of_reach(key)}

    def _is_steady(self, key: Key) -> bool:
        message = self.chronicle.messages[key]
        return message.is_steady and message.fate.at(self.since) == message.fate.at(self.until)

    def _is_out_of_reach(self, key: Key) -> bool:
        """Return whether it is too old, or its app stopped."""
        age = self.last.now - self.chronicle.messages[key].sent.sent_at
        return age > self.chronicle.settings.give_up_after or is_stopped(key[0], self.last.failures)

    def is_silent(self, key: Key) -> bool:
        """Return whether a message that is not final counts as unknown."""
        return self.last.now - self.chronicle.messages[key].sent.sent_at > self.chronicle.settings.unknown_after

    def check_same_as(self, other: Ending) -> None:
        """Assert that messages with the same state on the platform have the same state in both lakes."""
        messages = self.chronicle.messages
        for key in self.steady() & other.steady():
            shown, shown_there = messages[key].fate.at(self.since), messages[key].fate.at(other.since)
            if shown == shown_there and self.is_silent(key) == other.is_silent(key):
                assert self._state(key) == other._state(key), key

    def _state(self, key: Key) -> tuple[object, ...]:
        row = self.chronicle.states[key]
        return row["delivery_status"], row["is_final"], row["sent_at"], row["sent_date"]


def last_alone(world: World) -> World:
    """Return the world with only its last run, at the same time, and the messages as they are logged then."""
    gap = sum((run.gap for run in world.runs), world.last.gap)
    number = len(world.runs)
    messages = tuple(Message(m.read_in(number, world.last), m.fate, logged_before=0) for m in world.messages)
    return replace(world, messages=messages, runs=(), last=replace(world.last, gap=gap))


def _record(message: Message, number: int) -> dict[str, str | None]:
    """Return the log record of a message before a run."""
    sent = message.logged(number)
    moment = sent.sent_at.replace(tzinfo=None) if message.is_local else sent.sent_at
    app = {"app_id": sent.app_id} if message.names_app else {}
    return {"msg_id": sent.msg_id, "sent_at": moment.isoformat(), "number": sent.number} | app


def _recorded(world: World) -> list[Recorded]:
    """Return what the platform's record holds: what was sent, and a message that no log has."""
    found = [
        Recorded(message.sent.app_id, message.sent.msg_id, message.sent.sent_at, message.fate)
        for message in world.messages
    ]
    steps = (Step(START - timedelta(hours=2), "delivered"),)
    return [*found, Recorded("app", "7" * 19, START - timedelta(hours=3), Fate(steps))]


def _account(host: str) -> Account:
    return Account(f"https://{host}/sms", SecretStr(KEY), SecretStr(SECRET))


ACCOUNTS = Accounts(_account(HOSTS["app"]), {"third": _account(HOSTS["third"])})


def _settings(world: World, logs: Path | None) -> Settings:
    return given_settings(
        logs or Path("/"),
        api_base_url=f"https://{HOSTS['app']}/sms",
        sent_logs="sent-{date}.jsonl",
        max_attempts=ATTEMPTS,
        give_up_after_days=world.give_up_days,
        memory_limit=MEMORY_LIMIT,
    )
