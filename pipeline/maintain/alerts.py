"""Alerts: whether something bad is told now, and posting it to a webhook.

What belongs here: rate and transport. What does not: what is bad, and in which words (`assets/sensors.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Self

import httpx
from pydantic import SecretStr

from pipeline.model.errors import AlertFailed

GAP: Final = timedelta(hours=1)
"""Shortest time between two messages about the same subject."""
LASTING_GAP: Final = timedelta(days=1)
"""The same for a subject that has been bad all the time since."""
TRIES: Final = 2
TIMEOUT_SECONDS: Final = 10.0


@dataclass
class Memory:
    """What was said, so that an outage is a message an hour and not one a run; kept as text between two looks.

    Attributes:
        since: how far history was looked at, Unix seconds.
        said: when each subject was last told, Unix seconds.
        lasting: subjects that were not good since.
        held: times that a subject was bad and nothing was said, since it was last told.
    """

    since: float
    said: dict[str, float] = field(default_factory=dict)
    lasting: list[str] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str | None, *, now: float) -> Self:
        """Return what was kept; without it history begins now: nobody wants alerts of last week."""
        return cls(**json.loads(text)) if text else cls(now)

    def text(self) -> str:
        """Return all as text to keep."""
        return json.dumps(vars(self))

    def may_say(self, subject: str, *, now: float, lasts: bool) -> bool:
        """Say whether a bad subject is told now; if not, count that it was not.

        Args:
            subject: what is bad.
            now: Unix seconds.
            lasts: being bad is a state, told once a day while it lasts, not an event.
        """
        gap = LASTING_GAP if lasts and subject in self.lasting else GAP
        if now - self.said.get(subject, 0.0) >= gap.total_seconds():
            return True
        self.held[subject] = self.held.get(subject, 0) + 1
        return False

    def note_said(self, subject: str, *, now: float) -> int:
        """Note that a subject was told; return how often it was not told before."""
        self.said[subject] = now
        self.lasting = sorted({*self.lasting, subject})
        return self.held.pop(subject, 0)

    def note_good(self, subject: str) -> None:
        """Note that a subject is good again, so that its next failure is news."""
        self.lasting = [each for each in self.lasting if each != subject]


def post(webhook: SecretStr, message: Mapping[str, Any]) -> None:
    """Post a message as JSON; certificates are verified, redirects not followed.

    Raises:
        AlertFailed: it was not taken; the text holds nothing of the URL, which is a secret.
    """
    transport = httpx.HTTPTransport(retries=TRIES - 1)
    try:
        with httpx.Client(transport=transport, timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
            response = client.post(webhook.get_secret_value(), json=dict(message))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AlertFailed(f"SMS_ALERT_WEBHOOK: it can't be reached: {type(error).__name__}") from None
    if not response.is_success:
        raise AlertFailed(f"SMS_ALERT_WEBHOOK: it answers with HTTP status {response.status_code}")
