"""What is pushed in a random world: reports that are lost, doubled, late, false, or of messages that nobody sent.

Belongs here: which reports come before a run, and the file that a receiver would have written. Does not: that a push
decides no state (`tests/oracle/chronicle.py`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.api.push_journal import HourFile
from pipeline.api.pushes import PushRules, line_of
from pipeline.model.phone_numbers import NumberPolicy
from tests.support.lakes import Sent

Key = tuple[str, str]
"""App and msg_id."""


def pushes_of(seed: int, number: int, sent: Sequence[Sent]) -> list[tuple[Key, int]]:
    """Return what comes before a run: app, id and pushed status, whatever getReport says of the message."""
    chance = random.Random(seed * 1000 + number)  # noqa: S311 - a world that can be had again
    pushed: list[tuple[Key, int]] = []
    for message in sent:
        key = (message.app_id, message.msg_id)
        pushed += [(key, chance.choice([0, 0, 1]))] * chance.choice([0, 0, 0, 1, 1, 2])
    return [*pushed, (("app", str(chance.randrange(10**18))), 0)] if chance.random() < 0.5 else pushed


@dataclass(frozen=True)
class Pushes:
    """The folder of a receiver."""

    folder: Path

    def take(self, pushed: Sequence[tuple[Key, int]], now: datetime) -> None:
        """Write what was pushed as the receiver does, a process of its own."""
        rules = PushRules(NumberPolicy(), None, now)
        reports = [{"appId": app_id, "msgid": msg_id, "status": status} for (app_id, msg_id), status in pushed]
        file = HourFile(self.folder, mode=0o600, now=lambda: now)
        if reports:
            file.append(b"".join(line_of(report, rules)[0] for report in reports))
        file.close()
