"""What the lake must hold after each run of a world, in plain Python: from the design, not from the code.

The chronicle knows which messages were logged and what the API answered. From these follow the messages that may be
asked for, what is stored, and every message's state. What a killed process lost is read from the lake: whole calls
only, the newest ones.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pipeline.api.client import FAILURES_IN_A_ROW
from pipeline.follow.recorder import SLICE_CALLS
from pipeline.follow.workers import FollowTally
from pipeline.lake.lake import Lake
from pipeline.model.settings import Settings
from pipeline.model.tables import API_CALLS, DELIVERY_REPORTS, MESSAGES, REJECTED_RECORDS, SENT_MESSAGES
from tests.oracle.states import expected_state
from tests.scenarios.api import (
    CLOCK_FAULT,
    ERROR_FAULTS,
    HOSTS,
    STOP_APP_FAULTS,
    STOP_BASE_FAULTS,
    TIMESTAMP_WINDOW,
    Ledger,
    Told,
)
from tests.scenarios.stage import read_file, read_table
from tests.scenarios.story import Message, Run
from tests.support.lakes import Said, Sent

Key = tuple[str, str]
"""App and msg_id."""
Row = dict[str, Any]
ONLY_THERE = {"not_found", "invalid_id"}
"""Answers that hold for the app that was asked for, and say nothing of another."""
FINAL = {"delivered", "failed", "invalid_id"}
FIRST_ASKED_WITHIN = timedelta(days=90)
SPLIT_CALLS = 20
"""Most calls that splitting refused batches adds to a slice."""
MOST_STRETCH, MOST_DELAY = 60, timedelta(hours=12)
"""Bounds of the wait where nothing is pushed for a message."""
FEWEST_LEARNT_FROM = 10
_ONE_DAY = timedelta(days=1)
AHEAD = timedelta(hours=1)
"""How far an answer may be ahead before nobody knows when it came."""


@dataclass
class Played:
    """A played run: `killed` with everything in memory, `stopped` in order, or done."""

    run: Run
    days: list[date]
    now: datetime
    ledger: Ledger
    end: Literal["done", "killed", "stopped"] = "done"
    failures: list[str] = field(default_factory=list)
    tally: FollowTally | None = None
    latest: datetime | None = None
    """By which moment deriving told answers of a clock that was ahead."""


@dataclass(frozen=True)
class _Logged:
    """What a log says of a message: the message as it is read, and the date in the name of the log."""

    sent: Sent
    file_date: date


@dataclass
class _Growing:
    """A table that only grows, and its files seen so far."""

    lake: Lake
    seen: set[Path] = field(default_factory=set)

    def new_rows(self, files: Collection[Any]) -> list[Row]:
        """Return the rows of new files; assert that the files seen before are still there."""
        assert self.seen <= {file.path for file in files}
        rows = [row for file in files if file.path not in self.seen for row in read_file(file)]
        self.seen |= {file.path for file in files}
        return rows


class Chronicle:
    """What is known of a world, and the checks of each run against it."""

    def __init__(self, lake: Lake, settings: Settings, messages: Iterable[Message], *, has_logs: bool) -> None:
        self.lake = lake
        self.states: dict[Key, Row] = {}
        self._has_logs = has_logs
        self._message_of = {message.sent.msg_id: message for message in messages}
        self.messages: dict[Key, Message] = {}
        self._answers: dict[tuple[str, str, date], list[Said]] = defaultdict(list)
        self._answers_seen: set[tuple[str, str]] = set()
        self._known: dict[str, Sent] = {}
        self._logged: dict[str, _Logged] = {}
        self._answered: dict[str, list[datetime]] = defaultdict(list)
        self.settings = settings
        self._moments: list[datetime] = []
        self.pushed: list[tuple[Key, datetime]] = []
        self._calls = _Growing(lake)

    @property
    def known(self) -> set[Key]:
        """The messages that are stored."""
        return set(self.messages)

    def answers(self, key: Key) -> list[Said]:
        """Return the answers that count for a message: those of its app, in the partition of its day."""
        return self._answers[*key, self._day(key)]

    def log(self, messages: Iterable[tuple[Message, Sent]]) -> None:
        """Record what the logs say now, as the next run reads it."""
        for message, sent in messages:
            self._logged[sent.msg_id] = _Logged(sent, message.sent.sent_at.date())

    def check(self, played: Played) -> None:
        """Check a run after its end, and record what it did."""
        assert not played.ledger.wrong
        self._check_sent(played)
        self._moments.append(played.now)
        may_be_asked = {key for key in self.known if any(self._is_due(key, played))}
        must_be_asked = {key for key in may_be_asked if all(self._is_due(key, played))}
        self._check_asked(played, may_be_asked, {key for key in self.known if self._may_fill(key, played)})
        earlier = {call_id for call_id, _ in self._answers_seen}
        calls = self._calls.new_rows(self.lake.snapshot(API_CALLS).files)
        self._note_answered(row for row in calls if row["call_id"] in earlier)  # stored when this run began
        stored = self._check_reports(played)
        self._check_calls(played, [row for row in calls if row["call_id"] not in earlier], earlier)
        if played.end == "done":
            _check_completeness(played, must_be_asked, stored)
        self._note(stored)
        if played.latest:
            self._moments.append(played.latest)
        if played.end == "done":
            self._check_messages(played)

    def _check_sent(self, played: Played) -> None:
        """Every message is in `sent_messages` once, as its log says now; a killed run may not have stored that."""
        rows = read_table(self.lake, SENT_MESSAGES)
        present = {row["msg_id"]: (row["app_id"], row["sent_at"], row["number"], row["sent_date"]) for row in rows}
        assert len(rows) == len(present)
        read = {msg_id: of.sent for msg_id, of in self._logged.items() if self._is_readable(of, played)}
        if self._has_logs:  # a record in the future waits
            read = {msg_id: sent for msg_id, sent in read.items() if sent.sent_at <= played.now + _ONE_DAY}
        possible = [self._known | read, *([self._known] if played.end == "killed" else [])]
        found = [sent for sent in possible if present == {msg_id: _stored(of) for msg_id, of in sent.items()}]
        assert found, (present, possible)
        self._correct(found[0])

    def _correct(self, present: dict[str, Sent]) -> None:
        """Take over what is stored now: answers go with their message, but for those that only say `unknown here`."""
        for msg_id, sent in present.items():
            former = self._known.get(msg_id, sent)
            old, new = _place(former), _place(sent)
            if old != new:
                going = [said for said in self._answers[old] if old[0] == new[0] or said.status not in ONLY_THERE]
                self._answers[old] = [said for said in self._answers[old] if said not in going]
                self._answers[new] += going
        self._known = present
        self.messages = {_key(sent): replace(self._message_of[msg_id], sent=sent) for msg_id, sent in present.items()}

    def _is_readable(self, logged: _Logged, played: Played) -> bool:
        """Return whether a run reads a log: it covers the log's date or a day either side."""
        return not self._has_logs or any(abs(logged.file_date - day) <= _ONE_DAY for day in played.days)

    def _is_due(self, key: Key, played: Played) -> list[bool]:
        """Return whether an id is due: "When an id is due" of the design, in whole microseconds.

        More than one value: by the moment at which its day was derived last, another answer is ahead.
        """
        sent_at, said = self.messages[key].sent.sent_at, self.answers(key)
        if self._day(key) not in played.days or any(each.status in FINAL for each in said):
            return [False]
        age = played.now - sent_at
        pushed_at = max((at for each, at in self.pushed if each == key and at <= played.now + AHEAD), default=None)
        if not said:
            if age > FIRST_ASKED_WITHIN or played.run.force or pushed_at:
                return [age <= FIRST_ASKED_WITHIN]
            return [stretch == 1 or age >= timedelta(minutes=stretch - 1) for stretch in self._stretches()]
        if age > self.settings.give_up_after:
            return [False]
        return [
            played.run.force
            or last > played.now + AHEAD
            or played.now - last >= self._wait(last, sent_at, pushed_at, stretch)
            for last in self._lasts(key)
            for stretch in self._stretches()
        ]

    def _wait(self, last: datetime, sent_at: datetime, pushed_at: datetime | None, stretch: int) -> timedelta:
        """Return how long an id waits after an answer: "When an id is due", and what a push changes of it."""
        usual = max(timedelta(seconds=60), (last - sent_at) / 2)
        if pushed_at is None:
            return usual + min((stretch - 1) * usual, MOST_DELAY)
        return timedelta(seconds=60) if pushed_at > last else usual

    def _stretches(self) -> tuple[int, ...]:
        """Return the least and the greatest factor that may have been learnt: few messages prove nothing."""
        return (1, MOST_STRETCH) if self.pushed and len(self.known) >= FEWEST_LEARNT_FROM else (1,)

    def _lasts(self, key: Key) -> set[datetime]:
        """Return when an id was answered last: answers ahead of the moment that decides count where no other does."""
        times = [each.observed_at for each in self.answers(key)]
        return {max((at for at in times if at <= moment + AHEAD), default=max(times)) for moment in self._moments}

    def _day(self, key: Key) -> date:
        return self.messages[key].sent.sent_at.astimezone(UTC).date()

    def _may_fill(self, key: Key, played: Played) -> bool:
        """Return whether an id that is not due may take room in a request: open, not too old, not asked just now."""
        said, age = self.answers(key), played.now - self.messages[key].sent.sent_at
        if self._day(key) not in played.days or any(each.status in FINAL for each in said):
            return False
        if not said:
            return len(self._stretches()) > 1 and age <= self.settings.give_up_after
        waited = played.now - min(self._lasts(key))
        return waited >= timedelta(seconds=60) and age <= self.settings.give_up_after

    def _check_asked(self, played: Played, due: set[Key], may_fill: set[Key]) -> None:
        """A call is of one app; its ids are due, or fill room that due ids leave; none is answered twice."""
        for call in played.ledger.calls:
            keys = {(call.app_id, msg_id) for msg_id in call.asked}
            assert keys <= due | may_fill
            assert len(keys) == len(call.asked) <= played.run.batch_size
        asked = {(call.app_id, msg_id) for call in played.ledger.calls for msg_id in call.asked}
        due_of_app = Counter(app_id for app_id, _ in due)
        for app_id, ids in Counter(app_id for app_id, _ in asked).items():
            assert ids <= math.ceil(due_of_app[app_id] / played.run.batch_size) * played.run.batch_size
        answered = [key for told in played.ledger.told for key in _keys(told)]
        assert len(answered) == len(set(answered))

    def _check_reports(self, played: Played) -> list[Said]:
        """Compare new rows of `delivery_reports` with the API's answers; return them."""
        everything = {(row["call_id"], row["msg_id"]): row for row in read_table(self.lake, DELIVERY_REPORTS)}
        assert self.lake.snapshot(DELIVERY_REPORTS).rows == len(everything)
        assert self._answers_seen <= everything.keys()
        rows = [everything[each] for each in everything.keys() - self._answers_seen]
        self._answers_seen = set(everything)
        assert all(row["sent_date"] == self._day((row["app_id"], row["msg_id"])) for row in rows)
        stored, bound = [_said(row) for row in rows], _clock_bound(played.run)
        invalid = [said for said in stored if said.status == "invalid_id"]
        told = _oldest(played.ledger.told, len(stored) - len(invalid))
        truth = {(said.app_id, said.msg_id): said for each in told for said in each.said}
        answers = {(said.app_id, said.msg_id): said for said in stored if said.status != "invalid_id"}
        assert len(truth) == sum(len(each.said) for each in told) == len(stored) - len(invalid)
        assert {key: replace(said, observed_at=truth[key].observed_at) for key, said in answers.items()} == truth
        assert all(abs(said.observed_at - truth[key].observed_at) <= bound for key, said in answers.items())
        lost = len(played.ledger.told) - len(told)
        slices = 1 if played.run.workers == 1 else 2  # one is filled while one is written
        assert lost <= slices * SLICE_CALLS + SPLIT_CALLS if played.end == "killed" else not lost
        self._check_invalid(played, invalid)
        return stored

    def _check_invalid(self, played: Played, invalid: list[Said]) -> None:
        """An id becomes `invalid_id` only if it was refused alone and its app had an answer in this run or lately."""
        proven = {told.app_id for told in played.ledger.told} | self._answered_lately(played)
        alone = {
            (call.app_id, call.asked[0]) for call in played.ledger.calls if call.got == "-14" and len(call.asked) == 1
        }
        expected = {key for key in alone if key[0] in proven}
        keys = [(said.app_id, said.msg_id) for said in invalid]
        assert len(keys) == len(set(keys))
        assert set(keys) == expected if played.end == "done" else set(keys) <= expected

    def _answered_lately(self, played: Played) -> set[str]:
        """Return the apps that had an answer in the 30 days before, by the calls that earlier runs stored."""
        since = played.now - timedelta(days=30)
        return {app_id for app_id, moments in self._answered.items() if max(moments) >= since}

    def _note_answered(self, calls: Iterable[Row]) -> None:
        for row in calls:
            if row["status"] == "0":
                self._answered[row["app_id"]].append(row["requested_at"])

    def _check_calls(self, played: Played, rows: list[Row], earlier: set[str]) -> None:
        """`api_calls` has one row per batch with its number of requests; odd rows are rejected records.

        `earlier` are calls of answers before this run: where a killed run left no row of them, this one stored it.
        """
        rejects = [row for row in read_table(self.lake, REJECTED_RECORDS) if row["source"] == "api"]
        odd, ledger = sum(row["file"] not in earlier for row in rejects), played.ledger
        self._check_call_ids(played)
        self._note_answered(rows)
        outcomes = Counter(row["outcome"] for row in rows)
        consistent = sum(told.is_consistent for told in ledger.told)
        requests, batches = sum(row["attempts"] for row in rows), len({(c.app_id, c.asked) for c in ledger.calls})
        assert 0 <= odd <= sum(told.odd_rows for told in ledger.told)
        if played.end == "killed":
            assert requests <= len(ledger.calls)
            assert len(rows) <= batches
            return
        assert (outcomes["ok"], outcomes["mismatch"]) == (consistent, len(ledger.told) - consistent)
        assert odd == sum(told.odd_rows for told in ledger.told)
        if played.end == "done":
            assert (requests, len(rows)) == (len(ledger.calls), batches)
            self._check_days(played, rows)

    def _check_days(self, played: Played, rows: list[Row]) -> None:
        """A call counts its days, the earliest is its own; requests by day are shares that sum to all requests."""
        asked = {(call.app_id, call.asked) for call in played.ledger.calls}
        days_of = {batch: [self._day((batch[0], msg_id)) for msg_id in batch[1]] for batch in asked}
        expected = Counter((app, len(ids), len(set(days)), min(days)) for (app, ids), days in days_of.items())
        assert Counter((row["app_id"], row["ids"], row["days"], row["sent_date"]) for row in rows) == expected
        shares: dict[date, float] = defaultdict(float)
        for call in played.ledger.calls:
            for day in days_of[call.app_id, call.asked]:
                shares[day] += 1 / len(call.asked)
        assert played.tally is not None
        found = played.tally.requests_by_day
        assert found.keys() == shares.keys()
        assert all(abs(found[day] - share) < 1e-6 for day, share in shares.items())
        assert played.tally.requests == len(played.ledger.calls)

    def _check_call_ids(self, played: Played) -> None:
        """Each call is there once; the call of each answer is there, or will be after a run that is not killed."""
        call_ids = [row["call_id"] for row in read_table(self.lake, API_CALLS)]
        assert len(call_ids) == len(set(call_ids))
        assert played.end == "killed" or {call_id for call_id, _ in self._answers_seen} <= set(call_ids)

    def _note(self, stored: Iterable[Said]) -> None:
        for said in stored:
            key = (said.app_id, said.msg_id)
            self._answers[*key, self._day(key)].append(said)

    def _check_messages(self, played: Played) -> None:
        """Every message is there once; those of the run's days have the state that follows from their answers."""
        rows = {(row["app_id"], row["msg_id"]): row for row in read_table(self.lake, MESSAGES)}
        self.states = rows
        assert rows.keys() == self.known
        assert self.lake.snapshot(MESSAGES).rows == len(rows)
        for key, row in rows.items():
            if self._day(key) in played.days:
                assert _state(row) in self._expected(key, played.now), (key, self.answers(key))

    def _expected(self, key: Key, now: datetime) -> list[Row]:
        """Return the possible states as of now: the moment by which answers are ahead is of any run so far."""
        return [self._expected_at(key, now, moment) for moment in self._moments]

    def _expected_at(self, key: Key, now: datetime, latest: datetime) -> Row:
        sent, said = self.messages[key].sent, self.answers(key)
        state = expected_state(sent, said, now=now, unknown_after=self.settings.unknown_after, latest=latest)
        times = [each.observed_at for each in said]
        return {
            "sent_at": sent.sent_at,
            "sent_date": self._day(key),
            "number": sent.number or next((each.number for each in said if each.number), None),
            "delivery_status": state.status,
            "is_final": state.is_final,
            "receive_time": state.receive_time,
            "latency_seconds": state.latency,
            "poll_count": state.polls,
            "first_polled_at": min(times, default=None),
            "last_polled_at": max((at for at in times if at <= latest + AHEAD), default=max(times, default=None)),
            "labels": None if sent.labels is None else list(sent.labels.items()),
        }


def _clock_bound(run: Run) -> timedelta:
    """Return how far a stored instant may be from the truth: no further than a timestamp that the platform takes."""
    is_right = abs(run.clock_error) < timedelta(seconds=1) and not run.weather.jump
    return timedelta(seconds=1) if is_right else TIMESTAMP_WINDOW + timedelta(seconds=2)


def _key(sent: Sent) -> Key:
    return sent.app_id, sent.msg_id


def _stored(sent: Sent) -> tuple[str, datetime, str | None, date]:
    return sent.app_id, sent.sent_at, sent.number, sent.sent_at.astimezone(UTC).date()


def _place(sent: Sent) -> tuple[str, str, date]:
    """Return where the answers of a message are."""
    return sent.app_id, sent.msg_id, sent.sent_at.astimezone(UTC).date()


def _keys(told: Told) -> list[Key]:
    return [(said.app_id, said.msg_id) for said in told.said]


def _said(row: Row) -> Said:
    names = ("msg_id", "status", "observed_at", "receive_time", "app_id", "number")
    return Said(**{name: row[name] for name in names})


def _state(row: Row) -> Row:
    left_out = {"app_id", "msg_id", "country", "sender_id", "order_id", "price", "pay", "currency", "charge_count"}
    left_out |= {"failure_reason", "network", "network_name"}
    return {name: value for name, value in row.items() if name not in left_out}


def _oldest(told: list[Told], rows: int) -> list[Told]:
    """Return the oldest answers that make a number of rows; answers are stored whole."""
    kept: list[Told] = []
    for each in told:
        if rows <= 0:
            break
        kept.append(each)
        rows -= len(each.said)
    assert rows == 0
    return kept


def _check_completeness(played: Played, due: set[Key], stored: list[Said]) -> None:
    """Every id that was due or asked for was answered, or the failures say why not, and say nothing else."""
    ledger, failures = played.ledger, played.failures
    stopped = {app_id for app_id in HOSTS if is_stopped(app_id, failures)}
    wanted = due | {(call.app_id, msg_id) for call in ledger.calls for msg_id in call.asked}
    missing = wanted - {(said.app_id, said.msg_id) for said in stored}
    ends = {(call.app_id, call.asked): call.got for call in ledger.calls}
    lost = {asked for asked, got in ends.items() if got in ERROR_FAULTS and asked[0] not in stopped}
    assert {key for key in missing if key[0] not in stopped} == {
        (app_id, msg_id) for app_id, asked in lost for msg_id in asked
    }
    told = [line for line in failures if "batches were given up" in line]
    if not stopped:
        assert [int(line.split()[0]) for line in told] == ([len(lost)] if lost else [])
        odd = sum(not told.is_consistent for told in ledger.told)
        too_odd = odd >= 2 and odd > 0.05 * len(ledger.told)
        disagreeing = [f"{odd} of {len(ledger.told)}"] if too_odd else []
        assert [line.partition(" batches got")[0] for line in failures if line not in told] == disagreeing
    for app_id in stopped:
        assert _may_be_stopped(app_id, played)


def is_stopped(app_id: str, failures: list[str]) -> bool:
    """Return whether the failures of a run name an app or its base."""
    starts = (f"app {app_id} was stopped: ", f"https://{HOSTS[app_id]}/sms: asking was stopped: ")
    return any(line.startswith(starts) for line in failures)


def _may_be_stopped(app_id: str, played: Played) -> bool:
    """Return whether the API gave a reason to stop an app: it, its base or every single id was refused."""
    own = [call.got for call in played.ledger.calls if call.app_id == app_id]
    of_base = [call.got for call in played.ledger.calls if HOSTS[call.app_id] == HOSTS[app_id]]
    return (
        any(got in STOP_APP_FAULTS for got in own)
        or any(got in {*STOP_BASE_FAULTS, CLOCK_FAULT} for got in of_base)
        or sum(got in ERROR_FAULTS for got in of_base) >= FAILURES_IN_A_ROW
        or ("-14" in own and "answer" not in own)
    )
