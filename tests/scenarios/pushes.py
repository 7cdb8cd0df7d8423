"""What is pushed in a random world: reports that are lost, doubled, late, false, or of messages that nobody sent.

Belongs here: which reports come before a run, and the file that a receiver would have written. Does not: that a push
decides no state (`tests/oracle/chronicle.py`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.api.push_journal import HourFile
from pipeline.api.pushes import PushRules, line_of
from pipeline.model.phone_numbers import NumberPolicy
from tests.support.lakes import Sent

Key = tuple[str, str]
"""App and msg_id."""


@dataclass(frozen=True)
class Push:
    """A report as it comes: app, id, pushed status, and how far the time is off at which it came: late, or ahead."""

    key: Key
    status: int
    off: timedelta = timedelta()


def pushes_of(seed: int, number: int, sent: Sequence[Sent]) -> list[Push]:
    """Return what comes before a run, whatever getReport says of the message."""
    chance = random.Random(seed * 1000 + number)  # noqa: S311 - a world that can be had again
    offs = [timedelta(hours=hours) for hours in (0, 0, 0, 0, -3, 2)]
    pushed: list[Push] = []
    for message in sent:
        key = (message.app_id, message.msg_id)
        one = Push(key, chance.choice([0, 0, 1]), chance.choice(offs))
        pushed += [one] * chance.choice([0, 0, 0, 1, 1, 2])
    forged = [Push(("app", str(chance.randrange(10**18))), 0)]
    forged += [Push(("nobody's", sent[0].msg_id), 0)] if sent else []
    return [*pushed, *forged] if chance.random() < 0.5 else pushed


@dataclass(frozen=True)
class Pushes:
    """The folder of a receiver."""

    folder: Path

    def take(self, pushed: Sequence[Push], now: datetime) -> int:
        """Write what was pushed as the receiver does, a process of its own that is killed then.

        Returns the lines of reports that can't be used; the line in which it was killed has no end, and is none.
        """
        file = HourFile(self.folder, mode=0o600, now=lambda: now)
        broken = line_of({"appId": "app", "status": 0}, PushRules(NumberPolicy(), None, now))[0]
        if pushed:
            file.append(b"".join(map(_line, pushed, [now] * len(pushed))) + broken + b'{"received_at":"20')
        file.close()
        return bool(pushed)


def _line(push: Push, now: datetime) -> bytes:
    (app_id, msg_id), rules = push.key, PushRules(NumberPolicy(), None, now + push.off)
    return line_of({"appId": app_id, "msgid": msg_id, "status": push.status}, rules)[0]
